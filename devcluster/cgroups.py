"""What is left of containers when their engine is gone: control groups and the processes in them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PARENT = "docker"  # where dockerd with the cgroupfs driver puts its containers


def end(containers: set[str], root: Path = ROOT) -> None:
    """Kill every process in the containers' control groups, then remove the groups. Repeatable."""
    groups = list(_groups(containers, root))
    limit = time.monotonic() + 10
    while (pids := {pid for group in groups for pid in _members(group)}) and time.monotonic() < limit:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for group in groups:
        _remove(group)
        with contextlib.suppress(OSError):  # the parent, once it is empty
            group.parent.rmdir()


def _groups(containers: set[str], root: Path) -> Iterator[Path]:
    """One a container with cgroup v2; one a container and controller with v1."""
    for base in (root, *root.iterdir()) if root.is_dir() else ():
        parent = base / PARENT
        if parent.is_dir() and not base.is_symlink():
            yield from (entry for entry in parent.iterdir() if entry.name in containers)


def _members(group: Path) -> Iterator[int]:
    for file in group.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            yield from (int(line) for line in file.read_text().split())


def _remove(group: Path) -> None:
    """Deepest first: a control group is removed by rmdir, and only when it has no children."""
    folders = [Path(path) for path, _, _ in os.walk(group, topdown=False)]
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()
