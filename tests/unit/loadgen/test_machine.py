"""What the kernel tells of withheld processor time, in both generations of cgroups, and where it tells nothing."""

import os
from pathlib import Path

import pytest

from enginebench.loadgen import machine
from enginebench.loadgen.machine import Reading, withheld

V1 = "31 24 0:27 {root} {top} rw,relatime - cgroup cgroup rw,{options}\n"
V2 = "32 24 0:28 {root} {top} rw,relatime shared:4 - cgroup2 cgroup2 rw\n"


def process(folder: Path, cgroup: str, mountinfo: str) -> None:
    (folder / "self").mkdir()
    (folder / "self/cgroup").write_text(cgroup)
    (folder / "self/mountinfo").write_text(mountinfo)


def group(folder: Path, stat: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cpu.stat").write_text(stat)
    return folder


@pytest.fixture(autouse=True)
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "PROC", tmp_path)
    return tmp_path


def test_a_pod_with_cgroup_v2_sees_its_own_alone(proc: Path) -> None:
    top = group(proc / "fs", "usage_usec 5\nnr_throttled 3\nthrottled_usec 2500000\n")
    process(proc, "0::/\n", V2.format(root="/", top=top))
    assert Reading.now().throttled_seconds == 2.5


def test_a_pod_with_cgroup_v1_knows_its_path_on_the_node_but_sees_only_its_own(proc: Path) -> None:
    top = group(proc / "fs", "nr_periods 9\nnr_throttled 3\nthrottled_time 500000000\n")
    paths = "5:memory:/kubepods/p/c\n4:cpu,cpuacct:/kubepods/p/c\n0::/kubepods/p/c\n"
    other = V1.format(root="/kubepods/p/c", top=proc / "memory", options="memory")
    process(proc, paths, other + V1.format(root="/kubepods/p/c", top=top, options="cpu,cpuacct"))
    assert Reading.now().throttled_seconds == 0.5


def test_cgroups_around_the_own_one_count_as_far_as_they_are_seen(proc: Path) -> None:
    top = group(proc / "fs", "usage_usec 5\n")  # the root of v2 tells nothing
    group(top / "pods", "throttled_usec 1000000\n")
    group(top / "pods/mine", "throttled_usec 250000\n")
    group(top / "pods/other", "throttled_usec 9000000\n")
    process(proc, "0::/pods/mine\n", V2.format(root="/", top=top))
    assert Reading.now().throttled_seconds == 1.25


def test_steal_is_that_of_the_processors_it_may_use(proc: Path) -> None:
    mine = sorted(os.sched_getaffinity(0))
    other = max(mine) + 1
    lines = [f"cpu{n} 10 0 10 70 0 0 0 10 5 0" for n in mine] + [f"cpu{other} 0 0 0 0 0 0 0 999 0 0"]
    (proc / "stat").write_text("\n".join(["cpu  1 1 1 1 1 1 1 1 1 1", *lines, "intr 5"]))
    found = Reading.now()
    assert (found.stolen_ticks, found.ticks) == (10 * len(mine), 100 * len(mine))


@pytest.mark.parametrize("stat", [None, "cpu  1 2 3\n", "cpu0 1 2 3\n"])
def test_a_machine_that_does_not_tell(proc: Path, stat: str | None) -> None:
    if stat is not None:
        (proc / "stat").write_text(stat)
    nothing = Reading.now()
    assert (nothing.throttled_seconds, nothing.stolen_ticks) == (None, None)
    assert withheld(nothing, nothing, 1.0) == (None, None)


def test_shares_of_a_window() -> None:
    assert withheld(Reading(1.0, 10, 1000), Reading(1.5, 30, 2000), 10.0) == (0.05, 0.02)
    assert withheld(Reading(1.0, 10, 1000), Reading(1.0, 10, 1000), 10.0) == (0.0, None)


def test_this_machine_tells_of_steal_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PROC", Path("/proc"))
    found = Reading.now()
    assert found.stolen_ticks is not None
    assert found.ticks > found.stolen_ticks
