"""Simulated engines on a free port, with steps of a millisecond."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from enginebench.simulator.server import Server, serve
from enginebench.simulator.settings import Settings
from tests.unit.simulator.client import Client

MILLISECOND = 1_000_000
HOUR = 3_600_000 * MILLISECOND
"""A step of an hour: nothing ends while a test looks."""

Start = Callable[..., Awaitable[Server]]
Connect = Callable[[Server], Awaitable[Client]]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110  # the scheduler has no event to wait for
            await asyncio.sleep(0.001)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack: AsyncExitStack) -> Start:
    async def begin(**knobs: object) -> Server:
        quick = {"decode_step": MILLISECOND, "decode_step_per_sequence": 0, "prefill_per_token": 0}
        settings = {"model": "tiny", "host": "127.0.0.1", **quick, **knobs}
        server = await serve(Settings(**settings))  # type: ignore[arg-type]  # the knobs are Settings' own names
        stack.callback(server.close)
        return server

    return begin


@pytest.fixture
def connect(stack: AsyncExitStack) -> Connect:
    async def open_one(server: Server) -> Client:
        client = await Client.connect(server.port)
        stack.push_async_callback(client.close)
        return client

    return open_one


@pytest.fixture
async def vllm(start: Start, connect: Connect) -> Client:
    return await connect(await start(api="vLLM"))


@pytest.fixture
async def ollama(start: Start, connect: Connect) -> Client:
    return await connect(await start(api="Ollama"))
