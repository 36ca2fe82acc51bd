"""Load points against a real server of known timing, in the same process: the phases, the requests, the loads."""

import asyncio
import socket
from dataclasses import replace
from itertools import islice, pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from enginebench.api.loadplan import PointPlan
from enginebench.loadgen import closed_loop, point
from enginebench.loadgen.address import parse
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.connection import SocketAddress
from enginebench.loadgen.crew import SharedLoad
from enginebench.loadgen.dataset import read
from enginebench.loadgen.point import _drain_seconds, burst, burst_users, load_of, measure
from enginebench.results.histogram import Histogram
from enginebench.results.point_report import Censored, PointReport
from enginebench.results.record import RequestRecord
from enginebench.results.records import Records
from enginebench.workflow.verdicts import judge_point
from tests.support.engine import Behaviour, Engine, serving
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.points import measured, site_of, steady


async def test_users_begin_evenly_over_the_ramp_and_the_window_opens_when_all_have_had_an_answer() -> None:
    begun: list[float] = []

    def behave(_: int) -> Behaviour:
        begun.append(asyncio.get_running_loop().time())
        return Behaviour(ttft=30.0 if len(begun) <= 4 else 0.01)

    engine = Engine(behave=behave)
    async with serving(engine):
        site = await site_of(plan(engine.url, ramp_seconds=1, warmup_max_seconds=1))
        report = await measure(site, PointPlan(index=0, concurrency=4))
    assert [b - a for a, b in pairwise(begun[:4])] == pytest.approx([0.25] * 3, abs=0.08)
    assert report is not None
    assert report.evidence.warmup_bound_reached
    assert report.started_at + 2.9 < report.ended_at


async def test_connections_are_opened_once_and_kept() -> None:
    engine = Engine()
    report = await measured(engine, users=5)
    assert report.requests.succeeded > 20
    assert engine.connections == 5 + 2  # and two looks at /metrics


async def test_a_server_that_closes_after_each_response_costs_no_request() -> None:
    engine = Engine(behave=steady(close=True))
    report = await measured(engine, max_requests=8)
    assert report.requests.errored == 0
    assert report.evidence.replayed == 0
    assert engine.connections >= report.requests.succeeded


async def test_connections_that_the_server_closed_while_idle_are_opened_again_before_they_are_needed() -> None:
    engine = Engine(idle_close=0.15)
    report = await measured(engine, users=2, ramp_seconds=1)
    assert engine.connections >= 5
    assert report.requests.errored == 0
    assert report.evidence.replayed <= 1  # closed in the very moment in which it was needed


async def test_a_reset_before_any_byte_is_replayed_once_with_its_start_unchanged() -> None:
    engine = Engine(behave=lambda n: Behaviour(reset=n % 10 == 5))
    report = await measured(engine, duration_seconds=None, max_requests=40)
    assert report.requests.errored == 0
    assert report.evidence.replayed >= 2


async def test_a_request_that_is_reset_twice_has_failed() -> None:
    engine = Engine(behave=lambda n: Behaviour(reset=n % 10 in (5, 6)))
    report = await measured(engine, users=1)
    assert report.requests.errored >= 1
    [error] = report.evidence.errors
    assert error.startswith(("the connection was lost", "the server closed the connection"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"status": 500}, "HTTP 500: no room"),
        ({"status": 503}, "HTTP 503: no room"),
        ({"error_after": 0}, "out of memory"),
        ({"error_after": 3}, "out of memory"),
        ({"cut_after": 3}, "the connection was lost"),
        ({"finish": False}, "the response ended without a finish reason"),
    ],
)
async def test_when_every_request_fails_the_point_says_so_and_the_engine_is_not_stormed(
    changes: dict[str, Any], error: str
) -> None:
    engine = Engine(behave=steady(**changes, ttft=0.001, gap=0.001))
    report = await measured(engine, users=3, max_requests=6)
    assert report.requests.succeeded == 0
    assert 3 <= report.requests.errored <= 3 * 8
    [(told, count)] = report.evidence.errors.items()
    assert told.startswith(error) or ("closed" in told and "cut_after" in changes)
    assert count == report.requests.errored
    assert report.requests_per_second == 0
    assert report.request_latency.count == report.itl.count == 0
    answered = any(changes.get(name) for name in ("error_after", "cut_after")) or "finish" in changes
    assert report.ttft.count == (report.requests.errored if answered else 0)


async def test_nobody_listens() -> None:
    what = plan("http://127.0.0.1:1", max_requests=6)
    report = await measure(await site_of(what), PointPlan(index=0, concurrency=3))
    assert report is not None
    assert report.requests.succeeded == 0
    assert report.requests.errored >= 3
    assert list(report.evidence.errors) == ["the connection could not be opened: Connection refused"]
    assert report.evidence.engine_start_before is None


async def test_the_window_closes_after_so_many_requests_and_they_are_all_followed_to_their_end() -> None:
    report = await measured(Engine(), users=4, duration_seconds=None, max_requests=30)
    assert report.requests.succeeded == 30
    assert report.window_seconds < 2


