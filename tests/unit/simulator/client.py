"""A bare HTTP/1.1 client on one kept connection, which sees what was on the wire."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        """The documents of newline-delimited JSON."""
        return [json.loads(line) for line in self.body.splitlines()]

    @property
    def events(self) -> list[Any]:
        """The documents of server-sent events; `[DONE]` must be the last and is left out."""
        *events, done, rest = self.body.decode().split("\n\n")
        assert done == "data: [DONE]"
        assert rest == ""
        return [json.loads(event.removeprefix("data: ")) for event in events]


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    def send(self, method: str, path: str, body: object = None, headers: str = "") -> None:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode()
            + data
        )

    async def head(self) -> tuple[int, dict[str, str]]:
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines)
        return int(first.split()[1]), {name.lower(): value for name, value in headers.items()}

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body; empty: its end."""
        size = int((await self.reader.readline()), 16)
        data = await self.reader.readexactly(size + 2)
        assert data.endswith(b"\r\n")
        return data[:-2]

    async def response(self, *, head_only: bool = False) -> Response:
        status, headers = await self.head()
        body = b""
        if head_only:
            pass
        elif "content-length" in headers:
            body = await self.reader.readexactly(int(headers["content-length"]))
        else:
            assert headers["transfer-encoding"] == "chunked"
            while chunk := await self.chunk():
                body += chunk
        return Response(status, headers, body)

    async def ask(self, method: str, path: str, body: object = None, headers: str = "") -> Response:
        self.send(method, path, body, headers)
        return await self.response(head_only=method == "HEAD")

    async def get(self, path: str) -> Response:
        return await self.ask("GET", path)

    async def post(self, path: str, body: object) -> Response:
        return await self.ask("POST", path, body)
