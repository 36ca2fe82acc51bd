"""The least that a client in Python can do: read, look at the clock, count. What this machine charges for that.

    python -m bench.loadgen.bare URL STREAMS SECONDS

No measuring tool, but the floor under every figure of processor time in the table: it knows no HTTP beyond the end of
the server's answers.
"""

import asyncio
import json
import os
import sys
from importlib import metadata
from time import monotonic_ns
from urllib.parse import urlsplit

import uvloop

from bench.loadgen.rows import TOKENS, Reported
from bench.loadgen.tool import Sign, Task

RAMP_SECONDS = 2
END = b"\r\n0\r\n\r\n"


class Bare:
    """Reports nothing but its count."""

    name = "bare reader"
    version = f"uvloop {metadata.version('uvloop')}"
    settings = ""

    def command(self, task: Task) -> list[str]:
        return [sys.executable, "-m", "bench.loadgen.bare", task.url, str(task.streams), str(task.seconds)]

    def environment(self, task: Task) -> dict[str, str]:  # noqa: ARG002  # Tool's signature
        return {**os.environ, "PYTHONPATH": ":".join(path for path in sys.path if path)}

    def sign(self, line: bytes) -> Sign:  # noqa: ARG002  # Tool's signature
        return ""

    def report(self, task: Task) -> Reported:  # noqa: ARG002  # Tool's signature
        return Reported()


class Stream(asyncio.Protocol):
    """Asks again as soon as an answer has ended."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._transport: asyncio.WriteTransport | None = None
        self.reads = 0
        self.last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's own is none by descent

    def ask(self) -> None:
        assert self._transport is not None
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self.last = monotonic_ns()
        self.reads += 1
        if data.endswith(END):
            self.ask()


async def run(url: str, streams: int, seconds: int) -> None:
    loop, where = asyncio.get_running_loop(), urlsplit(url)
    messages = [{"role": "user", "content": "count"}]
    body = json.dumps({"model": "reference", "messages": messages, "max_tokens": TOKENS, "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    for number in range(streams):
        _, stream = await loop.create_connection(
            lambda: Stream(head.encode() + body), where.hostname or "", where.port or 80
        )
        loop.call_later(RAMP_SECONDS * number / streams, stream.ask)
    await asyncio.sleep(RAMP_SECONDS + seconds)


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
