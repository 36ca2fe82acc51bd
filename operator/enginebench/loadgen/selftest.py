"""`enginebench selftest`: how much this machine's load generator carries, against a simulated engine beside it."""

import argparse
import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import uvloop

from enginebench.api.loadplan import CALIBRATION_ENGINE, CALIBRATION_STREAMS
from enginebench.loadgen.address import Address, parse
from enginebench.loadgen.calibrate import Limit, against, calibrate

SECONDS = 5


def main(argv: Sequence[str]) -> int:
    """0 with the limit on stdout; 1 where it could not be measured, with a sentence on stderr."""
    options = _parser().parse_args(argv)
    try:
        limit = uvloop.run(_selftest(options.seconds, options.most))
    except OSError as error:
        return _failed(str(error))
    if limit is None:
        return _failed("interrupted")
    print(msgspec.json.encode(limit).decode() if options.json else in_words(limit))  # noqa: T201  # the result
    return 0


def in_words(limit: Limit) -> str:
    """A table of what was tried, and the result in a sentence."""
    lines = [f"{'streams':>8}  {'tokens/s':>10}  {'TTFT P99':>10}  {'gap P99':>10}"]
    lines += [
        f"{step.streams:>8}  {step.tokens_per_second:>10,.0f}  {step.ttft_p99:>7.1f} ms  {step.gap_p99:>7.1f} ms"
        + ("" if step.faithful else "  distorted")
        for step in limit.steps
    ]
    return "\n".join(lines) + (
        f"\nThis load generator carries {'' if limit.bounded else 'at least '}{limit.tokens_per_second:,.0f} tokens/s "
        f"({limit.streams} streams) faithfully here, one process on one core, beside a simulated engine."
    )


async def _selftest(seconds: int, most: int) -> Limit | None:
    interrupt = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, interrupt.set)
    async with _simulated() as address:
        return await calibrate(await against(address, interrupt, seconds), most)


@asynccontextmanager
async def _simulated() -> AsyncIterator[Address]:
    """A simulated engine in a process of its own."""
    engine = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "enginebench", "simulate", "--host", "127.0.0.1", "--port", "0", *CALIBRATION_ENGINE),
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # ^C is for us: we end it
    )
    try:
        assert engine.stderr is not None
        said = (await engine.stderr.readline()).decode()
        found = re.search(r"port (\d+)", said)
        if found is None:
            raise OSError(f"the simulated engine did not start: {said.strip()}")
        yield parse(f"http://127.0.0.1:{found[1]}")
    finally:
        if engine.returncode is None:
            engine.terminate()
        await engine.wait()


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
    parser.add_argument("--json", action="store_true", help="for programs")
    return parser