async def test_whichever_comes_first_closes_the_window() -> None:
    report = await measured(Engine(), users=2, duration_seconds=1, max_requests=10_000)
    assert report.window_seconds == pytest.approx(1.0, abs=0.1)


async def test_load_goes_on_while_the_tracked_requests_are_followed() -> None:
    """One user's requests are slow: while its last one is followed, the other users go on asking, untracked."""
    slow = [False]

    def behave(_: int) -> Behaviour:
        slow[0] = not slow[0]
        return Behaviour(ttft=0.6 if slow[0] else 0.01, gap=0.001)

    engine = Engine(behave=behave)
    report = await measured(engine, users=2)
    assert report.requests.incomplete == 0
    assert len(engine.bodies) > report.requests.succeeded + 4


async def test_what_is_open_when_the_drain_ends_is_censored_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point, "MIN_DRAIN_SECONDS", 0.3)
    engine = Engine(behave=lambda n: Behaviour(silent=n >= 12, gap=0.002))
    report = await measured(engine, users=4)
    assert report.requests.incomplete == 4
    assert report.evidence.drain_bound_reached
    assert report.ttft.censored == report.request_latency.censored == report.itl.censored == 4
    assert report.ttft.count == report.requests.succeeded + 4
    assert report.itl.count == report.requests.succeeded
    assert isinstance(report.ttft.p99, Censored)
    assert report.ttft.p99.at_least > 300
    assert report.ttft.mean is None
    assert Histogram.from_bytes(report.histograms["ttftCensored"]).samples == 4


@pytest.mark.parametrize(
    ("seconds", "want"),
    [((), 30.0), ((1.0, 14.0, 60.0), 30.0), ((1.0, 20.0, 60.0), 40.0), ((20.0,) * 5000 + (60.0,) * 1000, 40.0)],
)
def test_a_drain_may_last_for_half_a_minute_or_two_median_latencies(seconds: tuple[float, ...], want: float) -> None:
    ended = [RequestRecord(start=1, end=1 + round(1e9 * each), outcome="succeeded") for each in seconds]
    failed = [RequestRecord(start=1, end=round(9e9), outcome="errored") for _ in range(len(seconds) + 1)]
    load = SimpleNamespace(records=Records([*ended, *failed]))
    assert _drain_seconds(cast("SharedLoad", load)) == pytest.approx(want)


async def test_a_window_that_only_a_count_would_close_ends_when_nothing_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point, "STALL_SECONDS", 0.5)
    monkeypatch.setattr(point, "MIN_DRAIN_SECONDS", 0.1)
    engine = Engine(behave=lambda n: Behaviour(silent=n >= 8))
    report = await measured(engine, users=2, duration_seconds=None, max_requests=100)
    assert report.requests.incomplete == 2
    assert 1.0 <= report.window_seconds < 5


async def test_an_interrupt_closes_the_point_at_once_with_what_there_is() -> None:
    engine = Engine(behave=steady(gap=0.02))
    async with serving(engine):
        opened = asyncio.Event()
        what = plan(engine.url, duration_seconds=60)
        site = await site_of(what, lambda stage, _: opened.set() if stage == "Loading" else None)
        measuring = asyncio.create_task(measure(site, PointPlan(index=0, concurrency=2)))
        async with asyncio.timeout(30):
            await opened.wait()
            before = len(engine.bodies)
            while len(engine.bodies) < before + 4:  # noqa: ASYNC110  # the newest of them is in flight
                await asyncio.sleep(0.01)
            site.interrupt.set()
            report = await measuring
    assert report is not None
    assert report.evidence.interrupted
    assert not report.evidence.drain_bound_reached
    assert report.window_seconds < 30
    assert 1 <= report.requests.incomplete <= 2
    verdict = judge_point(report)
    assert "Interrupted" in verdict.reasons
    assert "the point was closed before its time" in verdict.message


async def test_an_interrupt_before_the_window_leaves_no_point() -> None:
    engine = Engine(behave=steady(silent=True))
    async with serving(engine):
        site = await site_of(plan(engine.url))
        asyncio.get_running_loop().call_later(0.2, site.interrupt.set)
        assert await asyncio.wait_for(measure(site, PointPlan(index=0, concurrency=2)), 3) is None


async def test_another_model_in_the_answers_is_told() -> None:
    report = await measured(Engine(behave=lambda n: Behaviour(model="other" if n % 2 else None)), max_requests=6)
    assert report.evidence.wrong_models == ("other",)


async def test_an_engine_that_started_anew_is_told() -> None:
    engine = Engine()

    def behave(n: int) -> Behaviour:
        engine.started_at = 1000.0 + (n > 5)
        return Behaviour()

    engine.behave = behave
    report = await measured(engine, max_requests=8)
    assert (report.evidence.engine_start_before, report.evidence.engine_start_after) == (1000.0, 1001.0)


async def test_an_engine_without_metrics_is_asked_once() -> None:
    engine = Engine(metrics=False)
    report = await measured(engine, max_requests=8)
    assert report.evidence.engine_start_before is None
    assert engine.paths.count("/metrics") == 1


