"""How much the load generator carries: the search, and the real thing against a real simulated engine."""

import asyncio
import json
import subprocess
import sys

import pytest

from enginebench.loadgen.calibrate import Measure, calibrate
from enginebench.results.point_report import Censored, Evidence, Figure, PointReport, RequestCounts


def report(streams: int, *, share: float = 1.0, later: float = 0.0, errored: int = 0) -> PointReport:
    """So many streams, each with a share of 100 tokens/s."""
    ttft = Figure(count=1, p99=20.0 + later)
    return PointReport(
        index=streams,
        concurrency=streams,
        started_at=0.0,
        opened_at=0.0,
        ended_at=1.0,
        window_seconds=1.0,
        requests=RequestCounts(succeeded=1, errored=errored),
        requests_per_second=1.0,
        output_tokens_per_second=100.0 * streams * share,
        ttft=ttft,
        itl=ttft,
        tpot=ttft,
        inter_event_gap=Figure(count=1, p99=10.0 + later),
        request_latency=ttft,
        evidence=Evidence(),
    )


def carrying(most: int, tried: list[int], **beyond: float) -> Measure:
    """A load generator that distorts above `most` streams."""

    async def measured(streams: int) -> PointReport | None:
        tried.append(streams)
        return report(streams, **beyond) if streams > most else report(streams)  # type: ignore[arg-type]  # errored is whole

    return measured


@pytest.mark.parametrize("beyond", [{"share": 0.97}, {"later": 16.0}, {"errored": 1}])
@pytest.mark.parametrize(
    ("most", "tried", "found"),
    [
        (63, [1, 64, 32], 32),
        (10, [1, 64, 32], 1),
        (100, [1, 64, 128, 96], 96),
        (250, [1, 64, 128, 256, 192], 192),
        (140, [1, 64, 128, 256, 192], 128),
    ],
)
async def test_streams_are_doubled_until_they_distort_and_then_tried_halfway(
    most: int, tried: list[int], found: int, beyond: dict[str, float]
) -> None:
    seen: list[int] = []
    limit = await calibrate(carrying(most, seen, **beyond))
    assert limit is not None
    assert seen == tried
    assert (limit.streams, limit.tokens_per_second, limit.bounded) == (found, 100.0 * found, True)


async def test_one_that_carries_all_that_is_tried_is_not_bounded() -> None:
    limit = await calibrate(carrying(10_000, []), most=256)
    assert limit is not None
    assert (limit.streams, limit.bounded) == (256, False)


async def test_an_interrupt_ends_it() -> None:
    async def measured(streams: int) -> PointReport | None:
        return report(streams) if streams < 128 else None

    assert await calibrate(measured) is None


async def test_a_percentile_that_was_not_reached_is_no_faithful_one() -> None:
    async def measured(streams: int) -> PointReport | None:
        whole = report(streams)
        if streams == 1:
            return whole
        return PointReport(
            **{f: getattr(whole, f) for f in whole.__struct_fields__}
            | {"ttft": Figure(count=1, p99=Censored(at_least=1.0), censored=1)}
        )

    limit = await calibrate(measured, most=64)
    assert limit is not None
    assert limit.streams == 1


@pytest.mark.parametrize("processes", ["1", "2"])
async def test_selftest_measures_this_machine(processes: str) -> None:
    ran = await asyncio.to_thread(
        subprocess.run,
        [
            sys.executable,
            "-m",
            "enginebench",
            "selftest",
            "--seconds",
            "1",
            "--most",
            "64",
            "--processes",
            processes,
            "--json",
        ],
        capture_output=True,
        check=True,
        text=True,
    )
    found = json.loads(ran.stdout)
    assert found["steps"][0]["streams"] == 64
    assert found["tokens_per_second"] > 50  # a single stream gets 100, if anything runs at all
