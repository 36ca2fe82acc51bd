"""An open loop against servers of known timing: what is sent when, and from where latencies count."""

import asyncio
import socket
from itertools import pairwise
from statistics import median
from time import monotonic_ns
from typing import Any

import pytest

from enginebench.loadgen import open_loop
from enginebench.loadgen.connection import SocketAddress
from enginebench.loadgen.open_loop import OpenLoop
from enginebench.loadgen.routes import ROUTES
from enginebench.loadgen.schedule import Schedule
from enginebench.results.record import RequestRecord
from tests.unit.loadgen.servers import API, Asked, Client, Gone, TimedEngine, one_token, serving

MS = 1_000_000
PATIENCE = 15.0
"""Seconds for what takes a few hundred milliseconds on an idle machine."""


def loop_of(
    port: int, rate: float, *, most: int = 100, arrival: Any = "Constant", share: int | None = None, **options: Any
) -> OpenLoop:
    """Requests that say which one of which phase they are."""
    return OpenLoop(
        Schedule(rate, arrival, "seed") if share is None else Schedule(rate, arrival, "seed", share, 2),
        most,
        address=SocketAddress(socket.AF_INET, ("127.0.0.1", port)),
        route=ROUTES[API],
        model_is_wrong=lambda _: False,
        source=lambda phase, number: f"GET /{phase}/{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        **options,
    )


async def answering(_: Asked, client: Client) -> None:
    await client.stream(one_token())


async def came(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await event.wait()


async def run(load: OpenLoop, seconds: float, *, ramp: float = 0.0, drain: bool = True) -> list[RequestRecord]:
    """Warm-up, a window, the drain; the tracked requests in the order in which they were due."""
    await load.connect()
    load.start(ramp)
    await came(load.warm)
    load.open_window()
    await asyncio.sleep(seconds)
    load.close_window()
    if drain:
        await came(load.drained)
    load.stop()
    return sorted((record for record in load.records if record.tracked), key=lambda record: record.start)


async def test_requests_are_due_evenly_and_are_never_sent_before() -> None:
    async with serving(TimedEngine(tokens=2)) as server:
        tracked = await run(loop_of(server.port, 50.0), 1.0)
    assert 45 <= len(tracked) <= 70  # a busy machine sleeps longer
    assert {b.start - a.start for a, b in pairwise(tracked)} <= {20 * MS - 1, 20 * MS, 20 * MS + 1}
    assert all(record.sent >= record.start for record in tracked)
    assert all(record.outcome == "succeeded" for record in tracked)
    assert len(server.asked) > len(tracked)  # untracked ones before and after


async def test_shares_that_begin_at_the_same_moment_interleave() -> None:
    async with serving(answering) as server:
        loads = [loop_of(server.port, 40.0, share=share) for share in (0, 1)]
        began = loads[0].begin_at = loads[1].begin_at = monotonic_ns()
        first, second = await asyncio.gather(*(run(load, 0.5) for load in loads))
    offsets = [[round((record.start - began) / (25 * MS), 3) for record in tracked] for tracked in (first, second)]
    assert all(place % 2 == share for share in (0, 1) for place in offsets[share])
    assert min(map(len, offsets)) >= 8


async def test_requests_are_sent_although_none_is_answered() -> None:
    """A closed loop would stop here; the open one goes on, over as many connections as that takes."""
    hold = asyncio.Event()

    async def silent(asked: Asked, client: Client) -> None:
        if asked.path != "/warm-up/0":
            await hold.wait()
        await client.stream(one_token())

    async with serving(silent) as server:
        load = loop_of(server.port, 50.0)
        tracked = await run(load, 0.6, drain=False)
        hold.set()
    assert len(tracked) >= 25
    assert all(record.outcome == "open" and record.sent for record in tracked)
    assert server.connections >= len(tracked)


async def test_latency_counts_from_when_a_request_was_due_though_it_had_to_wait() -> None:
    """One connection, requests of 100 ms, one due every 50 ms: each waits 50 ms longer than the one before."""
    async with serving(TimedEngine(ttft=0.1, tokens=1)) as server:
        tracked = await run(loop_of(server.port, 20.0, most=1), 0.5)
    assert server.connections == 1
    waits = [record.sent - record.start for record in tracked]
    assert waits == sorted(waits)
    assert waits[-1] - waits[0] > 0.8 * 50 * MS * (len(waits) - 1)
    assert median(record.first - record.sent for record in tracked) < 150 * MS


async def test_what_never_had_a_connection_is_open_from_when_it_was_due() -> None:
    async with serving(TimedEngine(ttft=0.2, tokens=1)) as server:
        tracked = await run(loop_of(server.port, 50.0, most=2), 0.5, drain=False)
    unsent = [record for record in tracked if not record.sent]
    assert len(unsent) > 10
    assert all(record.outcome == "open" and not record.first for record in unsent)


async def test_the_load_is_warm_when_what_was_sent_in_the_ramp_is_answered() -> None:
    async with serving(TimedEngine(ttft=0.3, tokens=1)) as server:
        load = loop_of(server.port, 20.0)
        await load.connect()
        load.start(0.5)
        await came(load.warm)
        in_ramp = [asked for asked in server.asked if asked.at < server.asked[0].at + 500 * MS]
        assert load.progress >= len(in_ramp) >= 4
        load.stop()


async def test_enough_requests_close_the_window() -> None:
    async with serving(answering) as server:
        load = loop_of(server.port, 100.0, max_requests=30)
        await load.connect()
        load.start(0)
        await came(load.warm)
        load.open_window()
        await came(load.full)
        await came(load.drained)
        load.stop()
    assert sum(record.tracked for record in load.records) == 30


async def test_a_connection_closed_while_idle_is_replaced_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_loop, "REOPEN_SECONDS", 0.01)

    async def hurried(_: Asked, client: Client) -> None:
        await client.stream(one_token())
        raise Gone  # as a server whose keep-alive has run out

    async with serving(hurried) as server:
        tracked = await run(loop_of(server.port, 20.0), 0.5)
    assert all(record.outcome == "succeeded" for record in tracked)
    assert server.connections > len(tracked)


async def test_a_reset_before_any_byte_is_sent_once_more_and_counts_from_when_it_was_due() -> None:
    seen: set[str] = set()

    async def fickle(asked: Asked, client: Client) -> None:
        if asked.path == "/window/3" and asked.path not in seen:
            seen.add(asked.path)
            raise Gone
        await client.stream(one_token())

    async with serving(fickle) as server:
        load = loop_of(server.port, 40.0)
        tracked = await run(load, 0.5)
    assert load.replayed == 1
    assert all(record.outcome == "succeeded" for record in tracked)
    assert {b.start - a.start for a, b in pairwise(tracked)} <= {25 * MS - 1, 25 * MS, 25 * MS + 1}


async def test_nobody_listens() -> None:
    load = loop_of(1, 50.0)
    tracked = await run(load, 0.4)
    assert len(tracked) >= 10
    assert {record.error for record in tracked} == {"the connection could not be opened: Connection refused"}
    assert all(not record.sent for record in tracked)


async def test_nothing_is_left_behind() -> None:
    async with serving(TimedEngine(ttft=5)) as server:
        load = loop_of(server.port, 100.0)
        await load.connect()
        load.start(0)
        await asyncio.sleep(0.2)
        load.stop()
        sent = len(server.asked)
        await asyncio.sleep(0.1)
        assert len(server.asked) <= sent + 1