async def at_rate(engine: Engine, point: PointPlan, **changes: Any) -> PointReport:
    async with serving(engine):
        report = await measure(await site_of(plan(engine.url, **changes)), point)
    assert report is not None
    return report


async def test_a_rate_is_kept_and_its_latencies_count_from_when_requests_were_due() -> None:
    engine = Engine(behave=steady(ttft=0.03, gap=0.005))
    report = await at_rate(engine, PointPlan(index=0, request_rate=40.0, arrival="Constant"), duration_seconds=2)
    assert (report.concurrency, report.request_rate) == (None, 40.0)
    assert report.requests_per_second == pytest.approx(40.0, rel=0.1)
    delivery = report.evidence.delivery
    assert delivery is not None
    assert delivery.scheduled == delivery.sent == report.requests.succeeded == pytest.approx(80, abs=4)
    assert delivery.lateness.count == delivery.scheduled
    assert delivery.in_flight_growth is None
    assert report.ttft_from_send is not None
    assert isinstance(report.ttft.mean, float)
    assert isinstance(report.ttft_from_send.mean, float)
    assert isinstance(delivery.lateness.mean, float)
    assert report.ttft.mean == pytest.approx(report.ttft_from_send.mean + delivery.lateness.mean)
    latencies = {name: data for name, data in report.histograms.items() if name != "ttftTpot"}
    histograms = {name: Histogram.from_bytes(data).samples for name, data in latencies.items()}
    assert histograms["sendLateness"] == histograms["ttftFromSend"] == histograms["requestLatencyFromSend"]


async def test_a_rate_beyond_the_connections_is_not_delivered() -> None:
    engine = Engine(behave=steady(ttft=0.2, gap=0.001))
    report = await at_rate(engine, PointPlan(index=0, request_rate=50.0, max_concurrency=2), duration_seconds=2)
    delivery = report.evidence.delivery
    assert delivery is not None
    assert delivery.sent < 0.7 * delivery.scheduled
    assert delivery.in_flight_growth == pytest.approx(40, rel=0.4)
    verdict = judge_point(report)
    assert (verdict.validity, verdict.reasons[0]) == ("Invalid", "LoadNotDelivered")
    unsent = delivery.scheduled - delivery.sent
    assert f"{unsent} of {delivery.scheduled} requests that were due were not sent" in verdict.message
    assert "Overloaded" in verdict.reasons


def test_a_rate_has_the_same_moments_for_every_target_and_others_in_each_point_and_repeat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(point, "OpenLoop", lambda schedule, *_, **__: schedule)

    def moments(target: str = "a", seed: int = 0, index: int = 1, repeat: int = 0) -> list[float]:
        what, of = plan(target=target, seed=seed), PointPlan(index=index, repeat=repeat, request_rate=5.0)
        bodies = Bodies(what, parse(what.url), read(what.dataset, chat=True)[0])
        schedule: Any = load_of(what, SocketAddress(socket.AF_INET, ("127.0.0.1", 1)), of, bodies)
        return list(islice(schedule.moments(0), 5))

    assert moments("a") == moments("b")
    assert len({tuple(each) for each in (moments(), moments(seed=1), moments(index=2), moments(repeat=1))}) == 4


async def test_users_have_no_schedule() -> None:
    report = await measured(Engine(), max_requests=4)
    assert (report.evidence.delivery, report.ttft_from_send, report.request_latency_from_send) == (None, None, None)
    assert "sendLateness" not in report.histograms


@pytest.mark.parametrize(
    ("what", "users"),
    [({"concurrency": 9}, 9), ({"request_rate": 0.5}, 1), ({"request_rate": 7.5}, 8), ({"request_rate": 900.0}, 256)],
)
def test_the_burst_is_as_wide_as_the_load_may_be(what: dict[str, Any], users: int) -> None:
    assert burst_users(PointPlan(index=0, **what)) == users


async def test_the_burst_is_short_and_as_wide_as_the_highest_level() -> None:
    engine = Engine()
    async with serving(engine):
        what = plan(engine.url)
        site = await site_of(what)
        rows, _ = read(what.dataset, chat=True)
        await burst(site, 9, Bodies(what, parse(engine.url), rows, most=2))
    assert engine.connections == 9
    assert {body["max_tokens"] for body in engine.bodies} == {2}


async def test_what_the_pod_carries_stands_beside_the_point() -> None:
    async with serving(Engine()) as engine:
        site = replace(await site_of(plan(engine.url, max_requests=4)), carries=12345.5)
        report = await measure(site, PointPlan(index=0, concurrency=2))
    assert report is not None
    assert report.evidence.generator_limit_tokens_per_second == 12345.5
    assert report.started_at <= report.opened_at <= report.opened_at + report.window_seconds <= report.ended_at


async def test_everything_is_cancelled_in_the_end() -> None:
    report = await measured(Engine(behave=steady(gap=0.05)), users=8)
    assert report.requests.incomplete == 0
    await asyncio.sleep(0.01)
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


def test_a_failing_user_waits_longer_each_time() -> None:
    shortest, longest = closed_loop.BACKOFF_SECONDS
    assert 0 < shortest < longest <= 1
