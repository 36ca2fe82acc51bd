"""What the users of a point record, held against the server's own record of the same requests."""

import asyncio
import socket
import time
from typing import Any

import pytest

from enginebench.loadgen import closed_loop
from enginebench.loadgen.closed_loop import ClosedLoop
from enginebench.loadgen.connection import SocketAddress
from enginebench.loadgen.routes import ROUTES
from enginebench.results import figures, series
from tests.unit.loadgen.servers import API, Answered, Asked, Client, Gone, TimedEngine, one_token, serving

MS = 1_000_000
PATIENCE = 10.0
"""Seconds for what takes a few hundred milliseconds on an idle machine."""


def loop_of(port: int, count: int, **options: Any) -> ClosedLoop:
    """Users that say which request of which phase they send."""
    return ClosedLoop(
        count,
        address=SocketAddress(socket.AF_INET, ("127.0.0.1", port)),
        route=ROUTES[API],
        model_is_wrong=lambda _: False,
        source=lambda phase, number: f"GET /{phase}/{number} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
        **options,
    )


async def ended(load: ClosedLoop, outcome: str) -> None:
    """A request of the window has ended so."""
    async with asyncio.timeout(PATIENCE):
        while not any(record.outcome == outcome for record in load.records):  # noqa: ASYNC110  # there is no event
            await asyncio.sleep(0.02)


