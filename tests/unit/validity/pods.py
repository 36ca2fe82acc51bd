"""Load generator and simulated engine as processes of their own, and a point whose course a test disturbs."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from enginebench.api import loadplan
from enginebench.api.loadplan import LoadPlan
from enginebench.results.frames import Decoder
from enginebench.results.messages import End, Failure, Progress
from enginebench.results.point_report import PointReport

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "operator")}
Process = subprocess.Popen[bytes]


@cache
def realtime() -> tuple[str, ...]:
    """A command's prefix that keeps other work of this machine from it; empty where that is not allowed."""
    chrt = shutil.which("chrt")
    if chrt is None or subprocess.run([chrt, "-r", "5", "true"], check=False, capture_output=True).returncode:
        return ()
    return (chrt, "-r", "5")


def others_in_real_time() -> list[int]:
    """Processes besides the kernel's own that go before all others, and may keep ours waiting."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            priority = os.sched_getscheduler(int(folder.name)) in (os.SCHED_FIFO, os.SCHED_RR)
            if priority and (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "enginebench", *arguments]


@contextmanager
def engine(
    *, api: str = "vLLM", port: int = 0, prefix: Sequence[str] = (), flags: Sequence[str] = (), **settings: int
) -> Iterator[tuple[Process, str]]:
    """A simulated engine and its URL; 10 ms a step and nothing else that takes time, unless `settings` say so."""
    knobs = {"slots": 256, "prefill_microseconds_per_token": 0, "decode_step_microseconds": 10_000}
    knobs |= {"decode_step_microseconds_per_sequence": 0} | settings
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in knobs.items()]
    called = command("simulate", "--api", api, "--model", "tiny", "--port", str(port), *arguments, *flags)
    with subprocess.Popen([*prefix, *called], env=ENVIRONMENT, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            found = re.search(rb"port (\d+)", process.stderr.readline())
            assert found is not None
            yield process, f"http://127.0.0.1:{found[1].decode()}"
        finally:
            process.kill()


def measured(
    plan: LoadPlan,
    folder: Path,
    *,
    disturb: Callable[[Process], None] = lambda _: None,
    after: float = 1.0,
    prefix: Sequence[str] = (),
) -> PointReport:
    """The only point of the plan; `disturb` is called so many seconds after its window has opened."""
    file, decoder, report, failure = folder / "plan.json", Decoder(), None, None
    file.write_bytes(loadplan.encode(plan))
    timer: threading.Timer | None = None
    with subprocess.Popen(
        [*prefix, *command("loadgen", "--plan", str(file))], env=ENVIRONMENT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                spoken = decoder.feed(line)
                match spoken.message if spoken is not None else None:
                    case Progress(stage="Loading") if timer is None:
                        timer = threading.Timer(after, disturb, (process,))
                        timer.start()
                    case PointReport() as said:
                        report = said
                    case Failure() as failed:
                        failure = failed
                    case End():
                        break
        finally:
            process.kill()
    if timer is not None:
        timer.join()
    assert report is not None, failure
    return report
