"""The machine that a bench runs on: who runs where, with what right of way, and its name for the table."""

import functools
import os
import platform
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

SERVER_CORE = 0
CLIENT_CORE = 1
REALTIME = ("chrt", "--fifo", "50")


@functools.cache
def realtime() -> tuple[str, ...]:
    """What puts a program before everything else on its core; nothing where that is not allowed."""
    return REALTIME if subprocess.run([*REALTIME, "true"], capture_output=True, check=False).returncode == 0 else ()


def server_prefix() -> list[str]:
    """The server alone on its core, at real-time priority."""
    return ["taskset", "--cpu-list", str(SERVER_CORE), *realtime()]


def client_prefix(cores: Sequence[int]) -> list[str]:
    """A client on these cores."""
    return ["taskset", "--cpu-list", ",".join(map(str, cores))]


def favour(pid: int) -> bool:
    """Put a session's processes before other work that shares their cores; whether that was allowed.

    Not real time: a client that is always busy would be stopped for 50 ms in every second, and its own processes
    would not share a core as the kernel means them to. The nice value of a session counts against other sessions
    only, so that the client's processes are scheduled among themselves as on an idle machine.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, -20)  # where sessions are not scheduled as groups
        with suppress(FileNotFoundError):
            Path(f"/proc/{pid}/autogroup").write_text("-20")
        return True
    return False


def attend() -> None:
    """The calling thread, which does little, is not kept waiting by other work but the server, whose core it shares:
    where a client is, a look at all processes would hold it up for ten milliseconds. Where that is allowed."""
    with suppress(OSError):
        os.sched_setaffinity(0, {SERVER_CORE})  # of the thread
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))


def cores() -> list[int]:
    """That this process may use."""
    return sorted(os.sched_getaffinity(0))


def commit() -> str:
    """Of this checkout, `-dirty` behind it where a file differs from it; empty outside of git."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    with suppress(OSError):
        folder = Path(__file__).resolve().parent
        return subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True).stdout.strip()
    return ""


def here_and_now() -> str:
    """Machine, day and commit: what a figure must be read with."""
    at = commit()
    return f"{name()}, on {datetime.now(UTC):%Y-%m-%d}" + (f", at commit {at}" if at else "")


def name() -> str:
    """Processor, cores, memory, kernel, Python."""
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    virtual = ", virtual" if re.search(r"^flags\s*:.*\bhypervisor\b", text, re.MULTILINE) else ""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {model[1] if model else platform.machine()}{virtual}, {memory:.0f} GiB, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )
