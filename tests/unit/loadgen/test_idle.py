"""An engine is idle when it says so, or when it answers at once; else that it is not is known in words, and in time."""

import asyncio
from time import monotonic
from typing import Any

import pytest

from enginebench.api.loadplan import PointPlan
from enginebench.loadgen import idle
from enginebench.loadgen.address import parse
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.dataset import read
from enginebench.loadgen.idle import Idle
from enginebench.loadgen.point import Site, measure
from enginebench.loadgen.verify import resolved
from enginebench.workflow.verdicts import judge_point
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.servers import API, Asked, Client, Server, serving
from tests.unit.loadgen.wire import ending


async def asking(server: Server, **changes: Any) -> Idle:
    """Who asks the server's engine."""
    settings = plan(server.url, api=API, idle_seconds=2, **changes)
    rows, _ = read(settings.dataset, chat=False)
    address = parse(server.url)
    bodies = Bodies(settings, address, rows, most=1)
    return Idle(settings, address, await resolved(address), bodies, asyncio.Event())


class Engine:
    """Answers one token after `delay`, and tells in its metrics of the requests that it has."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.running = self.waiting = 0
        self.metrics = True
        self.llama_cpp = False
        self.looks = 0
        self.calm_after = 0
        """Looks after which it has no more work; 0: never."""

    async def __call__(self, asked: Asked, client: Client) -> None:
        self.looks += 1
        if self.looks == self.calm_after:
            self.delay, self.running, self.waiting = 0.0, 0, 0
        if asked.path != "/metrics":
            assert asked.json["max_tokens"] == 1
            await asyncio.sleep(self.delay)
            await client.stream(*ending(API, 1, text="a"))
        elif self.metrics and self.llama_cpp:
            await client.reply(
                b"llamacpp:requests_processing %d\nllamacpp:requests_deferred %d\n" % (self.running, self.waiting)
            )
        elif self.metrics:
            lines = (
                f'vllm:num_requests_running{{engine="0"}} {self.running}.0',
                f'vllm:num_requests_running{{engine="1"}} {self.running}.0',
                f'vllm:num_requests_waiting{{engine="0"}} {self.waiting}.0',
                'vllm:num_requests_waiting_by_reason{engine="0",reason="capacity"} 7.0',
            )
            await client.reply("\n".join(lines).encode())
        else:
            await client.reply(b"no such page", 404)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idle, "PAUSE_SECONDS", 0.02)


async def test_vllm_says_that_it_is_idle() -> None:
    engine = Engine()
    async with serving(engine) as server:
        assert await (await asking(server))() == ""
    assert [asked.path for asked in server.asked] == ["/metrics"]


async def test_requests_that_run_or_wait_are_waited_for_and_told_when_they_do_not_end() -> None:
    engine = Engine()
    engine.running, engine.waiting = 2, 3
    async with serving(engine) as server:
        ready = await asking(server)
        assert await ready() == "4 requests running, 3 requests waiting"
        engine.calm_after = engine.looks + 5
        assert await ready() == ""
    assert engine.looks >= engine.calm_after


async def test_llama_cpp_says_what_it_has() -> None:
    engine = Engine()
    engine.llama_cpp, engine.running, engine.waiting = True, 2, 3
    async with serving(engine) as server:
        ready = await asking(server, dialect="llamacpp")
        assert await ready() == "2 requests running, 3 requests waiting"
        engine.running = engine.waiting = 0
        assert await ready() == ""
    assert {asked.path for asked in server.asked} == {"/metrics"}


@pytest.mark.parametrize("dialect", ["vllm", "llamacpp", "openai"])
async def test_whoever_has_no_metrics_is_asked_for_a_token(dialect: str) -> None:
    engine = Engine()
    engine.metrics = False
    async with serving(engine) as server:
        ready = await asking(server, dialect=dialect)
        assert await ready() == ""
        tried = [asked.json["prompt"] for asked in server.asked if asked.path != "/metrics"]
        assert len(tried) == len(set(tried)) >= 5  # three that tell how quick it is, and two
        engine.delay = 0.5
        busy_with = await ready()
    assert busy_with.startswith("a first token took")
    assert "when it was idle" in busy_with


async def test_an_engine_that_does_not_answer_at_all_costs_no_more_than_the_bound() -> None:
    engine = Engine()
    engine.delay = 60.0
    async with serving(engine) as server:
        ready, began = await asking(server, dialect="openai"), monotonic()
        assert await ready() == "it did not answer a request for one token"
    assert monotonic() - began < 5


@pytest.mark.parametrize(
    ("status", "want"),
    [(503, "it refused a request: HTTP 503: no room"), (429, "it refused a request: HTTP 429: no room"), (500, "")],
)
async def test_an_engine_that_is_full_is_busy_and_one_that_fails_will_be_told_of_as_such(
    status: int, want: str
) -> None:
    async def refuses(_: Asked, client: Client) -> None:
        await client.reply(b"no room", status)

    async with serving(refuses) as server:
        assert await (await asking(server, dialect="openai"))() == want


async def test_being_told_to_stop_ends_the_wait() -> None:
    engine = Engine()
    engine.running = 1
    async with serving(engine) as server:
        ready = await asking(server)
        asyncio.get_running_loop().call_later(0.1, ready._interrupt.set)
        assert await ready() == ""


async def test_a_point_tells_what_the_engine_was_busy_with() -> None:
    engine = Engine()
    engine.running = 1
    async with serving(engine) as server:
        settings = plan(server.url, api=API, model="m")  # as its answers name it
        rows, _ = read(settings.dataset, chat=False)
        address = parse(server.url)

        async def nothing() -> None:
            return None

        site = Site(
            plan=settings,
            address=await resolved(address),
            bodies=Bodies(settings, address, rows, most=1),
            engine_start=nothing,
            interrupt=asyncio.Event(),
            say=lambda _stage, _words: None,
            idle=await asking(server),
        )
        report = await measure(site, PointPlan(index=0, concurrency=1))
    assert report is not None
    assert report.evidence.engine_busy_with == "2 requests running"
    verdict = judge_point(report)
    assert "EngineNotIdle" in verdict.reasons
    assert "the engine was not idle when the point began: 2 requests running" in verdict.message
