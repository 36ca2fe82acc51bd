"""What the machine kept from this process: processor time that its cgroup or the hypervisor withheld.

Both are counters of the kernel that only grow; a reading before and one after a window tell of the window.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_STOLEN, _TICKS = 7, 8
"""Columns of /proc/stat (proc(5)): the eighth is steal; guest time, which follows, is part of user time."""


@dataclass(frozen=True, slots=True)
class Reading:
    """None where the machine does not tell."""

    throttled_seconds: float | None
    """That the cgroups of this process were not let run, for having used up their CPU limit. Summed over processors."""
    stolen_ticks: int | None
    """That the hypervisor gave to others, of the processors this process may use."""
    ticks: int
    """Of those processors in all."""

    @classmethod
    def now(cls) -> "Reading":
        stolen, ticks = _ticks(PROC / "stat")
        return cls(_throttled_seconds(PROC / "self"), stolen, ticks)


def withheld(before: Reading, after: Reading, seconds: float) -> tuple[float | None, float | None]:
    """Shares of a window of so many seconds: (throttled, stolen); None where it is not known."""
    throttled = stolen = None
    if before.throttled_seconds is not None and after.throttled_seconds is not None and seconds > 0:
        throttled = max(0.0, after.throttled_seconds - before.throttled_seconds) / seconds
    if before.stolen_ticks is not None and after.stolen_ticks is not None and after.ticks > before.ticks:
        stolen = max(0, after.stolen_ticks - before.stolen_ticks) / (after.ticks - before.ticks)
    return throttled, stolen


def _ticks(stat: Path) -> tuple[int | None, int]:
    """(stolen, all) ticks of the processors that this process may use."""
    mine = {f"cpu{number}" for number in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    stolen = total = 0
    with suppress(OSError):
        for line in stat.read_text().splitlines():
            name, *columns = line.split()
            if name in mine and len(columns) >= _TICKS:
                stolen += int(columns[_STOLEN])
                total += sum(map(int, columns[:_TICKS]))
    return (stolen if total else None), total


def _throttled_seconds(process: Path) -> float | None:
    """By `cpu.stat` of the own cgroup and of those around it, as far as they are seen from here."""
    found = [seconds for folder in _cpu_cgroups(process) if (seconds := _throttled_in(folder / "cpu.stat")) is not None]
    return sum(found) if found else None


def _throttled_in(stat: Path) -> float | None:
    """cgroup v2 counts in microseconds, v1 in nanoseconds."""
    with suppress(OSError, ValueError):
        values = dict(line.split() for line in stat.read_text().splitlines())
        if "throttled_usec" in values:
            return int(values["throttled_usec"]) / 1e6
        if "throttled_time" in values:
            return int(values["throttled_time"]) / 1e9
    return None


def _cpu_cgroups(process: Path) -> Iterator[Path]:
    """Folders of the process's cgroup of the cpu controller, the own one first."""
    try:
        lines = [line.split(":", 2) for line in (process / "cgroup").read_text().splitlines()]
        mounts = (process / "mountinfo").read_text().splitlines()
    except OSError:
        return
    paths = {controllers: path for _, controllers, path in lines}
    v1 = next((names for names in paths if "cpu" in names.split(",")), None)
    for mount in mounts:
        # proc_pid_mountinfo(5): id, parent, device, root, mount point, options, …, "-", type, source, super options
        fields, _, rest = (part.split() for part in mount.partition(" - "))
        kind, _, options = rest[0], rest[1], rest[2].split(",")
        if (kind, "cpu" in options) == ("cgroup", True) if v1 is not None else kind == "cgroup2":
            top, path = Path(fields[4]), paths.get(v1 or "", "/")
            yield from _upwards(top, path.removeprefix(fields[3].rstrip("/")))
            return


def _upwards(top: Path, path: str) -> Iterator[Path]:
    """From a cgroup up to where they are mounted. One that is not to be seen from here has no folder."""
    folder = top / path.strip("/")
    while folder != top and top in folder.parents:
        yield folder
        folder = folder.parent
    yield top
