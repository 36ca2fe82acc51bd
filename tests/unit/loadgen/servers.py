"""Small HTTP servers that do what a test says, and remember what they were asked."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

import msgspec

from tests.unit.loadgen.wire import content, ending, event

API = "Completions"
"""The route that the servers of this module answer on."""


class Gone(Exception):  # noqa: N818  # named for what happened
    """Raised by a handler: the connection is reset."""


@dataclass(frozen=True)
class Asked:
    """A request as it came, and on which of the server's connections, counted from 0."""

    method: str
    path: str
    body: bytes
    connection: int
    at: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Client:
    """Who is answered."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def reply(self, body: bytes, status: int = 200, headers: str = "") -> None:
        head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        await self.send(head.encode() + body)

    async def begin(self) -> None:
        """A chunked response."""
        await self.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")

    async def chunk(self, data: bytes) -> None:
        """A piece of it; empty: its end."""
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def stream(self, *pieces: bytes) -> None:
        """All of a chunked response."""
        await self.begin()
        for piece in (*pieces, b""):
            await self.chunk(piece)

    def close(self) -> None:
        """Close well: over TLS with its close_notify."""
        self._writer.close()


Handler = Callable[[Asked, Client], Awaitable[None]]


@dataclass
class Server:
    port: int = 0
    scheme: str = "http"
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(handler: Handler, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server for as long as the block lasts; then every connection is cut."""
    server = Server(scheme="https" if tls is not None else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        number, server.connections = server.connections, server.connections + 1
        try:
            while True:
                asked = await _request(reader, number)
                server.asked.append(asked)
                await handler(asked, Client(writer))
        except (Gone, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.transport.abort()

    listening = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        waiting = list(tasks)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _request(reader: asyncio.StreamReader, connection: int) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    at = monotonic_ns()
    first, *lines = head.split("\r\n")[:-2]
    pairs = [line.split(": ", 1) for line in lines]
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    method, path, _ = first.split(" ")
    return Asked(method, path, body, connection, at, headers)


@dataclass
class Answered:
    """What a `TimedEngine` did with one request; monotonic nanoseconds just before each write of a token."""

    arrived: int
    tokens: list[int] = field(default_factory=list)


class TimedEngine:
    """Completions on a known clock: the first token after `ttft`, the next ones `gap` seconds apart."""

    def __init__(self, *, ttft: float = 0.02, gap: float = 0.01, tokens: int = 10, slots: int = 1000) -> None:
        self.ttft = ttft
        self.gap = gap
        self.tokens = tokens
        self.answered: list[Answered] = []
        self._slots = asyncio.Semaphore(slots)

    async def __call__(self, asked: Asked, client: Client) -> None:
        answer = Answered(asked.at)
        self.answered.append(answer)
        async with self._slots:
            await client.begin()
            for number in range(self.tokens):
                await asyncio.sleep(self.gap if number else self.ttft)
                answer.tokens.append(monotonic_ns())
                await client.chunk(event(API, content(API, "word")))
            await client.chunk(b"".join(ending(API, self.tokens)))
            await client.chunk(b"")


def one_token() -> bytes:
    """The whole body of a completion of one token."""
    return b"".join([event(API, content(API, "word")), *ending(API, 1)])
