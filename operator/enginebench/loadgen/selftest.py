"""`enginebench selftest`: how much this machine's load generator carries, against a simulated engine beside it."""

import argparse
import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import uvloop

from enginebench.api.loadplan import CALIBRATION_ENGINE, CALIBRATION_STREAMS, LoadPlan
from enginebench.loadgen.calibrate import Limit, calibrated, plan_against
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.main import follow
from enginebench.loadgen.processes import Processes, fork

SECONDS = 5


def main(argv: Sequence[str]) -> int:
    """0 with the limit on stdout; 1 where it could not be measured, with a sentence on stderr."""
    options = _parser().parse_args(argv)
    try:
        with _simulated() as url:
            plan = plan_against(url, options.seconds, options.processes)
            followers = fork(options.processes - 1, lambda _, own: uvloop.run(follow(plan, own, _complain)))
            limit = uvloop.run(_selftest(plan, followers, options.most))
    except (OSError, GaveUp) as error:
        return _failed(str(error))
    if limit is None:
        return _failed("interrupted")
    print(msgspec.json.encode(limit).decode() if options.json else in_words(limit, options.processes))  # noqa: T201  # the result
    return 0


def in_words(limit: Limit, processes: int) -> str:
    """A table of what was tried, and the result in a sentence."""
    lines = [f"{'streams':>8}  {'tokens/s':>10}  {'TTFT P99':>10}  {'gap P99':>10}"]
    lines += [
        f"{step.streams:>8}  {step.tokens_per_second:>10,.0f}  {step.ttft_p99:>7.1f} ms  {step.gap_p99:>7.1f} ms"
        + ("" if step.faithful else "  distorted")
        for step in limit.steps
    ]
    return "\n".join(lines) + (
        f"\nThis load generator carries {'' if limit.bounded else 'at least '}{limit.tokens_per_second:,.0f} tokens/s "
        f"({limit.streams} streams) faithfully here, in "
        f"{processes} process{'es' if processes > 1 else ''}, beside a simulated engine."
    )


async def _selftest(plan: LoadPlan, followers: Processes, most: int) -> Limit | None:
    interrupt = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, interrupt.set)
    return await calibrated(plan, followers, interrupt, most)


@contextmanager
def _simulated() -> Iterator[str]:
    """The URL of a simulated engine in a process of its own."""
    where = ("--host", "127.0.0.1", "--port", "0")
    with subprocess.Popen(
        [sys.executable, "-m", "enginebench", "simulate", *where, *CALIBRATION_ENGINE],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # ^C is for us: we end it
    ) as engine:
        try:
            assert engine.stderr is not None
            said = engine.stderr.readline()
            found = re.search(r"port (\d+)", said)
            if found is None:
                raise OSError(f"the simulated engine did not start: {said.strip()}")
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            engine.terminate()


def _complain(text: str) -> None:
    sys.stderr.write(text)


def _failed(why: str) -> int:
    print(f"enginebench selftest: {why}", file=sys.stderr)  # noqa: T201  # the command's last word
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="enginebench selftest",
        description="Measure how many tokens a second the load generator can receive here without distorting them.",
    )
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"of each number of streams; {SECONDS}")
    parser.add_argument("--most", type=int, default=CALIBRATION_STREAMS, help=f"streams at most; {CALIBRATION_STREAMS}")
    parser.add_argument("--processes", type=int, default=1, help="that share the load, one a core; 1")
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser
