"""More users than slots: the throughput is the engine's, the waiting is in TTFT, and what does not end is censored."""

import asyncio
from collections.abc import Callable

import pytest

from enginebench.api.loadplan import PointPlan
from enginebench.loadgen import point
from enginebench.loadgen.address import parse
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.dataset import read
from enginebench.loadgen.point import Site, measure
from enginebench.loadgen.verify import resolved
from enginebench.results.point_report import Censored, PointReport
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.servers import API, TimedEngine, serving

SLOTS, USERS = 4, 24


async def _none() -> float | None:
    return None


async def measured(engine: TimedEngine, *, opened: Callable[[], None] = lambda: None, **changes: int) -> PointReport:
    """`opened` is called as the window opens, and once a second from then on."""
    async with serving(engine) as server:
        settings = plan(server.url, api=API, **changes)
        rows, _ = read(settings.dataset, chat=False)
        address = parse(server.url)
        site = Site(
            plan=settings,
            address=await resolved(address),
            bodies=Bodies(settings, address, rows),
            engine_start=_none,
            interrupt=asyncio.Event(),
            say=lambda stage, _words: opened() if stage == "Loading" else None,
        )
        report = await measure(site, PointPlan(index=0, concurrency=USERS))
    assert report is not None
    return report


async def test_a_saturated_engine_is_measured_as_it_is() -> None:
    engine = TimedEngine(ttft=0.02, gap=0.01, tokens=5, slots=SLOTS)
    report = await measured(engine, duration_seconds=1)
    assert report.requests.errored == report.requests.incomplete == 0
    assert not report.evidence.drain_bound_reached
    # What the server really did: its timers are late on a busy machine, so the declared times are only a bound.
    service = sorted(answer.tokens[-1] - answer.tokens[0] + 0.018e9 for answer in engine.answered if answer.tokens)
    assert report.output_tokens_per_second <= 1.1 * SLOTS * engine.tokens / (service[0] / 1e9)
    assert isinstance(report.ttft.p50, float)
    rounds = USERS / SLOTS  # users ahead of each one, and itself
    assert report.ttft.p50 >= 0.8 * (rounds - 1) * service[0] / 1e6
    # Little's law, on the server's side of the wire as on ours.
    assert report.request_latency.mean is not None
    assert report.requests_per_second * report.request_latency.mean / 1000 == pytest.approx(USERS, rel=0.25)


async def test_an_overloaded_engine_is_bounded_in_time_and_told_as_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer takes 0.3 s, so that 24 users have no warm-up of a second; in the window the engine stalls."""
    monkeypatch.setattr(point, "MIN_DRAIN_SECONDS", 0.6)
    engine = TimedEngine(ttft=0.2, gap=0.025, tokens=5, slots=SLOTS)
    opened = asyncio.Event()

    async def stall() -> None:
        await opened.wait()
        before = len(engine.answered)
        while len(engine.answered) < before + SLOTS:  # noqa: ASYNC110  # requests of the window wait for a slot
            await asyncio.sleep(0.01)
        engine.ttft = 60.0

    began, stalling = asyncio.get_running_loop().time(), asyncio.create_task(stall())
    report = await measured(engine, opened=opened.set, duration_seconds=2, warmup_max_seconds=1)
    await stalling
    assert asyncio.get_running_loop().time() - began < 20
    assert report.evidence.warmup_bound_reached
    assert report.evidence.drain_bound_reached
    assert report.requests.errored == 0
    assert report.requests.incomplete > 0
    assert report.ttft.censored == report.request_latency.censored == report.requests.incomplete
    assert isinstance(report.request_latency.p99, Censored)
    assert report.request_latency.mean is None
    assert report.output_tokens_per_second > 0
