"""How many tokens a second this load generator, where it runs now, can receive without distorting them.

It loads a simulated engine that gives every stream one token every 10 ms, however many there are, and looks how many
streams it can have before they look different from a single one. The answer is a lower bound: the simulated engine
takes its share of the machine, too, and may be what gave way.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from enginebench.api.loadplan import (
    CALIBRATION_MODEL,
    CALIBRATION_STREAMS,
    DatasetPlan,
    LoadPlan,
    PointPlan,
    RequestPlan,
    SyntheticRows,
)
from enginebench.loadgen import dataset
from enginebench.loadgen.address import Address, parse
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.crew import gathered
from enginebench.loadgen.point import Site, measure
from enginebench.loadgen.processes import Processes
from enginebench.loadgen.verify import asked, resolved
from enginebench.results.point_report import Figure, PointReport

TOKENS = 64
"""Of each answer."""
LEAST_SHARE = 0.98
"""Of the tokens that as many single streams would get."""
MOST_LATER_MILLISECONDS = 15.0
"""P99 of TTFT, and of the gaps, against those of a single stream."""
FIRST_STREAMS = 64
RETRY_SECONDS = 0.2


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One number of streams, and whether they looked like that many single ones."""

    streams: int
    tokens_per_second: float
    ttft_p99: float
    """Milliseconds, as `gap_p99`."""
    gap_p99: float
    faithful: bool


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    tokens_per_second: float
    """Of the most streams that were received faithfully."""
    streams: int
    bounded: bool
    """More streams were tried and distorted; else the limit lies higher than was looked for."""
    steps: tuple[Step, ...]


Measure = Callable[[int], Awaitable[PointReport | None]]
"""streams → the point as measured; None where it was interrupted."""


async def calibrate(measured: Measure, most: int = CALIBRATION_STREAMS) -> Limit | None:
    """Double the streams until they distort, then look once halfway; None where it was interrupted."""
    if (single := await measured(1)) is None:
        return None
    steps: list[Step] = []
    faithful, streams = 1, FIRST_STREAMS
    while streams <= most and (not steps or steps[-1].faithful):
        if (report := await measured(streams)) is None:
            return None
        steps.append(_step(report, single))
        if steps[-1].faithful:
            faithful, streams = streams, 2 * streams
    if steps and not steps[-1].faithful:
        if (report := await measured((faithful + streams) // 2)) is None:
            return None
        steps.append(_step(report, single))
    best = max((step for step in steps if step.faithful), key=lambda step: step.streams, default=None)
    return Limit(
        tokens_per_second=best.tokens_per_second if best is not None else single.output_tokens_per_second,
        streams=best.streams if best is not None else 1,
        bounded=not all(step.faithful for step in steps),
        steps=tuple(steps),
    )


def plan_against(url: str, seconds: int, processes: int) -> LoadPlan:
    """Points of so many seconds against the simulated engine at `url`."""
    return LoadPlan(
        run_uid="calibration",
        target=CALIBRATION_MODEL,
        attempt=0,
        url=url,
        dialect="vllm",
        model=CALIBRATION_MODEL,
        simulated=True,
        processes=processes,
        dataset=DatasetPlan(synthetic=SyntheticRows(rows=64, prompt_tokens=8, output_tokens=TOKENS)),
        request=RequestPlan(api="Completions", max_output_tokens=TOKENS),
        duration_seconds=seconds,
        ramp_seconds=1,  # equal streams that start together would be answered together
        warmup_max_seconds=10,
    )


async def calibrated(plan: LoadPlan, followers: Processes, interrupt: asyncio.Event, most: int) -> Limit | None:
    """The limit of this process and its followers, who are let go then; None where it was interrupted."""
    crew = await gathered(followers.sockets)
    try:
        address = parse(plan.url)
        await reachable(address)
        rows, _ = dataset.read(plan.dataset, chat=False)
        crew.hand_out(rows)
        site = Site(
            plan=plan,
            address=await asked(resolved(address)),
            bodies=Bodies(plan, address, rows),
            crew=crew,
            engine_start=_unknown,
            interrupt=interrupt,
            say=_nothing,
        )

        async def measured(streams: int) -> PointReport | None:
            report = await measure(site, PointPlan(index=streams, concurrency=streams))
            crew.raise_refusals()
            crew.raise_lost()
            return report

        return await calibrate(measured, most)
    finally:
        await crew.end()
        followers.end()


async def reachable(address: Address) -> None:
    """Returns when something listens there."""
    while True:
        try:
            _, writer = await asyncio.open_connection(address.host, address.port)
        except OSError:
            await asyncio.sleep(RETRY_SECONDS)
        else:
            writer.close()
            return


def _step(report: PointReport, single: PointReport) -> Step:
    streams = report.concurrency or 0
    ideal = streams * single.output_tokens_per_second
    later = [_p99(report.ttft) - _p99(single.ttft), _p99(report.inter_event_gap) - _p99(single.inter_event_gap)]
    return Step(
        streams=streams,
        tokens_per_second=report.output_tokens_per_second,
        ttft_p99=_p99(report.ttft),
        gap_p99=_p99(report.inter_event_gap),
        faithful=(
            not report.requests.errored
            and report.output_tokens_per_second >= LEAST_SHARE * ideal
            and max(later) <= MOST_LATER_MILLISECONDS
        ),
    )


def _p99(figure: Figure) -> float:
    """A bound that was not reached, or nothing at all, is far from a single stream."""
    return figure.p99 if isinstance(figure.p99, float) else float("inf")


def _nothing(_stage: str, _message: str) -> None:
    """A calibration's own points are no news."""


async def _unknown() -> float | None:
    return None
