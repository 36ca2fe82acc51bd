"""The load pod's end of the socket at which `agent` listens in GuideLLM's container."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from enginebench.api.loadplan import AGENT_SOCKET
from enginebench.loadgen.errors import GaveUp

START_SECONDS = 60.0
"""The agent's container has started before ours: it listens in a moment, or never."""
RETRY_SECONDS = 0.2
LINE_BYTES = 1 << 20


class Hello(msgspec.Struct, frozen=True):
    """What there is to run, and on what."""

    version: str = ""
    python: str = ""
    cpus: float = 1.0
    memory: int = 0
    """Bytes that it may use; 0: not told."""


class Tick(msgspec.Struct, frozen=True):
    """What GuideLLM's processes had taken at one moment."""

    at: float
    """Unix seconds."""
    cpu: float
    """Seconds of processor time, all together, since the start."""
    busiest: float
    """Seconds of it that one process took since the last tick."""
    processes: int
    memory: int
    waited: float = 0.0
    """Seconds that they were ready to run and did not, all together, since the start;"""
    ran: int = 0
    """and how often they ran."""
    throttled: float | None = None
    """Seconds that its container was not let run."""


class Ended(msgspec.Struct, frozen=True):
    """How a run ended."""

    exit: int
    said: str
    """Its last words."""
    ticks: tuple[Tick, ...]


class _Line(msgspec.Struct, frozen=True):
    tick: Tick | None = None
    exit: int | None = None
    said: str = ""


class Agent:
    """Runs commands in GuideLLM's container, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / AGENT_SOCKET

    async def hello(self) -> Hello:
        """Waits for the container. GaveUp where it does not come."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            try:
                reader, writer = await self._order([], {})
            except OSError as error:
                if loop.time() - began > START_SECONDS:
                    raise GaveUp(
                        "GuideLlmFailed",
                        f"GuideLLM's container does not answer: {error.strerror or error}. Look at the log of container "
                        "guidellm of the load pod: its image needs a python3.",
                    ) from error
                await asyncio.sleep(RETRY_SECONDS)
                continue
            try:
                return msgspec.json.decode(await reader.readline(), type=Hello)
            finally:
                writer.close()

    async def run(
        self, argv: Sequence[str], environment: Mapping[str, str], on_tick: Callable[[Tick], None]
    ) -> Ended | None:
        """To its end; None where its container went away. Cancelled, it kills what runs."""
        ticks: list[Tick] = []
        reader, writer = await self._order(argv, environment)
        try:
            await reader.readline()  # the hello
            while line := await reader.readline():
                said = msgspec.json.decode(line, type=_Line)
                if said.tick is not None:
                    ticks.append(said.tick)
                    on_tick(said.tick)
                if said.exit is not None:
                    return Ended(exit=said.exit, said=said.said, ticks=tuple(ticks))
            return None
        except ConnectionError:
            return None
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _order(
        self, argv: Sequence[str], environment: Mapping[str, str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self._socket, limit=LINE_BYTES)
        order: dict[str, Any] = {"argv": list(argv), "env": dict(environment)}
        writer.write(msgspec.json.encode(order) + b"\n")
        return reader, writer
