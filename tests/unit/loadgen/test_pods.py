"""Several load pods: processes of their own on loopback, that know each other by a secret only."""

import asyncio
import hmac
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from time import monotonic_ns

import msgspec
import pytest

from enginebench.api import loadplan
from enginebench.api.loadplan import LoadPlan, PointPlan
from enginebench.loadgen.channel import ORDERS, Channel, Lost, Ping, Pong
from enginebench.loadgen.crew import Remote
from enginebench.loadgen.handshake import Place, admit, introduce
from enginebench.loadgen.shard import Shard
from enginebench.results.messages import End, Failure, Progress
from enginebench.results.point_report import PointReport
from enginebench.workflow.verdicts import judge_point
from tests.support.engine import Behaviour, Engine, serving
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.test_processes import children, gone
from tests.unit.loadgen.test_program import Pod, running

STEADY = Behaviour(ttft=0.03, gap=0.005)
SECRET = "5ec4e7"  # of these tests


def several(url: str, pods: int, processes: int = 1, **changes: object) -> LoadPlan:
    """A plan for load pods of this machine."""
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
    return plan(
        url, pods=pods, processes=processes, leader="127.0.0.1", leader_port=port, **{"startup_seconds": 20, **changes}
    )


@asynccontextmanager
async def together(what: LoadPlan, folder: Path, secrets: tuple[str, ...] = ()) -> AsyncIterator[list[Pod]]:
    """All load pods of a plan, the last one first."""
    async with AsyncExitStack() as stack:
        pods = []
        for index in reversed(range(what.pods)):
            secret = secrets[index] if secrets else SECRET
            environment = {loadplan.INDEX_VARIABLE: str(index), loadplan.SECRET_VARIABLE: secret}
            pods.append(await stack.enter_async_context(running(what, folder, **environment)))
        yield pods[::-1]


async def end_of(pod: Pod) -> int:
    async with asyncio.timeout(10):
        return await pod.process.wait()


async def test_two_pods_of_two_processes_send_what_one_would_have_sent(tmp_path: Path) -> None:
    engine = Engine(behave=lambda _: STEADY)
    points = (PointPlan(index=0, concurrency=2), PointPlan(index=1, concurrency=7))
    async with serving(engine):
        what = several(engine.url, 2, 2, points=points, duration_seconds=None, max_requests=40)
        async with together(what, tmp_path) as (leader, follower):
            assert await leader.until(End) == End(points=2)
            assert await end_of(follower) == 0
            assert await follower.errors() == ""
            assert await leader.stop() == 0
            assert await leader.errors() == ""
    for report in leader.all(PointReport):
        assert report.requests.succeeded == report.ttft.count == report.itl.count == 40
        assert report.evidence.lost_shards == 0
        assert report.evidence.clock_uncertainty is not None
        assert 0 < report.evidence.clock_uncertainty < 0.1
        assert report.ttft.p50 == pytest.approx(30, abs=15)
    asked = [body["messages"][0]["content"] for body in engine.bodies]
    assert len(set(asked)) == len(asked)


async def test_a_request_rate_is_dealt_out_to_pods(tmp_path: Path) -> None:
    engine = Engine(behave=lambda _: STEADY)
    points = (PointPlan(index=0, request_rate=40.0, arrival="Constant"),)
    async with serving(engine), together(several(engine.url, 3, points=points), tmp_path) as pods:
        report = await pods[0].until(PointReport)
        await pods[0].until(End)
        assert [await end_of(pod) for pod in pods[1:]] == [0, 0]
    counts = report.requests
    assert counts.succeeded + counts.incomplete == pytest.approx(40 * report.window_seconds, abs=2)
    assert counts.errored == 0


async def test_a_pod_that_dies_makes_the_point_invalid_and_ends_the_attempt(tmp_path: Path) -> None:
    engine = Engine(behave=lambda _: STEADY)
    points = (PointPlan(index=0, concurrency=6),)
    async with (
        serving(engine),
        together(several(engine.url, 3, 2, points=points, duration_seconds=60), tmp_path) as (leader, lost, other),
    ):
        await leader.until(Progress, lambda p: p.stage == "Loading")
        await asyncio.sleep(0.5)
        pids = children(lost)
        lost.process.kill()
        report = await leader.until(PointReport)
        failure = await leader.until(Failure)
        assert await leader.until(End) == End(points=1)
        assert await end_of(other) == 0
        await gone(pids)
    assert report.evidence.lost_shards >= 1
    verdict = judge_point(report)
    assert (verdict.validity, verdict.reasons[0]) == ("Invalid", "LoadPodLost")
    assert report.window_seconds < 30
    assert failure.reason == "LoadPodLost"
    assert "load pod 1" in str(failure.message)


