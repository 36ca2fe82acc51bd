"""Processes: how they end, how they are found, and that no other is touched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from devcluster import process
from devcluster.errors import DevclusterError

ROOT = Path(__file__).resolve().parents[3]


def eventually(true: Callable[[], bool], seconds: float = 5) -> bool:
    limit = time.monotonic() + seconds
    while not true() and time.monotonic() < limit:
        time.sleep(0.02)
    return true()


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "61.25"]) as child:
        yield child
        child.kill()


def test_attempt_tells_how_it_went() -> None:
    assert process.attempt(["sh", "-c", "echo out; echo err >&2; exit 3"]) == process.Finished(3, "out\n", "err\n")
    assert process.attempt(["cat"], text="in").output == "in"
    assert process.attempt(["no-such-program"]).code == 127
    assert process.attempt(["sleep", "5"], timeout=0.05).code == 124


def test_run_raises_with_the_last_words() -> None:
    with pytest.raises(DevclusterError, match=r"`sh -c .*` failed \(1\):\nno such thing"):
        process.run(["sh", "-c", "echo no such thing >&2; exit 1"])


def test_run_with_a_log_raises_with_the_end_of_the_log(tmp_path: Path) -> None:
    with pytest.raises(DevclusterError, match=r"line 40$"):
        process.run(["sh", "-c", "seq -f 'line %g' 40; exit 1"], log=tmp_path / "logs" / "x.log")


def test_pipe_fails_if_either_side_does() -> None:
    assert process.pipe(["printf", "b\\na\\n"], ["sort"], {}) == "a\nb\n"
    for first, second in ((["false"], ["cat"]), (["true"], ["false"])):
        with pytest.raises(DevclusterError):
            process.pipe(first, second, {})


def writing(data: bytes) -> Callable[[IO[bytes]], None]:
    def write(out: IO[bytes]) -> None:
        out.write(data)

    return write


def test_feed_writes_to_the_standard_input(tmp_path: Path) -> None:
    target = tmp_path / "got"
    process.feed(["tee", str(target)], writing(b"x" * 200_000), {})
    assert target.read_bytes() == b"x" * 200_000


def test_feed_fails_with_the_last_words_even_of_one_that_does_not_listen() -> None:
    with pytest.raises(DevclusterError, match=r"`sh -c .*` failed \(3\):\nno room"):
        process.feed(["sh", "-c", "echo no room >&2; exit 3"], writing(bytes(10_000_000)), {})


def test_feed_ends_the_command_where_writing_fails(tmp_path: Path) -> None:
    def broken(out: IO[bytes]) -> None:
        out.write(b"half")
        raise ValueError("broken")

    target = tmp_path / "done"
    with pytest.raises(ValueError, match="broken"):
        process.feed(["sh", "-c", f"cat >/dev/null; touch {target}"], broken, {})
    assert not target.exists()


def test_sbin_is_always_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/opt/x:/usr/bin")
    assert process.environment()["PATH"].startswith("/opt/x:/usr/bin:")
    assert "/usr/sbin" in process.environment()["PATH"].split(":")


def test_find_sees_the_command_line(sleeper: "subprocess.Popen[bytes]") -> None:
    wanted = ["sleep", "61.25"]
    assert eventually(lambda: sleeper.pid in process.find(lambda words: words == wanted))
    assert sleeper.pid not in process.find(lambda words: words == ["sleep", "61"])


def test_end_leaves_a_process_that_is_not_wanted(sleeper: "subprocess.Popen[bytes]") -> None:
    process.end(sleeper.pid, lambda _: False, 0)
    assert sleeper.poll() is None


def test_end_kills_what_ignores_the_first_signal() -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout
        child.stdout.readline()
        process.end(child.pid, lambda words: code in words, 0.2)
        assert child.wait(5) == -signal.SIGKILL


def test_end_of_no_process_is_no_error() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    process.end(child.pid, lambda _: True, 0)


def test_a_daemon_outlives_the_one_who_started_it(tmp_path: Path) -> None:
    code = "from pathlib import Path; from devcluster import process\n"
    code += f"print(process.start_daemon(['sleep', '62.25'], Path({str(tmp_path / 'log')!r})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    pid = int(done.stdout)
    assert eventually(lambda: process.arguments(pid) == ["sleep", "62.25"])
    os.kill(pid, signal.SIGKILL)


def test_a_command_ends_with_us_however_we_end() -> None:
    if process.which("setpriv") is None:
        pytest.skip("no setpriv here")
    code = "from devcluster import process; process.run(['sleep', '65.25'])"

    def sleepers() -> list[int]:
        return list(process.find(lambda words: words == ["sleep", "65.25"]))

    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as owner:
        assert eventually(lambda: len(sleepers()) == 1)
        owner.kill()
    assert eventually(lambda: not sleepers())


@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_what_runs_apart_ends_with_us_and_its_mounts_too(tmp_path: Path) -> None:
    script = f"mount -t tmpfs tmpfs {tmp_path}; sleep 63.25 & sleep 63.75"
    code = f"from devcluster import process; process.run(process.apart(['sh', '-c', {script!r}]))"

    def sleepers() -> list[int]:
        return list(process.find(lambda words: words in (["sleep", "63.25"], ["sleep", "63.75"])))

    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as owner:
        assert eventually(lambda: len(sleepers()) == 2)
        assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
        owner.kill()
    assert eventually(lambda: not sleepers())
