"""One load point: ramp, warm-up, window, drain; then everything is cancelled and the figures are made."""

import asyncio
import gc
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic_ns, time
from typing import Any

from enginebench.api.loadplan import LoadPlan, PointPlan
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.closed_loop import ClosedLoop
from enginebench.loadgen.connection import SocketAddress
from enginebench.loadgen.crew import Crew, SharedLoad
from enginebench.loadgen.keep import Kept, keep
from enginebench.loadgen.load import Load, Terms
from enginebench.loadgen.models import is_wrong
from enginebench.loadgen.open_loop import OpenLoop
from enginebench.loadgen.prometheus import gpu_series
from enginebench.loadgen.report import Course, point_report
from enginebench.loadgen.routes import route_of
from enginebench.loadgen.schedule import Schedule
from enginebench.loadgen.scraper import HAS_NONE, Scraper
from enginebench.loadgen.shard import WHOLE, Shard
from enginebench.results.point_report import PointReport
from enginebench.results.seen import Seen
from enginebench.results.shares import NoCommonWindowError

MIN_DRAIN_SECONDS, DRAIN_MEDIANS, DRAIN_SAMPLE = 30.0, 2, 1000
STALL_SECONDS = 300.0
"""A window that only `maxRequests` would close is closed when no request has ended for so long."""
BURST_TOKENS = 16
"""Asked for by each request of the burst: it is about batch sizes and allocators, not about lengths."""
MOST_BURST_BY_RATE = 256
"""Users of the burst where the load is a rate: as many as are due in a second, and no more than these."""

Say = Callable[[str, str], None]
"""(stage, message) → progress."""


async def _nobody_asks() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Site:
    """Where and how a plan's points are measured."""

    plan: LoadPlan
    address: SocketAddress
    bodies: Bodies
    engine_start: Callable[[], Awaitable[float | None]]
    """Asks the engine when its process started."""
    interrupt: asyncio.Event
    """Set by SIGTERM: close the point at once."""
    say: Say
    crew: Crew = field(default_factory=Crew)
    """Who carries the load besides this process."""
    idle: Callable[[], Awaitable[str]] = _nobody_asks
    """Waits until the engine is idle; what it was still busy with when that took too long."""
    scraper: Scraper | None = None
    """Asks the engine for its metrics; None: it has none."""
    carries: float | None = None
    """Tokens a second that this pod receives faithfully; None: it was not calibrated."""


def load_of(
    plan: LoadPlan,
    address: SocketAddress,
    point: PointPlan,
    bodies: Bodies,
    max_requests: int | None = None,
    shard: Shard = WHOLE,
) -> Load:
    """A share of the load of a point, asking what `bodies` gives."""
    terms: Terms = {
        "address": address,
        "route": route_of(plan.request),
        "model_is_wrong": lambda model: is_wrong(model, plan),
        "source": lambda phase, number: bodies.request(point, phase, number),
        "max_requests": max_requests,
        "shard": shard,
        "known_tokens": lambda number: bodies.known_tokens(point, number),
    }
    if point.request_rate is None:
        return ClosedLoop(point.concurrency or 1, **terms)
    seed = f"{plan.seed}/{point.index}/{point.repeat}"  # the same moments for every target
    schedule = Schedule(point.request_rate, point.arrival, seed, shard.number, shard.count)
    return OpenLoop(schedule, shard.of(point.max_concurrency), **terms)


def shared(site: Site, point: PointPlan) -> SharedLoad:
    """The point's load, dealt out to this process and its followers; who would have nothing to do is left out."""
    most = site.plan.max_requests
    enough = point.concurrency or point.max_concurrency
    hands = min(1 + len(site.crew.remotes), enough, enough if most is None else most)
    own = load_of(site.plan, site.address, point, site.bodies, most, Shard(0, hands))
    site.bodies.warm(point, own.shard)
    return SharedLoad(point, own, site.bodies, site.crew.remotes[: hands - 1])


def burst_users(point: PointPlan) -> int:
    """Users that ask at once what a second of the point's load may ask at once."""
    if point.request_rate is None:
        return point.concurrency or 1
    return min(math.ceil(point.request_rate), point.max_concurrency, MOST_BURST_BY_RATE)


async def burst(site: Site, users: int, bodies: Bodies) -> None:
    """Once before the first point: as many short requests at once as the highest load has users. Bounded."""
    # An index of its own: the warm-up of no point is to find these prompts in a cache.
    load = load_of(site.plan, site.address, PointPlan(index=-1, concurrency=users), bodies)
    await load.connect()
    try:
        load.start(0)
        await wait_for(site, load.warm, site.plan.warmup_max_seconds)
    finally:
        load.stop()


