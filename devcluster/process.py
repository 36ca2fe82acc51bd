"""Running programs: the one place where this package starts and ends processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from devcluster.errors import DevclusterError

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # a user's PATH may lack sbin


@dataclass(frozen=True)
class Finished:
    code: int
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        return self.code == 0


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    merged = {**os.environ, **(extra or {})}
    known = merged.get("PATH", "").split(":")
    merged["PATH"] = ":".join([*filter(None, known), *(p for p in SYSTEM_PATH.split(":") if p not in known)])
    return merged


def attempt(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    log: Path | None = None,
) -> Finished:
    """Run to the end and say how it went; `text` is its standard input, seconds for `timeout`.

    With `log` both outputs go there instead. A time-out is a failure with code 124.
    """
    words = mortal(command)
    if log:
        log.parent.mkdir(parents=True, exist_ok=True)
    sink = log.open("a") if log else subprocess.PIPE
    try:
        done = subprocess.run(
            words,
            env=environment(env),
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT if log else sink,
            text=True,
            errors="replace",
            cwd=cwd,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        return Finished(127, "", f"{command[0]}: not found")
    except subprocess.TimeoutExpired:
        return Finished(124, "", f"{command[0]}: no end within {timeout:.0f} s")
    finally:
        if not isinstance(sink, int):
            sink.close()
    return Finished(done.returncode, done.stdout or "", done.stderr or "")


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    text: str | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    log: Path | None = None,
) -> str:
    """Like `attempt`, but a failure raises DevclusterError with the command's last words."""
    done = attempt(command, env=env, text=text, cwd=cwd, timeout=timeout, log=log)
    if not done.ok:
        said = tail(log) if log else (done.errors.strip() or done.output.strip())
        words = " ".join(str(word) for word in command)
        raise DevclusterError(f"`{shorten(words)}` failed ({done.code}):\n{last_lines(said)}")
    return done.output


def pipe(first: Sequence[str | Path], second: Sequence[str | Path], env: Mapping[str, str]) -> str:
    """`first | second`; both must succeed. Returns the second one's output."""
    settings = environment(env)
    with subprocess.Popen(mortal(first), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=settings) as source:
        done = subprocess.run(
            mortal(second),
            stdin=source.stdout,
            capture_output=True,
            text=True,
            check=False,
            env=settings,
        )
        if source.stdout:
            source.stdout.close()
    if source.returncode or done.returncode:
        raise DevclusterError(f"`{first[0]} | {' '.join(map(str, second))}` failed:\n{done.stderr.strip()}")
    return done.stdout


def feed(command: Sequence[str | Path], write: Callable[[IO[bytes]], None], env: Mapping[str, str]) -> None:
    """`command` with what `write` writes as its standard input. DevclusterError, with its last words, where it fails."""
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(
            mortal(command), stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment(env)
        ) as child:
            assert child.stdin
            try:
                write(child.stdin)
                child.stdin.close()
            except BrokenPipeError:  # its exit code tells
                pass
            except BaseException:
                child.kill()
                raise
        said.seek(0)
        if child.returncode:
            words = shorten(" ".join(str(word) for word in command))
            last = last_lines(said.read().decode(errors="replace"))
            raise DevclusterError(f"`{words}` failed ({child.returncode}):\n{last}")


def mortal(command: Sequence[str | Path]) -> list[str]:
    """The command, to be ended by the kernel when we end, also by SIGKILL.

    A `cp` or `kind create` that outlived us would work against the run that comes after.
    """
    words = [str(word) for word in command]
    return ["setpriv", "--pdeathsig", "KILL", *words] if which("setpriv") else words


def apart(command: Sequence[str | Path]) -> list[str]:
    """The command in mount and process namespaces of its own: its mounts and processes end with it."""
    own = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*own, "--", *(str(word) for word in command)]


def start_daemon(command: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> int:
    """Start a process that outlives us; its outputs go to `log`. Returns its pid."""
    with log.open("a") as sink:
        child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            cwd="/",
            env=environment(env),
        )
    while not arguments(child.pid) and child.poll() is None:  # the kernel shows them a little after the exec
        time.sleep(0.01)
    return child.pid


def arguments(pid: int) -> list[str]:
    """The command line of a living process; empty for a zombie, a kernel thread, or none."""
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [word.decode(errors="replace") for word in raw.split(b"\0")[:-1]]


def shares_network(pid: int) -> bool:
    """It is in our network namespace: another one's is in nobody's way."""
    try:
        return Path(f"/proc/{pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()
    except OSError:  # it has just ended
        return False


def find(wanted: Callable[[list[str]], bool]) -> Iterator[int]:
    """The pids of all living processes whose command line is `wanted`."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (words := arguments(int(entry.name))) and wanted(words):
            yield int(entry.name)


def end(pid: int, wanted: Callable[[list[str]], bool], patience: float) -> None:
    """SIGTERM, and SIGKILL after `patience` seconds, if and only if the process is still `wanted`.

    The pidfd is opened before the check, so that a pid that the kernel gave
    to another process in the meantime is never signalled.
    """
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        for number, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
            if not wanted(arguments(pid)):
                return
            signal.pidfd_send_signal(handle, number)
            limit = time.monotonic() + wait
            while time.monotonic() < limit and wanted(arguments(pid)):
                time.sleep(0.05)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def which(program: str) -> Path | None:
    found = shutil.which(program, path=environment()["PATH"])
    return Path(found) if found else None


def tail(path: Path, lines: int = 15) -> str:
    try:
        return last_lines(path.read_text(errors="replace"), lines)
    except OSError:
        return ""


def last_lines(text: str, lines: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def shorten(words: str, width: int = 160) -> str:
    return words if len(words) <= width else words[: width - 1] + "…"