@asynccontextmanager
async def slow_way(port: int, seconds: float) -> AsyncIterator[int]:
    """A port that leads to another one of this machine, and takes its time in both directions."""

    writers: list[asyncio.StreamWriter] = []

    def write(writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        writers.append(writer)
        while data := await reader.read(65536):
            loop.call_later(seconds, write, writer, data)
        loop.call_later(seconds, writer.close)

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        with suppress(ConnectionError):
            await asyncio.gather(carry(reader, there[1]), carry(there[0], writer))

    server = await asyncio.start_server(meet, "127.0.0.1")
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(2 * seconds)  # until nothing is on its way


async def test_a_slow_way_between_the_pods_makes_their_clocks_uncertain(tmp_path: Path) -> None:
    """40 ms each way: nobody knows that both take equally long, and 40 ms are more than 1 % of a second."""
    engine = Engine(behave=lambda _: STEADY)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(engine))
        what = several(engine.url, 2)
        port = await stack.enter_async_context(slow_way(what.leader_port, 0.04))
        pods = []
        for index, plan_of_it in enumerate((what, msgspec.structs.replace(what, leader_port=port))):
            folder = tmp_path / str(index)
            folder.mkdir()
            environment = {loadplan.INDEX_VARIABLE: str(index), loadplan.SECRET_VARIABLE: SECRET}
            pods.append(await stack.enter_async_context(running(plan_of_it, folder, **environment)))
        report = await pods[0].until(PointReport)
        await pods[0].until(End)
        assert await end_of(pods[1]) == 0
    assert report.evidence.clock_uncertainty is not None
    assert report.evidence.clock_uncertainty >= 0.04
    verdict = judge_point(report)
    assert verdict.validity == "Invalid"
    assert "ClockUncertain" in verdict.reasons


async def test_sigterm_to_all_pods_closes_the_point_for_all(tmp_path: Path) -> None:
    """As when their Job is deleted."""
    engine = Engine(behave=lambda _: STEADY)
    points = (PointPlan(index=0, concurrency=6),)
    async with (
        serving(engine),
        together(several(engine.url, 2, 2, points=points, duration_seconds=60), tmp_path) as pods,
    ):
        await pods[0].until(Progress, lambda p: p.stage == "Loading")
        await asyncio.sleep(0.5)
        for pod in reversed(pods):
            pod.process.send_signal(signal.SIGTERM)
        report = await pods[0].until(PointReport)
        assert (await pods[0].until(Failure)).reason == "Interrupted"
        assert [await end_of(pod) for pod in pods] == [0, 0]
    assert report.evidence.interrupted
    assert report.evidence.lost_shards == 0
    assert report.requests.succeeded + report.requests.incomplete >= 6


async def test_a_pod_without_the_secret_is_not_let_in(tmp_path: Path) -> None:
    what = several("http://127.0.0.1:1", 2, startup_seconds=3)
    async with together(what, tmp_path, (SECRET, "another")) as (leader, stranger):
        failure = await leader.until(Failure)
        assert await leader.until(End) == End(points=0)
        assert await end_of(stranger) == 1
        assert "has not answered as the leader within 3 s" in await stranger.errors()
    assert failure.reason == "LoadPodsApart"
    assert "1 of 2 load pods" in failure.message


async def test_a_pod_that_waits_for_its_leader_can_be_told_to_end(tmp_path: Path) -> None:
    what = several("http://127.0.0.1:1", 2, 2)
    environment = {loadplan.INDEX_VARIABLE: "1", loadplan.SECRET_VARIABLE: SECRET}
    async with running(what, tmp_path, **environment) as pod:
        async with asyncio.timeout(10):
            while not (pids := children(pod)):  # noqa: ASYNC110  # of other processes there is no event
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        assert await pod.stop() == 0
        await gone(pids)


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def ends() -> AsyncIterator[tuple[Ends, Ends]]:
    """Both ends of a connection."""
    one, other = [await asyncio.open_unix_connection(sock=sock) for sock in socket.socketpair()]
    try:
        yield one, other
    finally:
        for _, writer in (one, other):
            writer.close()


async def test_both_prove_that_they_know_the_secret() -> None:
    async with ends() as (leader, follower):
        place, _ = await asyncio.gather(
            admit(*leader, b"secret"), introduce(*follower, b"secret", Place(pod=3, process=1))
        )
    assert place == Place(3, 1)


async def test_a_leader_that_only_repeats_what_it_hears_is_refused() -> None:
    """Its part's name is in every proof: a follower's own proof sent back is none."""
    async with ends() as (impostor, follower):
        introduced = asyncio.create_task(introduce(*follower, b"secret", Place(1, 0)))
        impostor[1].write(bytes(32))
        told = await impostor[0].readexactly(32 + 4 + 32)
        assert b"secret" not in told
        assert told[-32:] == hmac.digest(b"secret", b"follower" + bytes(32) + told[:-32], "sha256")
        impostor[1].write(told[-32:])
        with pytest.raises(Lost, match="secret"):
            await introduced


async def test_a_clock_is_read_before_and_after_a_point() -> None:
    """A clock 7 s ahead, that gains a millisecond between the two readings."""
    async with ends() as (ours, theirs):
        remote, far = Remote("load pod 1", Channel(*ours), distant=True), Channel(*theirs)
        gained = 0

        async def answer() -> None:
            while True:
                order = ORDERS.decode(await far.hear())
                if isinstance(order, Ping):
                    far.say(Pong(order.number, monotonic_ns() + 7_000_000_000 + gained))

        task = asyncio.create_task(answer())
        remote.prepare(PointPlan(index=0, concurrency=2), Shard(1, 2))
        await remote.compare_clocks()
        before = remote.offset
        gained = 1_000_000
        await remote.compare_clocks()
        task.cancel()
        await remote.end()
    assert before.ahead == pytest.approx(7_000_000_000, abs=before.uncertainty)
    assert remote.offset.ahead == pytest.approx(7_000_500_000, abs=remote.offset.uncertainty)
    assert remote.offset.uncertainty >= 500_000