async def measure(site: Site, point: PointPlan) -> PointReport | None:
    """The point's report; None if it was interrupted before its window opened."""
    plan, loop = site.plan, asyncio.get_running_loop()
    busy_with = await site.idle()
    load = shared(site, point)
    started_at, engine_before = time(), await site.engine_start()
    await load.connect()
    try:
        with quiet_collector():
            site.say("WarmingUp", "")
            load.start(plan.ramp_seconds)
            warm = await wait_for(site, load.warm, plan.ramp_seconds + plan.warmup_max_seconds)
            if site.interrupt.is_set():
                return None
            site.say("Loading", "")
            load.open_window()
            if site.scraper is not None:
                site.scraper.open_window()
            await _window(site, load, loop.time())
            load.close_window()
            if site.scraper is not None:
                site.scraper.close_window()
            site.say("Draining", "")
            drained = await wait_for(site, load.drained, _drain_seconds(load))
    finally:
        load.stop()
    ended_at, interrupted = time(), site.interrupt.is_set()
    scraped = await site.scraper.scraped() if site.scraper is not None else HAS_NONE
    try:
        seen = await load.gathered()
    except NoCommonWindowError:
        if interrupted or load.lost_shards:
            return None  # as if the window had never opened
        raise
    opened_at = time() - (monotonic_ns() - seen.window.open) / 1e9
    course = Course(
        started_at=started_at,
        ended_at=ended_at,
        lost_shards=load.lost_shards,
        clock_uncertainty=load.clock_uncertainty,
        interrupted=interrupted,
        warmup_bound_reached=not warm and plan.warmup_max_seconds > 0,
        drain_bound_reached=not drained and not interrupted and not load.lost_shards,
        engine_start_before=engine_before,
        engine_start_after=None if interrupted else await site.engine_start(),
        engine_busy_with=busy_with,
        prompts_repeated=load.prompts_repeated(),
        request=site.bodies.described,
        scraped=scraped,
        gpus=await gpu_series(plan, opened_at, opened_at + seen.window.seconds),
        opened_at=opened_at,
        carries=site.carries,
    )
    return await asyncio.to_thread(_report, plan, point, seen, course)


def _report(plan: LoadPlan, point: PointPlan, seen: Seen, course: Course) -> PointReport:
    """What was seen, kept and told. Of many requests this takes seconds: the loop goes on saying that it is there."""
    kept = keep(plan, point, seen) if plan.requests_folder else Kept()
    return point_report(point, seen, course, most_bytes=plan.point_bytes, besides=kept.told_in)


async def wait_for(site: Site, event: asyncio.Event, seconds: float) -> bool:
    """Whether the event came within that time, before an interrupt and before a follower was lost."""
    return await first_of(event.wait(), *_endings(site), seconds=seconds) and event.is_set()


def _endings(site: Site) -> tuple[Coroutine[Any, Any, Any], ...]:
    """What ends a point before its time."""
    return site.interrupt.wait(), site.crew.broken.wait()


async def first_of(*waits: Coroutine[Any, Any, Any], seconds: float) -> bool:
    """Wait for one of them, but no longer; whether one came."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _window(site: Site, load: SharedLoad, began: float) -> None:
    """Tick once a second until the time is over, enough requests have been started, or the point is ended."""
    loop = asyncio.get_running_loop()
    duration = site.plan.duration_seconds or math.inf
    seen, stalled_at = load.progress, began + STALL_SECONDS
    second = 0
    while True:
        second += 1
        end = min(began + second, began + duration)
        if await first_of(load.full.wait(), *_endings(site), seconds=max(0.0, end - loop.time())):
            return
        if second >= duration:
            return
        load.tick()
        site.say("Loading", "")
        if load.progress != seen:
            seen, stalled_at = load.progress, loop.time() + STALL_SECONDS
        if math.isinf(duration) and loop.time() > stalled_at:
            return


def _drain_seconds(load: SharedLoad) -> float:
    """The greater of 30 s and twice the median latency of what has finished in the window: of a thousand, evenly
    taken, because the load goes on meanwhile."""
    sample = load.records[:: 1 + len(load.records) // DRAIN_SAMPLE]
    latencies = sorted(record.end - record.start for record in sample if record.outcome == "succeeded")
    median = latencies[len(latencies) // 2] / 1e9 if latencies else 0.0
    return max(MIN_DRAIN_SECONDS, DRAIN_MEDIANS * median)


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Nothing that was alive before is looked at again, and what comes is collected seldom: about 1 ms every
    10,000 new objects, where a full collection in the middle of a window would show as a stall."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 1_000, 1_000)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
