"""The reference server (bench/refserver): built once, kept in the cache, started where it keeps its time."""

import os
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from devcluster import process, settings
from devcluster.cache import Cache, digest, source_digest
from devcluster.errors import RefusedError

SOURCES = Path(__file__).resolve().parent / "refserver"
MODEL = "reference"
FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror")
COMPILERS = ("cc", "gcc", "clang")


class Quantiles(msgspec.Struct, frozen=True):
    """Of one figure, as it was sent; milliseconds. Without a sample only the count."""

    count: int
    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    p999: float = msgspec.field(name="p99.9", default=0.0)
    min: float = 0.0
    max: float = 0.0


class Counters(msgspec.Struct, frozen=True):
    """Of the completions that arrived since the last reset."""

    started: int
    finished: int
    stopped_early: int
    """The client closed its connection before the last token."""
    tokens: int
    tokens_ever: int
    """Not touched by a reset."""
    stalled_writes: int
    """The client did not read: the kernel could not take an event at once."""
    dropped_samples: int
    first_arrival_unix: float
    seconds: float
    """From the first arrival to the last event."""


class Truth(Counters, frozen=True):
    """What was really sent; bench/refserver/truth.h says what each figure is."""

    ttft: Quantiles
    gap: Quantiles
    itl: Quantiles
    latency: Quantiles
    lateness: Quantiles


class Reference:
    """A reference server that runs."""

    def __init__(self, port: int, pid: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.pid = pid

    def truth(self) -> Truth:
        """What was sent since the last reset. Takes the server a moment: not while it is measured against."""
        return msgspec.json.decode(self._ask("GET", "/truth"), type=Truth)

    def counters(self) -> Counters:
        """The same without the figures; costs the server nothing."""
        return msgspec.json.decode(self._ask("GET", "/counters"), type=Counters)

    def reset(self) -> Counters:
        """Begin a new record; the counters of the old one."""
        return msgspec.json.decode(self._ask("POST", "/truth/reset"), type=Counters)

    def _ask(self, method: str, path: str) -> bytes:
        request = urllib.request.Request(self.url + path, method=method)  # noqa: S310  # our own server, on this machine
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  # the same
            return bytes(response.read())


def compiler() -> str:
    """The machine's C compiler; RefusedError in words if it has none."""
    for name in COMPILERS:
        if found := shutil.which(name):
            return found
    raise RefusedError(
        "The reference server is a C program, and this machine has no C compiler (cc, gcc or clang in PATH). "
        "Install one: Debian `apt-get install gcc libc6-dev`, Fedora `dnf install gcc`."
    )


def build(extra: Sequence[str] = ()) -> Path:
    """The program, compiled if it is not in the cache; `extra` goes to the compiler."""
    if not hasattr(os, "pidfd_open"):
        raise RefusedError("The reference server runs on Linux only (epoll, timerfd): use a Linux machine.")
    cc = compiler()
    version = process.run([cc, "--version"])

    def compile_to(draft: Path) -> None:
        process.run([cc, *FLAGS, *extra, "-o", draft, *sorted(SOURCES.glob("*.c"))])

    cache = Cache(settings.load().cache)
    return cache.ensure("refserver", digest(version, *FLAGS, *extra, source_digest(SOURCES)), compile_to)


@contextmanager
def running(program: Path, *, prefix: Sequence[str] = (), options: Sequence[str] = ()) -> Iterator[Reference]:
    """A server of its own; `prefix` goes before the command (`taskset -c 0`), and none of it outlives the block."""
    command = process.mortal([*prefix, program, *options])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            said = server.stdout.readline()
            if not said.startswith("refserver on port "):
                raise RefusedError(f"The reference server did not start ({' '.join(command)}): its words are above.")
            yield Reference(int(said.split()[-1]), server.pid)
        finally:
            server.terminate()
