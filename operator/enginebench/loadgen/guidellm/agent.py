"""Runs GuideLLM in its own image, at the word of the load pod's program: a copy of this file is all that goes there.

GuideLLM's image has a Python of its own: only the standard library is imported, and nothing newer than Python 3.9.
It listens at a Unix socket. A connection is one run: a line of JSON, {"argv", "env"}, comes in; lines of JSON go out:
first what is installed here and what it may use, then a `tick` a second with what GuideLLM's processes took, then its
`exit` code with its last words. No argv asks for the first line alone. When the connection closes early, GuideLLM and
all that it started is killed.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TICK_SECONDS = 1.0
TAIL_BYTES = 2000
"""Of what GuideLLM said last, for people."""
TICKS = os.sysconf("SC_CLK_TCK")
UNLIMITED = 1 << 60
"""cgroup v1 writes about 2^63 where there is no memory limit."""


def version() -> str:
    """Of the GuideLLM that is installed here; empty: none is."""
    try:
        return importlib.metadata.version("guidellm")
    except importlib.metadata.PackageNotFoundError:
        return ""


def read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def cpu_limit() -> float:
    """Processors that this container may use."""
    allowed = float(len(os.sched_getaffinity(0)))
    quota, _, period = read("/sys/fs/cgroup/cpu.max").partition(" ")
    if not quota:
        folder = "/sys/fs/cgroup/cpu"
        quota, period = read(folder + "/cpu.cfs_quota_us"), read(folder + "/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit():
        return min(allowed, int(quota) / int(period))
    return allowed


def memory_limit() -> int:
    """Bytes that this container may use: its limit, else what the machine has left."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        said = read(path)
        if said.isdigit() and int(said) < UNLIMITED:
            return int(said)
    for line in read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def memory_used() -> int:
    """Bytes that this container holds; 0: not told."""
    for path in ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes"):
        said = read(path)
        if said.isdigit():
            return int(said)
    return 0


def throttled_seconds() -> float | None:
    """That the container was not let run, having used up its CPU limit, since it began; None: not told."""
    for path in ("/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/cpu/cpu.stat"):
        for line in read(path).splitlines():
            name, _, value = line.partition(" ")
            if name == "throttled_usec":
                return int(value) / 1e6
            if name == "throttled_time":
                return int(value) / 1e9
    return None


def waits(pid: str) -> tuple[float, int]:
    """(seconds that a process's main thread was ready to run and did not, times that it ran): proc_pid_schedstat(5)."""
    fields = read("/proc/" + pid + "/schedstat").split()
    return (int(fields[1]) / 1e9, int(fields[2])) if len(fields) == 3 else (0.0, 0)  # noqa: PLR2004  # its fields


def stat(pid: str) -> tuple[int, float]:
    """(session, seconds of processor time) of a process (proc_pid_stat(5)); (0, 0.0) where it is gone."""
    fields = read("/proc/" + pid + "/stat").rpartition(")")[2].split()
    return (int(fields[3]), (int(fields[11]) + int(fields[12])) / TICKS) if fields else (0, 0.0)


class Tree:
    """The processes of one run, by their session, and what each took, also those that are gone."""

    def __init__(self, session: int) -> None:
        self.session = session
        self.cpu: dict[str, float] = {}
        self.waits: dict[str, tuple[float, int]] = {}

    def look(self) -> dict[str, float | None]:
        """A tick: seconds of processor time of all, the most that one of them took since the last one, how long they
        waited for a processor, and how often they got one, how many they are, and the container's memory."""
        busiest, alive = 0.0, 0
        for pid in (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            session, used = stat(pid)
            if session != self.session:
                continue
            busiest = max(busiest, used - self.cpu.get(pid, 0.0))
            self.cpu[pid] = used
            self.waits[pid] = waits(pid)
            alive += 1
        return {
            "at": time.time(),
            "cpu": sum(self.cpu.values()),
            "busiest": busiest,
            "waited": sum(waited for waited, _ in self.waits.values()),
            "ran": sum(ran for _, ran in self.waits.values()),
            "processes": alive,
            "memory": memory_used(),
            "throttled": throttled_seconds(),
        }


def run(connection: socket.socket, order: dict[str, Any]) -> None:
    """One run, to its end or to the end of the connection."""

    def say(**words: object) -> None:
        connection.sendall(json.dumps(words).encode() + b"\n")

    say(version=version(), python=sys.version.split()[0], cpus=cpu_limit(), memory=memory_limit())
    if not order["argv"]:
        return
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                order["argv"],
                env={**os.environ, **order["env"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            say(exit=127, said=str(error))
            return
        tree, watch = Tree(process.pid), selectors.DefaultSelector()
        watch.register(connection, selectors.EVENT_READ)
        try:
            due = time.monotonic()
            while process.poll() is None:
                due += TICK_SECONDS
                say(tick=tree.look())
                while process.poll() is None and (left := min(0.05, due - time.monotonic())) > 0:
                    if watch.select(left) and not connection.recv(1):
                        return  # nobody waits for it any more
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            say(exit=process.returncode, said=log.read().decode(errors="replace"))
        finally:
            end(process, tree)
            watch.close()


def end(process: subprocess.Popen[bytes], tree: Tree) -> None:
    """Kill what is left: GuideLLM's workers are of its session."""
    tree.look()
    for pid in tree.cpu:
        if stat(pid)[0] == tree.session:
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)
    process.wait()


def serve(path: str) -> None:
    """Never returns by itself."""
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines, contextlib.suppress(OSError, ValueError):
                run(connection, json.loads(lines.readline()))


def stop(*_: object) -> None:
    """SIGTERM: as process 1 of a container it would be ignored."""
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    serve(sys.argv[1])