async def came(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await event.wait()


async def run(load: ClosedLoop, seconds: float, *, ramp: float = 0.0) -> None:
    """Warm-up, a window with two looks at it, and the drain."""
    await load.connect()
    load.start(ramp)
    await came(load.warm)
    load.open_window()
    await asyncio.sleep(seconds / 2)
    load.tick()
    await asyncio.sleep(seconds / 2)
    load.close_window()
    await came(load.drained)
    load.stop()


async def recorded(engine: TimedEngine, count: int, **options: Any) -> tuple[ClosedLoop, dict[int, Answered]]:
    """A load of 0.4 s and, for each record by its place, the server's record of the request."""
    async with serving(engine) as server:
        load = loop_of(server.port, count, **options)
        await run(load, 0.4)
    served = {}
    for place, record in enumerate(load.records):
        # One user's requests follow each other: the server's last arrival before the first content is this one's.
        candidates = [a for a in engine.answered if record.start < a.arrived < record.first]
        matching = [a for a in candidates if len(a.tokens) == engine.tokens and a.tokens[-1] <= record.last]
        served[place] = max(matching, key=lambda a: a.arrived)
    return load, served


async def test_one_user_sees_what_the_server_did_and_when() -> None:
    engine = TimedEngine(ttft=0.02, gap=0.01, tokens=5)
    load, served = await recorded(engine, 1)
    assert len(load.records) >= 3
    for place, record in enumerate(load.records):
        answer = served[place]
        assert record.outcome == "succeeded"
        assert record.events == record.output_tokens == len(answer.tokens) == 5
        assert record.start < answer.arrived < answer.tokens[0] < record.first
        assert answer.tokens[-1] < record.last <= record.end
        assert record.first - record.start >= 18 * MS  # the loop's timers count in milliseconds
    late = sorted(record.first - served[place].tokens[0] for place, record in enumerate(load.records))
    assert late[0] < 10 * MS
    gaps = sorted(b - a for answer in served.values() for a, b in zip(answer.tokens, answer.tokens[1:], strict=False))
    middle = load.gaps.histogram.quantile(50)
    assert middle is not None
    assert middle == pytest.approx(gaps[len(gaps) // 2], rel=0.5)


async def test_the_window_books_what_the_server_sent_in_it() -> None:
    engine = TimedEngine(ttft=0.015, gap=0.005, tokens=20)
    async with serving(engine) as server:
        load = loop_of(server.port, 6)
        await run(load, 0.5, ramp=0.05)
    sent = sum(load.window.open <= token < load.window.close for answer in engine.answered for token in answer.tokens)
    booked = sum(record.events_in_window for record in load.records)
    assert abs(sent - booked) <= 2 * 6  # what was on its way as the window opened and as it closed
    assert booked > 100
    counted = figures.tokens(load.records)
    assert figures.output_tokens_per_second(load.records, load.window, counted) == pytest.approx(
        booked / load.window.seconds
    )
    ended = sum(record.end in load.window for record in load.records)
    assert figures.requests_per_second(load.records, load.window) == pytest.approx(ended / load.window.seconds)
    assert load.ticks[-1].events == booked
    assert load.ticks[0].events < booked
    span = series.seconds(load.records, load.ticks, load.window, counted)
    assert sum(second.events for second in span) == booked
    # Every gap that ended in the window: all events booked but each request's first.
    firsts = sum(record.first in load.window for record in load.records)
    assert load.gaps.histogram.samples == booked - firsts


async def test_requests_begun_before_the_window_book_tokens_but_no_latency() -> None:
    engine = TimedEngine(ttft=0.3, gap=0.02, tokens=10)
    async with serving(engine) as server:
        load = loop_of(server.port, 3)
        await load.connect()
        load.start(0)
        await came(load.warm)
        await asyncio.sleep(0.1)  # the second requests wait for their first token
        load.open_window()
        await asyncio.sleep(0.3)
        load.close_window()
        assert load.drained.is_set()  # nothing was started in it
        load.stop()
    assert [record.tracked for record in load.records] == [False] * 3
    assert all(record.start < load.window.open < record.first for record in load.records)
    assert sum(record.events_in_window for record in load.records) == sum(record.events for record in load.records) > 0


async def test_the_drain_goes_on_with_load_that_is_not_tracked() -> None:
    engine = TimedEngine(ttft=0.05, gap=0.01, tokens=3)
    async with serving(engine) as server:
        load = loop_of(server.port, 4)
        await run(load, 0.2, ramp=0.08)
    phases = [asked.path.split("/")[1] for asked in server.asked]
    assert phases.count("drain") >= 1
    assert sorted(set(phases), key=phases.index) == ["warm-up", "window", "drain"]
    assert all(record.outcome == "succeeded" for record in load.records if record.tracked)
    assert sum(record.tracked for record in load.records) == phases.count("window")
    numbers = [int(asked.path.split("/")[2]) for asked in server.asked if "/window/" in asked.path]
    assert sorted(numbers) == list(range(len(numbers)))


async def test_requests_that_are_open_at_the_end_are_kept_as_they_are() -> None:
    engine = TimedEngine(ttft=0.01, gap=0.01, tokens=2, slots=2)
    async with serving(engine) as server:
        load = loop_of(server.port, 6)
        await load.connect()
        load.start(0)
        await came(load.warm)
        engine.ttft = 5.0
        load.open_window()
        await asyncio.sleep(0.3)
        load.close_window()
        assert not load.drained.is_set()
        load.stop()
    still_open = [record for record in load.records if record.outcome == "open"]
    assert len(still_open) == 6
    assert any(record.tracked for record in still_open)
    assert all(not record.first for record in still_open if record.tracked)


async def test_so_many_requests_close_the_window() -> None:
    async with serving(TimedEngine(ttft=0.001, gap=0, tokens=1)) as server:
        load = loop_of(server.port, 3, max_requests=20)
        await load.connect()
        load.start(0)
        await came(load.warm)
        load.open_window()
        await came(load.full)
        assert load.window.close
        await came(load.drained)
        load.stop()
    assert sum(record.tracked for record in load.records) == 20


# A server that goes away


async def answering(asked: Asked, client: Client) -> None:
    await client.stream(one_token())


async def test_a_reset_before_any_byte_is_replayed_with_its_start_unchanged() -> None:
    resets: list[int] = []

    async def first_of_each_connection_is_reset(asked: Asked, client: Client) -> None:
        if asked.connection < 2 and asked.path == "/window/3":
            resets.append(asked.at)
            await asyncio.sleep(0.1)
            raise Gone
        await asyncio.sleep(0.01)
        await answering(asked, client)

    async with serving(first_of_each_connection_is_reset) as server:
        load = loop_of(server.port, 2)
        await run(load, 0.4)
    assert len(resets) == 1
    assert load.replayed == 1
    assert {record.outcome for record in load.records} == {"succeeded"}
    [replayed] = [r for r in load.records if r.start < resets[0] < r.first and r.first - r.start >= 100 * MS]
    assert replayed.tracked


async def test_a_connection_that_stands_and_falls_at_once_fails_its_request_and_turns_in_no_circle() -> None:
    """As a proxy without a backend does it."""
    accepted = 0

    async def slam(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        writer.transport.abort()

    listening = await asyncio.start_server(slam, "127.0.0.1", 0)
    async with listening:
        load = loop_of(listening.sockets[0].getsockname()[1], 16)
        await run(load, 0.5)
    assert sum(record.outcome == "errored" for record in load.records) >= 16
    assert {record.outcome for record in load.records} == {"errored"}
    assert accepted < 16 * 20


async def test_64_users_who_are_refused_wait_between_their_attempts() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # bound and not listening: refused
        load = loop_of(reserved.getsockname()[1], 64)
        cpu = time.process_time()
        await run(load, 2.0)
        cpu = time.process_time() - cpu
    assert {record.error for record in load.records} == {"the connection could not be opened: Connection refused"}
    assert 64 <= len(load.records) <= 64 * 6  # after 0.1, 0.2, 0.4, 0.8, 1 s, …
    assert cpu < 1.0


async def test_the_wait_between_attempts_stays_bounded_however_many_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closed_loop, "BACKOFF_SECONDS", (1e-6, 2e-6))
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        load = loop_of(reserved.getsockname()[1], 1)
        load.start(0)
        await came(load.warm)
        load.open_window()
        async with asyncio.timeout(PATIENCE):
            while load.progress < 1100:  # noqa: ASYNC110  # 2 ** 1100 is no float
                await asyncio.sleep(0.05)
        load.close_window()
        load.stop()


async def test_users_come_back_when_the_engine_does() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    load = loop_of(port, 3)
    await load.connect()
    load.start(0)
    await came(load.warm)
    load.open_window()
    await ended(load, "errored")
    async with serving(answering, port):
        await ended(load, "succeeded")
        load.close_window()
        load.stop()


async def test_an_idle_connection_that_was_closed_is_open_again_before_it_is_used() -> None:
    """The second user begins after 0.5 s; the server closes a connection that was idle for 0.1 s."""
    opened: list[float] = []

    async def impatient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(time.monotonic())
        try:
            while True:
                async with asyncio.timeout(0.1):
                    await reader.readuntil(b"\r\n\r\n")
                await Client(writer).stream(one_token())
                await asyncio.sleep(0.01)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()

    listening = await asyncio.start_server(impatient, "127.0.0.1", 0)
    async with listening:
        load = loop_of(listening.sockets[0].getsockname()[1], 2)
        await load.connect()
        load.start(1.0)
        await came(load.warm)
        load.open_window()
        load.close_window()
        load.stop()
    assert len(opened) >= 3
    assert load.replayed <= 1  # the moment at which it is closed may be the one at which it is needed


async def test_a_stopped_loop_does_nothing_more() -> None:
    async with serving(answering) as server:
        load = loop_of(server.port, 4)
        await load.connect()
        load.start(0.2)
        await asyncio.sleep(0.05)
        load.stop()
        asked = len(server.asked)
        await asyncio.sleep(0.25)
        assert len(server.asked) <= asked + 4  # what was under way as it was stopped
    assert len(load.records) == 0
