"""An engine of our own that was killed in every way starts again, and leaves nothing when it is stopped.

It runs in network, mount and process namespaces of its own, with its own /run: a machine within the machine, in
which everything may be killed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devcluster import debian
from devcluster.cache import Cache
from devcluster.engine import needs_wrapper
from devcluster.golang import GoPrograms
from devcluster.settings import from_environment

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = from_environment(os.environ, ROOT)

pytestmark = pytest.mark.skipif(not SETTINGS.engine_data.exists(), reason="no engine of our own on this machine")

LIFE = r"""
import os, signal, subprocess, sys, time
from pathlib import Path
from devcluster import cgroups, fence, process
from devcluster.engine import OwnEngine
from devcluster.settings import from_environment

cache, wrapper, program = sys.argv[1:]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
settings = from_environment({"XDG_CACHE_HOME": cache, "HOME": "/nowhere"}, Path(cache))
own = OwnEngine(settings)

def start():
    return own.start(Path(wrapper) if wrapper else None)

def kill(*names):
    for pid in list(process.find(lambda words: Path(words[0]).name.startswith(names))):
        os.kill(pid, signal.SIGKILL)
    time.sleep(0.3)

def alive():
    return sorted({Path(words[0]).name for pid in process.find(bool) if (words := process.arguments(pid))} - {"init"})

engine = start()
layer = Path(cache, "layer")
layer.mkdir()
subprocess.run(["cp", program, layer / "pause"], check=True)
process.pipe(["tar", "-C", layer, "-cf", "-", "."], ["docker", "import", "-", "pause:1"], engine.env)
run = ["run", "--detach", "--privileged", "--network", "enginebench", "--restart", "on-failure:1", "pause:1", "/pause", "-P"]
container = engine.docker(*run).strip()
running = lambda: engine.docker("ps", "--quiet", "--no-trunc").split()

for names in (("dockerd",), ("containerd",), ("dockerd", "containerd", "docker-proxy"), ("dockerd", "containerd-shim"),
              ("dockerd", "containerd", "pause")):
    kill(*names)
    start()
    assert container in engine.docker("ps", "--all", "--quiet", "--no-trunc").split(), names
    engine.docker("start", container)
    assert running() == [container], names
    print("survived", *names, flush=True)

# A pid file that by now names another living process.
kill("dockerd", "containerd", "pause")
for file in (settings.run / "docker.pid", settings.run / "docker" / "containerd" / "containerd.pid"):
    file.write_text(str(os.getpid()))
start()
engine.docker("start", container)
print("survived stale pid files", flush=True)

kill("dockerd", "containerd")  # the container lives on, as does its network namespace
assert "pause" in alive() or "/pause" in alive(), alive()
for _ in range(2):
    own.stop()
left = set(alive()) - {Path(sys.executable).name}
assert not {name for name in left if name.startswith(("docker", "containerd", "pause"))}, left
assert fence.remains() == [], fence.remains()
assert cache not in Path("/proc/self/mountinfo").read_text(), "mounts"
assert not settings.run.exists()
assert not list(cgroups.ROOT.glob(f"**/{container}")), "control groups"
start()
assert container in engine.docker("ps", "--all", "--quiet", "--no-trunc").split()
own.stop()
print("nothing left", flush=True)
"""


def test_killed_in_every_way(tmp_path: Path) -> None:
    cache = Cache(SETTINGS.cache)
    wrapper = str(GoPrograms(cache).wrapper()) if needs_wrapper() else ""
    pause = debian.RootFilesystems(cache, SETTINGS.cache / "logs").node() / "usr/bin/catatonit"
    namespaces = [
        "unshare",
        "--net",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    own_run = ["sh", "-c", 'mount -t tmpfs tmpfs /run; exec "$@"', "-"]
    command = [*namespaces, *own_run, sys.executable, "-c", LIFE, str(tmp_path), wrapper, str(pause)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.stdout.splitlines()[-1:] == ["nothing left"], done.stdout + done.stderr
