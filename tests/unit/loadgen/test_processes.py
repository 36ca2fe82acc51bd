"""Several processes of one load pod: forked for real, one engine, one point."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.api.loadplan import DatasetPlan, PointPlan, Row
from enginebench.loadgen import channel
from enginebench.loadgen.channel import Alive, Channel, Rows, Share
from enginebench.loadgen.crew import Remote
from enginebench.loadgen.history import Asked
from enginebench.loadgen.shard import Shard
from enginebench.results.histogram import Histogram
from enginebench.results.messages import End, Failure, Progress
from enginebench.results.point_report import PointReport
from enginebench.workflow.verdicts import judge_point
from tests.support.engine import Behaviour, Engine, serving
from tests.unit.loadgen.plans import plan, prompts
from tests.unit.loadgen.test_program import Pod, running

STEADY = Behaviour(ttft=0.03, gap=0.005)
SIX_USERS = (PointPlan(index=0, concurrency=6),)


def children(pod: Pod) -> list[int]:
    """Process ids, in the order in which they were forked: first the one that asks the engine for its metrics."""
    told = Path(f"/proc/{pod.process.pid}/task/{pod.process.pid}/children").read_text()
    return [int(pid) for pid in told.split()]


def ended(pid: int) -> bool:
    """It runs no more; whoever inherits it may not look after it."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


async def gone(pids: list[int]) -> None:
    """Until none of them runs any more."""
    async with asyncio.timeout(10):
        while not all(map(ended, pids)):  # noqa: ASYNC110  # of other processes there is no event
            await asyncio.sleep(0.05)


@given(st.integers(1, 64), st.integers(0, 5000))
def test_everything_is_dealt_out_once_and_evenly(count: int, total: int) -> None:
    shards = [Shard(number, count) for number in range(count)]
    dealt = [shard.nth(own) for shard in shards for own in range(shard.of(total))]
    assert sorted(dealt) == list(range(total))
    sizes = [shard.of(total) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


async def test_three_processes_send_what_one_would_have_sent(tmp_path: Path) -> None:
    """The same requests, rows and salts, by their numbers; nothing is asked twice, nothing left out."""
    asked = []
    for processes in (1, 3):
        engine = Engine(behave=lambda _: STEADY)
        points = (PointPlan(index=1, concurrency=7),)
        async with serving(engine):
            what = plan(engine.url, points=points, processes=processes, duration_seconds=None, max_requests=40)
            async with running(what, tmp_path) as pod:
                await pod.until(Progress)
                pids = children(pod)
                report = await pod.until(PointReport)
                assert await pod.until(End) == End(points=1)
                await gone(pids)
                assert await pod.stop() == 0
                assert await pod.errors() == ""
        assert report.requests.succeeded == 40
        assert report.ttft.count == report.itl.count == 40
        asked.append([body["messages"][0]["content"] for body in engine.bodies])
        assert len(set(asked[-1])) == len(asked[-1])
    # Of each phase the first requests are those that both must have sent: 7 users' first, and the 40 of the window.
    assert len(set(asked[0]) & set(asked[1])) >= 47


async def test_a_point_of_fewer_users_than_processes_and_one_of_more(tmp_path: Path) -> None:
    engine = Engine(behave=lambda _: STEADY)
    points = (PointPlan(index=0, concurrency=1), PointPlan(index=1, concurrency=8))
    async with serving(engine), running(plan(engine.url, points=points, processes=4), tmp_path) as pod:
        await pod.until(Progress)
        pids = children(pod)
        await pod.until(End)
        assert await pod.stop() == 0
    assert len(pids) == 1 + 3
    few, many = pod.all(PointReport)
    assert few.requests.succeeded >= 5
    assert many.requests.errored == many.requests.incomplete == 0
    assert many.requests_per_second == pytest.approx(8 * few.requests_per_second, rel=0.4)
    assert many.output_tokens_per_second == pytest.approx(10 * many.requests_per_second, rel=0.35)
    assert many.window_seconds == pytest.approx(1.0, abs=0.1)
    assert Histogram.from_bytes(many.histograms["ttft"]).samples == many.ttft.count
    assert many.evidence.lost_shards == 0
    assert many.evidence.own_lag is not None


async def test_all_processes_ask_for_the_model_that_was_found(tmp_path: Path) -> None:
    engine = Engine(model="org/only", behave=lambda _: STEADY)
    async with serving(engine):
        what = plan(engine.url, points=SIX_USERS, processes=3, dialect="openai", model="")
        async with running(what, tmp_path) as pod:
            report = await pod.until(PointReport)
            await pod.until(End)
            assert await pod.stop() == 0
    assert report.requests.errored == 0
    assert report.evidence.wrong_models == ()
    assert {body["model"] for body in engine.bodies} == {"org/only"}


async def test_a_prompt_that_another_process_has_sent_is_known_to_the_engine(tmp_path: Path) -> None:
    """The first point sends every row once; in the second one most come to another process."""
    points = tuple(PointPlan(index=index, concurrency=3) for index in range(2))
    rows = DatasetPlan(rows=prompts(*(f"say {number}" for number in range(40))))
    engine = Engine(behave=lambda _: Behaviour(ttft=0.01, gap=0.001))
    async with serving(engine):
        what = plan(engine.url, points=points, processes=3, dataset=rows, prompt_reuse="AsIs", duration_seconds=None)
        async with running(msgspec.structs.replace(what, max_requests=40), tmp_path) as pod:
            first, second = await pod.until(PointReport), await pod.until(PointReport)
    assert first.evidence.prompts_repeated < 1.0
    assert second.evidence.prompts_repeated == 1.0


async def test_a_request_rate_is_dealt_out(tmp_path: Path) -> None:
    """At a constant rate the processes take turns, so that together they send at equal intervals."""
    engine = Engine(behave=lambda _: STEADY)
    points = (PointPlan(index=0, request_rate=40.0, arrival="Constant"),)
    async with serving(engine), running(plan(engine.url, points=points, processes=2), tmp_path) as pod:
        report = await pod.until(PointReport)
        await pod.until(End)
        assert await pod.stop() == 0
    counts = report.requests
    assert counts.succeeded + counts.incomplete == pytest.approx(40 * report.window_seconds, abs=2)
    contents = [body["messages"][0]["content"] for body in engine.bodies]
    assert len(set(contents)) == len(contents)


async def test_a_process_that_dies_ends_the_point_as_one_that_is_worth_nothing(tmp_path: Path) -> None:
    engine = Engine(behave=lambda _: STEADY)
    async with (
        serving(engine),
        running(plan(engine.url, points=SIX_USERS, processes=3, duration_seconds=60), tmp_path) as pod,
    ):
        await pod.until(Progress, lambda p: p.stage == "Loading")
        await asyncio.sleep(0.5)
        pids = children(pod)
        os.kill(pids[1], signal.SIGKILL)
        report = await pod.until(PointReport)
        failure = await pod.until(Failure)
        assert await pod.until(End) == End(points=1)
        await gone(pids)
    assert report.evidence.lost_shards == 1
    verdict = judge_point(report)
    assert (verdict.validity, verdict.reasons[0]) == ("Invalid", "LoadPodLost")
    assert "1 of the load generator's processes went away" in verdict.message
    assert report.requests.succeeded > 0
    assert report.window_seconds < 30
    assert (failure.reason, failure.message) == (
        "LoadPodLost",
        "The load generator's process 2 is lost: its connection is closed.",
    )


async def test_sigterm_closes_the_point_for_all(tmp_path: Path) -> None:
    engine = Engine(behave=lambda _: STEADY)
    async with (
        serving(engine),
        running(plan(engine.url, points=SIX_USERS, processes=2, duration_seconds=60), tmp_path) as pod,
    ):
        await pod.until(Progress, lambda p: p.stage == "Loading")
        await asyncio.sleep(0.5)
        pids = children(pod)
        pod.process.send_signal(signal.SIGTERM)
        report = await pod.until(PointReport)
        assert (await pod.until(Failure)).reason == "Interrupted"
        async with asyncio.timeout(5):
            assert await pod.process.wait() == 0
        await gone(pids)
    assert "Interrupted" in judge_point(report).reasons
    assert report.evidence.lost_shards == 0
    assert report.requests.succeeded + report.requests.incomplete >= 6


async def test_no_process_outlives_its_leader(tmp_path: Path) -> None:
    engine = Engine(behave=lambda _: STEADY)
    async with (
        serving(engine),
        running(plan(engine.url, points=SIX_USERS, processes=3, duration_seconds=60), tmp_path) as pod,
    ):
        await pod.until(Progress, lambda p: p.stage == "Loading")
        pids = children(pod)
        assert len(pids) == 1 + 2
        pod.process.kill()
        await gone(pids)


async def test_what_goes_wrong_in_one_of_them_is_told_for_all(tmp_path: Path) -> None:
    """The model that a follower's answers name is its share's evidence, too; an engine that is gone is everybody's."""
    engine = Engine(behave=lambda n: Behaviour(model="other") if n > 20 else STEADY)
    async with serving(engine), running(plan(engine.url, points=SIX_USERS, processes=3), tmp_path) as pod:
        report = await pod.until(PointReport)
        await pod.until(End)
        assert await pod.stop() == 0
    assert report.evidence.wrong_models == ("other",)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Channel, Channel]]:
    """Both ends of a connection."""
    ends = [Channel(*await asyncio.open_unix_connection(sock=sock)) for sock in socket.socketpair()]
    try:
        yield ends[0], ends[1]
    finally:
        for end in ends:
            await end.close()


async def test_a_silent_process_is_lost_and_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is stopped, or on a node that is gone."""
    monkeypatch.setattr(channel, "SILENCE_SECONDS", 0.5)
    async with connected() as (ours, theirs):
        remote = Remote("process 2", ours)
        remote.prepare(PointPlan(index=0, concurrency=2), Shard(1, 2))
        theirs.say(Alive(progress=3))
        async with asyncio.timeout(5):
            await remote.drained.wait()
        assert remote.progress == 3
        assert remote.lost.startswith("it has said nothing for ")
        await remote.end()


async def test_long_messages_come_whole() -> None:
    rows = tuple(Row(prompt="word " * 1000) for _ in range(1000))
    async with connected() as (ours, theirs):
        ours.say(Rows(rows))
        assert channel.ORDERS.decode(await theirs.hear()) == Rows(rows)
        await theirs.close()
        with pytest.raises(channel.Lost, match="closed"):
            await ours.hear()


async def test_nonsense_is_a_loss() -> None:
    async with connected() as (ours, theirs):
        remote = Remote("process 2", ours)
        theirs.say(Share(seen=b"nonsense", asked=Asked()))
        async with asyncio.timeout(5):
            await remote.handed_over.wait()
        assert remote.lost
        await remote.end()
