"""The engine: whose processes are whose, and what is said where there is none."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import cgroups, process
from devcluster.cache import unmount_below
from devcluster.engine import Engine, OwnEngine, lacks_capability, users_engine
from devcluster.errors import RefusedError
from devcluster.settings import Settings


def settings_at(cache: Path, run: Path) -> Settings:
    return Settings("test", cache, cache / "enginebench", run, current_context=False, confirmed=False)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    yield settings_at(tmp_path / "cache", tmp_path / "run")
    unmount_below(tmp_path)  # an engine that was started against all expectations keeps its data folder mounted


def test_our_processes_are_known_by_their_folders(settings: Settings) -> None:
    own = OwnEngine(settings)
    root, data = settings.run / "docker", settings.engine_data / "data"
    assert own.is_dockerd(["/usr/sbin/dockerd", *own.command(None)[1:]])
    for words in (
        own.command(Path("/wrapper")),
        ["containerd", "--config", f"{root}/containerd/containerd.toml"],
        ["/usr/bin/containerd-shim-runc-v2", "-namespace", "enginebench", "-address", f"{root}/containerd/sock"],
    ):
        assert own.is_ours(words)
    for words in (
        [],
        ["dockerd"],
        ["dockerd", "--exec-root=/var/run/docker", f"--data-root={data}"],
        ["containerd", "--config", "/etc/containerd/config.toml"],
        ["vi", f"{root}/containerd/containerd.toml"],
    ):
        assert not own.is_ours(words)


def test_the_engine_has_no_way_out(settings: Settings) -> None:
    command = OwnEngine(settings).command(None)
    assert {"--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"} <= set(command)
    assert not [word for word in command if word.startswith("--host=tcp")]
    assert not [word for word in command if "runtime" in word]
    assert "--default-runtime=enginebench" in OwnEngine(settings).command(Path("/wrapper"))


@pytest.fixture
def another(settings: Settings, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A living process with the command line of another cache folder's engine."""
    other = OwnEngine(settings_at(tmp_path / "other", settings.run))
    words = ["dockerd", "-c", "read line", *other.command(None)[1:]]
    with subprocess.Popen(words, executable="/bin/bash", stdin=subprocess.PIPE) as child:
        # Popen returns when the exec is under way; a little later the kernel shows the new command line.
        limit = time.monotonic() + 10
        while not process.arguments(child.pid) and time.monotonic() < limit:
            time.sleep(0.01)
        yield child
        child.kill()


def test_another_cache_folders_engine_is_left_alone(
    settings: Settings, another: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    own = OwnEngine(settings)
    for act in (lambda: own.start(None), own.stop):
        with pytest.raises(RefusedError, match=f"XDG_CACHE_HOME={tmp_path}/other"):
            act()
    assert another.poll() is None
    assert not list(process.find(own.is_dockerd))


STATUS = "Name:\tpython\nCapEff:\t000001ffffffffff\nCapBnd:\t{}\n"


def test_the_missing_capability_is_seen_in_the_bounding_set() -> None:
    assert lacks_capability(STATUS.format("000001fffeffffff"))
    assert not lacks_capability(STATUS.format("000001ffffffffff"))


def test_environment_of_an_engine() -> None:
    assert Engine("", own=False).env == {"KIND_EXPERIMENTAL_DOCKER_NETWORK": "enginebench"}
    assert Engine("unix:///x", own=True).env["DOCKER_HOST"] == "unix:///x"
    assert Engine("unix:///x", own=True).env["DOCKER_BUILDKIT"] == "0"


def test_our_own_socket_is_not_the_users_engine(settings: Settings) -> None:
    """.cluster/env was sourced, and the engine has died since."""
    assert users_engine({"DOCKER_HOST": settings.engine_host}, settings) is None


def group_of(controller: Path) -> Path:
    return controller / cgroups.PARENT / "enginebench-unit-test"


@pytest.mark.skipif(os.geteuid() != 0, reason="control groups need root")
def test_what_is_left_of_a_container_is_killed_with_its_control_groups() -> None:
    controller = next((p for p in (cgroups.ROOT / "pids", cgroups.ROOT) if (p / "cgroup.procs").exists()), None)
    if controller is None:
        pytest.skip("no control groups here")
    group = group_of(controller)
    (group / "inner").mkdir(parents=True)
    with subprocess.Popen(["sleep", "64.25"]) as child:
        (group / "inner" / "cgroup.procs").write_text(str(child.pid))
        cgroups.end({"some-other-container"})
        assert child.poll() is None
        cgroups.end({group.name})
        assert child.wait(5) == -9
    assert not group.exists()
    cgroups.end({group.name})
