"""What runs GuideLLM in its container: it says what there is, runs, watches, and leaves nothing behind."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from enginebench.api.loadplan import AGENT_FILE, AGENT_SOCKET
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.guidellm import agent, bring, remote
from enginebench.loadgen.guidellm.remote import Agent, Tick
from tests.unit.loadgen.guidellm.agents import agent_with

NOTHING = "import sys; sys.exit(0)"


def nowhere(_: Tick) -> None:
    """Nobody looks at the ticks."""


async def test_it_says_what_is_installed_and_what_it_may_use(tmp_path: Path) -> None:
    async with agent_with(tmp_path, NOTHING, version="0.8.1") as folder:
        hello = await Agent(folder).hello()
    assert hello.version == "0.8.1"
    assert 0 < hello.cpus <= len(os.sched_getaffinity(0))
    assert hello.memory > 0


async def test_a_run_ends_with_its_code_and_its_last_words(tmp_path: Path) -> None:
    async with agent_with(tmp_path, "import os, sys; print('x' * 5000, os.environ['SAID']); sys.exit(3)") as folder:
        ended = await Agent(folder).run(["guidellm"], {"SAID": "the end"}, nowhere)
    assert ended is not None
    assert ended.exit == 3
    assert ended.said.endswith("the end\n")
    assert len(ended.said) <= agent.TAIL_BYTES


async def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with agent_with(tmp_path, NOTHING) as folder:
        ended = await Agent(folder).run(["no-such-program"], {}, nowhere)
    assert ended is not None
    assert ended.exit == 127
    assert "no-such-program" in ended.said


BUSY = """
import os, time
for _ in range(2):
    if os.fork() == 0:
        break
end = time.monotonic() + 2.5
while time.monotonic() < end:
    pass
"""


async def test_the_processor_time_of_all_its_processes_is_seen(tmp_path: Path) -> None:
    seen: list[Tick] = []
    async with agent_with(tmp_path, BUSY) as folder:
        ended = await Agent(folder).run(["guidellm"], {}, seen.append)
    assert ended is not None
    assert list(ended.ticks) == seen
    assert max(tick.processes for tick in seen) == 3
    assert seen[-1].cpu > 0.3, "three processes computed for seconds, however busy the machine is"
    assert 0 < max(tick.busiest for tick in seen[1:]) <= seen[-1].cpu


ENDLESS = """
import os, sys, time
os.fork()
with open(os.environ["PIDS"], "a") as file:
    file.write(f"{os.getpid()} ")
time.sleep(600)
"""


async def test_whoever_hangs_up_leaves_no_process_behind(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    async with agent_with(tmp_path, ENDLESS) as folder:
        run = asyncio.create_task(Agent(folder).run(["guidellm"], {"PIDS": str(pids)}, nowhere))
        await until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await until(lambda: not any(_alive(int(pid)) for pid in pids.read_text().split()))
        hello = await Agent(folder).hello()  # it takes the next order
    assert hello.version == "0.8.1"


async def until(holds: Callable[[], bool]) -> None:
    """Other processes have no events of ours: they are looked at."""
    for _ in range(600):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_container_that_dies_is_no_result(tmp_path: Path) -> None:
    async with agent_with(
        tmp_path, "import os, signal, time; os.kill(os.getppid(), signal.SIGKILL); time.sleep(1)"
    ) as folder:
        assert await Agent(folder).run(["guidellm"], {}, nowhere) is None


async def test_nobody_there_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "START_SECONDS", 0.1)
    with pytest.raises(GaveUp, match="container guidellm of the load pod"):
        await Agent(tmp_path).hello()


def test_it_is_brought_as_one_file_of_the_standard_library(tmp_path: Path) -> None:
    target = tmp_path / AGENT_FILE
    assert bring.main([str(target)]) == 0
    text = target.read_text()
    assert text == Path(agent.__file__).read_text()
    assert "enginebench" not in text
    assert "msgspec" not in text


async def test_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    """It is process 1 of its container, for which the kernel has no default action."""
    process = await asyncio.create_subprocess_exec("python3", agent.__file__, str(tmp_path / AGENT_SOCKET))
    await Agent(tmp_path).hello()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


def test_a_line_of_another_version_is_understood() -> None:
    line = b'{"version": "0.8.1", "python": "3.13.1", "cpus": 2.0, "memory": 5, "new": true}'
    assert msgspec.json.decode(line, type=remote.Hello).memory == 5
