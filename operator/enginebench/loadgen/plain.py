"""Plain HTTP requests: what is asked of the engine besides completions."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from enginebench import __version__
from enginebench.loadgen.address import Address
from enginebench.loadgen.http import BodySink, Head, ProtocolError, ResponseParser
from enginebench.loadgen.routes import error_text

READ_BYTES = 65536
TIMEOUT_SECONDS = 30.0
SHUTDOWN_SECONDS = 1.0
"""A server gets so long to say goodbye by TLS; everything has been read by then."""
UNREACHABLE = (OSError, TimeoutError, ProtocolError)
"""What a request raises when no response came."""


@dataclass(slots=True)
class Response:
    """A whole response."""

    status: int = 0
    body: bytearray = field(default_factory=bytearray)

    @property
    def ok(self) -> bool:
        return self.status == 200  # noqa: PLR2004  # HTTP's OK

    def json(self) -> Any:
        """The body as a document; ProtocolError where it is none."""
        try:
            return msgspec.json.decode(bytes(self.body))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ProtocolError(f"not JSON: {bytes(self.body[:80])!r}") from error

    def words(self) -> str:
        """Status and error text, for people."""
        try:
            document = self.json()
        except ProtocolError:
            return f"HTTP {self.status}: {' '.join(self.body.decode('utf-8', 'replace').split())[:200]}"
        error = document.get("error", document) if isinstance(document, dict) else document
        return f"HTTP {self.status}: {error_text(error)[:200]}"


async def fetch(
    address: Address,
    path: str,
    *,
    post: object = None,
    timeout: float = TIMEOUT_SECONDS,  # noqa: ASYNC109  # it bounds the whole exchange, for every caller alike
    stream: BodySink | None = None,
) -> Response:
    """GET, or POST of a JSON document. `stream` gets the pieces of a 200's body as they come, instead of the body.

    OSError, TimeoutError or ProtocolError where no whole response came in time.
    """
    async with asyncio.timeout(timeout):
        secure: dict[str, Any] = {}
        if address.tls is not None:
            secure = {"ssl": address.tls, "server_hostname": address.host, "ssl_shutdown_timeout": SHUTDOWN_SECONDS}
        reader, writer = await asyncio.open_connection(address.host, address.port, **secure)
        try:
            writer.write(_request(address, path, post))
            return await _response(reader, stream)
        finally:
            writer.close()


def _request(address: Address, path: str, post: object) -> bytes:
    body = b"" if post is None else msgspec.json.encode(post)
    kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
    return (
        f"{'POST' if body else 'GET'} {address.path}{path} HTTP/1.1\r\nHost: {address.authority}\r\n"
        f"{address.authorization}"
        f"User-Agent: enginebench/{__version__}\r\nAccept-Encoding: identity\r\nConnection: close\r\n{kind}\r\n"
    ).encode() + body


async def _response(reader: asyncio.StreamReader, stream: BodySink | None) -> Response:
    response, done = Response(), False

    def head(head: Head) -> Callable[[bytes], None]:
        response.status = head.status
        return stream if stream is not None and response.ok else response.body.extend

    def end() -> None:
        nonlocal done
        done = True

    parser = ResponseParser(head, end)
    while not done:
        data = await reader.read(READ_BYTES)
        if data:
            parser.feed(data)
        else:
            parser.eof()
    return response
