"""HTTP/1.1 as far as a simulated engine needs it: keep-alive connections, one request at a time on each.

Responses are bytes that were made ready before they are due; a write goes straight to the socket, so that the
moment it returns is the moment the event left. What the socket does not take goes through the transport.
"""

import asyncio
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 64 << 20

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
LAST_CHUNK = b"0\r\n\r\n"

_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    405: b"Method Not Allowed",
    411: b"Length Required",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}

_REQUEST_LINE = re.compile(rb"([A-Z]+) (/[^ ]*) HTTP/(\d\.\d)")


class HttpError(Exception):
    """A request that is answered with an error status and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    """Without the query."""
    body: bytes
    authorization: bytes = b""
    """The header of that name."""


class Application(Protocol):
    """Answers requests; each ends with one call of `Connection.done`, at once or later."""

    def handle(self, request: Request, connection: "Connection") -> None: ...

    def error(self, error: HttpError, path: str) -> tuple[bytes, bytes]:
        """Content type and body of an error, in the dialect's form; no path where no request could be read."""
        ...


def head(status: int, content_type: bytes, length: int | None = None, *, close: bool = False) -> bytes:
    """A response's head; without a length the body is chunked. Every response says that it is simulated."""
    size = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    return b"HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s\r\nX-Enginebench-Simulated: true\r\n%s\r\n" % (
        status,
        _REASONS[status],
        content_type,
        size,
        b"Connection: close\r\n" if close else b"",
    )


def chunk(data: bytes) -> bytes:
    """`data` as one chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Connection(asyncio.Protocol):
    """One client. `on_lost` is called if it goes away while its request is being answered."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._transport: asyncio.Transport | None = None
        self._fd = -1
        self._buffer = b""
        self._busy = False
        self._continued = False
        self._head_only = False
        self._close_after = False
        self.on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not say that it is one
        if transport.get_extra_info("ssl_object") is None:  # else only the transport can write
            self._fd = transport.get_extra_info("socket").fileno()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        self._transport = None  # breaks the cycle: no garbage collection during a run
        if self.on_lost:
            self.on_lost()
            self.on_lost = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._busy:
            self._next()

    def send(self, data: bytes) -> None:
        """Write now; what the socket does not take follows as soon as it does."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._fd >= 0 and not transport.get_write_buffer_size():
            try:
                sent = os.write(self._fd, data)
            except BlockingIOError:
                sent = 0
            except OSError:  # reset by the client: connection_lost follows
                transport.abort()
                return
            if sent == len(data):
                return
            data = data[sent:]
        transport.write(data)

    def reply(self, status: int, content_type: bytes, body: bytes) -> None:
        """The whole response to the current request, and ready for the next."""
        response = head(status, content_type, len(body), close=self._close_after)
        self.send(response if self._head_only else response + body)
        self.done()

    def head(self, content_type: bytes, length: int | None = None) -> bytes:
        """The head of a good response that is sent by and by; `done` tells that all of it went out."""
        return head(200, content_type, length, close=self._close_after)

    def done(self) -> None:
        """The response is complete: go on with the next request, or close."""
        self.on_lost = None
        self._busy = False
        if self._close_after:
            if self._transport:
                self._transport.close()
        elif self._buffer:
            self._next()

    def _next(self) -> None:
        try:
            request = self._parse()
        except HttpError as error:
            self._close_after = True  # what follows on this connection cannot be told apart
            self.reply(error.status, *self._application.error(error, ""))
            return
        if request is None:
            return
        self._busy = True
        try:
            self._application.handle(request, self)
        except HttpError as error:
            self.reply(error.status, *self._application.error(error, request.path))

    def _parse(self) -> Request | None:
        """The next whole request of the buffer, or None while there is none."""
        self._buffer = self._buffer.lstrip(b"\r\n")
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                raise HttpError(431, f"the request's head is longer than {MAX_HEAD_BYTES} bytes")
            return None
        first, *lines = self._buffer[:end].split(b"\r\n")
        line = _REQUEST_LINE.fullmatch(first)
        if not line:
            raise HttpError(400, "the request line must be: METHOD /path HTTP/1.1")
        if line[3] != b"1.1":
            raise HttpError(505, "only HTTP/1.1 is spoken here")
        headers = dict(_header(line) for line in lines)
        if b"transfer-encoding" in headers:
            raise HttpError(411, "send the body with Content-Length: chunked requests are not read")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise HttpError(400, "Content-Length must be a number")
        size = int(length)
        if size > MAX_BODY_BYTES:
            raise HttpError(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
        body = self._buffer[end + 4 : end + 4 + size]
        if len(body) < size:
            if headers.get(b"expect", b"").lower() == b"100-continue" and not self._continued:
                self._continued = True
                self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return None
        self._buffer = self._buffer[end + 4 + size :]
        self._continued = False
        self._close_after = headers.get(b"connection", b"").lower() == b"close"
        self._head_only = line[1] == b"HEAD"
        path = line[2].partition(b"?")[0].decode("latin-1")
        return Request(line[1].decode(), path, body, headers.get(b"authorization", b""))


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name != name.strip():
        raise HttpError(400, "a header must be: Name: value")
    return name.lower(), value.strip()
