"""A process of the load pod that asks the engine for its metrics while a window is open.

A process and not a task: reading a page of metrics takes milliseconds, which the loop that takes the times must not
spend. The leader sends one byte as the window opens and one as it closes; then it gets what was scraped: four bytes of
length, big-endian, and MessagePack.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic_ns

import msgspec

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.access import address_of
from enginebench.loadgen.address import Address
from enginebench.loadgen.errors import in_words
from enginebench.loadgen.metrics_page import read
from enginebench.loadgen.plain import UNREACHABLE, fetch
from enginebench.results.engine_metrics import STEP_SECONDS, Scrape, Scraped

OPEN, CLOSE = b"o", b"c"
PAGE_SECONDS = 4.0
"""An engine that takes longer for its page is not waited for."""
HAND_OVER_SECONDS = 10.0
SCRAPES_BLINDLY = 10
_LENGTH = 4
HAS_NONE = Scraped(unobserved="Ollama has no metrics of its own")


class Scraper:
    """The leader's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._gone = ""

    def open_window(self) -> None:
        """Scrape now, and from now on."""
        self._writer.write(OPEN)

    def close_window(self) -> None:
        """Scrape once more, and no longer."""
        self._writer.write(CLOSE)

    async def scraped(self) -> Scraped:
        """What was, of the window that was closed last."""
        if not self._gone:
            try:
                async with asyncio.timeout(HAND_OVER_SECONDS):
                    size = int.from_bytes(await self._reader.readexactly(_LENGTH), "big")
                    return msgspec.msgpack.decode(await self._reader.readexactly(size), type=Scraped)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, msgspec.MsgspecError) as error:
                self._gone = f"the load pod's process that asks for them is gone ({type(error).__name__})"
        return Scraped(unobserved=self._gone)

    async def end(self) -> None:
        """Let the process go."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def has_metrics(plan: LoadPlan) -> bool:
    """The plan's engine may have some; an OpenAI-compatible endpoint is asked."""
    return plan.task == "load" and plan.dialect != "ollama"


def pace_of(plan: LoadPlan) -> int:
    """Seconds between two scrapes. Where GuideLLM's window lies is known afterwards: they are to be near its ends."""
    if plan.guidellm is None or plan.duration_seconds is None:
        return STEP_SECONDS
    return max(1, min(STEP_SECONDS, plan.duration_seconds // SCRAPES_BLINDLY))


async def scraper_of(sockets: Sequence[socket.socket]) -> Scraper | None:
    """By the leader's end of the socket to the process, if there is one."""
    return Scraper(*await asyncio.open_unix_connection(sock=sockets[0])) if sockets else None


async def serve(plan: LoadPlan, own: socket.socket, complain: Callable[[str], None]) -> None:
    """The process's work until its leader has gone."""
    try:
        address = address_of(plan, os.environ)
    except ValueError:
        return  # the leader says so
    reader, writer = await asyncio.open_unix_connection(sock=own)
    window: _Window | None = None
    with suppress(OSError):
        while order := await reader.read(1):
            if window is not None:
                window.stop()
            if order == OPEN:
                window = _Window(address, pace_of(plan))
            elif window is not None:
                data = msgspec.msgpack.encode(await window.closed())
                writer.write(len(data).to_bytes(_LENGTH, "big") + data)
                window = None
            else:
                complain(f"the scraper got {order!r} without an open window")
    if window is not None:
        window.stop()
    writer.close()


class _Window:
    """The scrapes of one window, at a fixed pace from its opening on."""

    def __init__(self, address: Address, pace: int) -> None:
        self._address = address
        self._pace = pace
        self._names: dict[str, str] = {}
        self._scrapes: list[Scrape] = []
        self._failed = 0
        self._why = ""
        self._task = asyncio.create_task(self._go_on())

    def stop(self) -> None:
        self._task.cancel()

    async def closed(self) -> Scraped:
        """After one more scrape."""
        self.stop()
        await self._scrape()
        why = "" if self._scrapes else self._why
        return Scraped(self._names, tuple(self._scrapes), self._failed, why, self._pace)

    async def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._scrape()
            due += self._pace
            await asyncio.sleep(due - loop.time())

    async def _scrape(self) -> None:
        asked = monotonic_ns()
        try:
            response = await fetch(self._address, "/metrics", timeout=PAGE_SECONDS)
        except UNREACHABLE as error:
            self._failed += 1
            self._why = f"GET /metrics: {in_words(error)}"
            return
        at = (asked + monotonic_ns()) // 2
        if not response.ok:
            self._failed += 1
            self._why = f"GET /metrics: HTTP {response.status}"
            return
        names, values = read(bytes(response.body))
        if not values:
            self._failed += 1
            self._why = "its /metrics has none of the names that are known"
            return
        self._names = self._names or names
        self._scrapes.append(Scrape(at, values))
