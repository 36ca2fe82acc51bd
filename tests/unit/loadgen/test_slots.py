"""How many requests run at once, seen against simulated engines whose slots are known."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from enginebench.loadgen import slots
from enginebench.loadgen.address import parse
from enginebench.loadgen.routes import ROUTES
from enginebench.loadgen.slots import requests_at_once
from enginebench.loadgen.verify import resolved
from enginebench.simulator.server import serve
from enginebench.simulator.settings import Settings
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.servers import Asked, Client, serving

STEP = 4_000_000
"""Nanoseconds a token: long against what a busy machine holds us up."""


@asynccontextmanager
async def ollama(**knobs: Any) -> AsyncIterator[str]:
    """URL of a simulated Ollama."""
    quick = {"decode_step": STEP, "decode_step_per_sequence": 0, "prefill_per_token": 0}
    server = await serve(Settings(**{"model": "tiny", "api": "Ollama", "host": "127.0.0.1", **quick, **knobs}))
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.close()


async def probed(url: str, **changes: Any) -> tuple[int, int] | None:
    settings = plan(url, **({"api": "OllamaGenerate"} | changes))
    address = parse(settings.url)
    return await requests_at_once(settings, address, await resolved(address))


@pytest.mark.parametrize(
    ("there", "asked", "found"),
    [
        (4, 4, (4, 5)),
        (1, 1, (1, 2)),
        (1, 8, (1, 9)),
        (6, 8, (6, 9)),
        (8, 4, (5, 5)),
        (2, 0, (2, 5)),
        (16, 0, (5, 5)),
    ],
    ids=["as asked", "one", "limited to one", "fewer", "more", "left open: two", "left open: more than looked for"],
)
async def test_as_many_run_as_there_are_slots(there: int, asked: int, found: tuple[int, int]) -> None:
    async with ollama(slots=there) as url:
        assert await probed(url, slots=asked) == found


@pytest.mark.parametrize("api", list(ROUTES))
async def test_on_every_route(api: str) -> None:
    async with ollama(slots=3) as url:
        assert await probed(url, api=api, dialect="ollama", slots=3) == (3, 4)


async def test_who_is_refused_does_not_run() -> None:
    async with ollama(slots=2, max_queue=0) as url:
        assert await probed(url, slots=2) == (2, 3)


async def test_nothing_runs_on_afterwards() -> None:
    async with ollama(slots=2) as url:
        await probed(url, slots=2)
        async with asyncio.timeout(1):  # 256 tokens would take longer
            assert await probed(url, slots=2) == (2, 3)


async def test_answers_that_end_at_once_tell_nothing() -> None:
    async def short(asked: Asked, client: Client) -> None:
        await client.stream(b'{"model":"tiny","response":"no","done":false}\n{"done":true,"done_reason":"stop"}\n')

    async with serving(short) as server:
        assert await probed(server.url, slots=2) is None


async def test_an_engine_that_answers_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SECONDS", 0.3)

    async def silent(asked: Asked, client: Client) -> None:
        await asyncio.sleep(60)

    async with serving(silent) as server, asyncio.timeout(5):
        assert await probed(server.url, slots=2) is None
    async with asyncio.timeout(5):
        assert await probed("http://127.0.0.1:9", slots=2) is None


async def test_a_slow_engine_is_cut_off_and_what_ran_by_then_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "SECONDS", 1.5)
    monkeypatch.setattr(slots, "TRIES", (100_000,))
    async with ollama(slots=2, decode_step=20_000_000) as url:
        assert await probed(url, slots=3) == (2, 4)
