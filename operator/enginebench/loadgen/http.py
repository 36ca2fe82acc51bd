"""The client's half of HTTP/1.1, incrementally: bytes in as they come off the socket, body pieces out.

Each byte of a body is looked at once, as part of a slice. RFC 9112: chunked with extensions and trailers,
Content-Length, or until the connection closes; interim (1xx) responses are passed over.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_HEAD_BYTES = 65536
MAX_CHUNK_LINE_BYTES = 4096
MAX_SIZES = 1024

BodySink = Callable[[bytes], None]

_CONTINUE, _OK, _NO_CONTENT, _NOT_MODIFIED = 100, 200, 204, 304
_HEX = b"0123456789abcdefABCDEF"
_last_head: tuple[bytes, "Head"] | None = None
_sizes: dict[bytes, int] = {}
"""Chunk sizes by the line that says them, as far as they were seen; `MAX_SIZES` at most."""


class ProtocolError(Exception):
    """The server does not speak HTTP as we can read it; says what came instead."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and headers of a response; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    keep_alive: bool
    """The connection may carry another request after this response."""


class ResponseParser:
    """Reads one response after another from one connection.

    `on_head(head)` returns where the body's pieces go; `on_end()` is called when the body is complete, after the
    parser is ready for the next response, so that it may send the next request at once.
    """

    __slots__ = ("_left", "_on_end", "_on_head", "_pending", "_sink", "_state", "keep_alive")

    def __init__(self, on_head: Callable[[Head], BodySink], on_end: Callable[[], None]) -> None:
        self._on_head = on_head
        self._on_end = on_end
        self._sink: BodySink = _nowhere
        self._state = self._head
        self._pending = b""
        self._left = 0
        self.keep_alive = True
        """Whether the last response leaves the connection usable."""

    @property
    def between_chunks(self) -> bool:
        """The body is chunked, and the next byte is the first of a chunk size."""
        return self._state == self._chunk and not self._pending

    def feed(self, data: bytes) -> None:
        """What came off the socket. `ProtocolError` where it is no HTTP response; the connection is then lost."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        at = 0
        while at < len(data):
            at = self._state(data, at)

    def eof(self) -> None:
        """The server has closed. `ProtocolError` unless a body without a length ends by that."""
        self.keep_alive = False
        if self._state != self._until_close:
            raise ProtocolError("the connection was closed in the middle of the response")
        self._complete(b"", 0)

    # Each state takes the bytes from `at` on and returns where the next one begins; len(data) asks for more. States are
    # compared by `==`: a bound method is another object each time it is named.

    def _head(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return self._wait(data, at, MAX_HEAD_BYTES, "response head")
        head = _read_head(data[at:end])
        if _CONTINUE <= head.status < _OK:
            return end + 4
        self.keep_alive = head.keep_alive
        encoding = head.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise ProtocolError(f"the body is compressed ({encoding}), which hides when each event was sent")
        self._sink = self._on_head(head)
        return self._body(head, data, end + 4)

    def _body(self, head: Head, data: bytes, at: int) -> int:
        coding = head.headers.get("transfer-encoding")
        if head.status in {_NO_CONTENT, _NOT_MODIFIED}:
            return self._complete(data, at)
        if coding is not None:
            if coding.lower() != "chunked":
                raise ProtocolError(f"transfer-encoding {coding} is not known")
            self._state = self._chunk
        elif "content-length" in head.headers:
            self._left = _number(head.headers["content-length"].encode(), 10, b"0123456789")
            if not self._left:
                return self._complete(data, at)
            self._state = self._length
        else:
            self.keep_alive = False
            self._state = self._until_close
        return at

    def _chunk(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return self._wait(data, at, MAX_CHUNK_LINE_BYTES, "chunk size")
        line = data[at:end]
        size = _sizes.get(line)  # a stream's events have few lengths: a look instead of six calls
        if size is None:
            size = _number(line.partition(b";")[0].strip(b" \t"), 16, _HEX)
            if len(_sizes) < MAX_SIZES:
                _sizes[line] = size
        start = end + 2
        if not size:
            self._state = self._trailer
            return start
        stop = start + size
        if stop + 2 <= len(data):  # the usual case: the server's write is one chunk and arrives whole
            self._sink(data[start:stop])  # before its end is looked at, as where the chunk comes in pieces
            if data[stop : stop + 2] != b"\r\n":
                raise ProtocolError("a chunk is longer than it says")
            return stop + 2
        self._left = size
        self._state = self._in_chunk
        return start

    def _in_chunk(self, data: bytes, at: int) -> int:
        at = self._take(data, at)
        if not self._left:
            self._state = self._chunk_end
        return at

    def _chunk_end(self, data: bytes, at: int) -> int:
        if len(data) - at < len(b"\r\n"):
            return self._wait(data, at, MAX_CHUNK_LINE_BYTES, "chunk end")
        if data[at : at + 2] != b"\r\n":
            raise ProtocolError("a chunk is longer than it says")
        self._state = self._chunk
        return at + 2

    def _trailer(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return self._wait(data, at, MAX_HEAD_BYTES, "trailer")
        return self._complete(data, end + 2) if end == at else end + 2

    def _length(self, data: bytes, at: int) -> int:
        at = self._take(data, at)
        return at if self._left else self._complete(data, at)

    def _until_close(self, data: bytes, at: int) -> int:
        self._sink(data[at:])
        return len(data)

    def _take(self, data: bytes, at: int) -> int:
        stop = min(at + self._left, len(data))
        self._left -= stop - at
        if stop > at:
            self._sink(data[at:stop])
        return stop

    def _complete(self, data: bytes, at: int) -> int:
        if at < len(data):  # nothing was asked for yet that these bytes could answer
            self.keep_alive = False
        self._state, self._sink = self._head, _nowhere
        self._on_end()
        return len(data)

    def _wait(self, data: bytes, at: int, most: int, what: str) -> int:
        if len(data) - at > most:
            raise ProtocolError(f"the {what} is longer than {most} bytes")
        self._pending = data[at:]
        return len(data)


def parse_head(text: bytes) -> Head:
    """Status line and headers without the empty line; `ProtocolError` shows what stands there instead."""
    lines = text.decode("latin-1").split("\r\n")
    version, _, rest = lines[0].partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdigit()) or rest[3:4].strip():
        raise ProtocolError(f"not an HTTP/1.1 response: {lines[0][:80]!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise ProtocolError(f"not a header: {line[:80]!r}")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value  # RFC 9110, section 5.2
    connection = headers.get("connection", "").lower()
    keep_alive = "close" not in connection and (version != "HTTP/1.0" or "keep-alive" in connection)
    return Head(int(status), headers, keep_alive)


def _read_head(text: bytes) -> Head:
    """`parse_head`, which need not be done again for the same text: a server's heads differ by their date."""
    global _last_head  # noqa: PLW0603  # one for all connections, as with `_sizes`
    if _last_head is None or _last_head[0] != text:
        _last_head = text, parse_head(text)
    return _last_head[1]


def _number(text: bytes, base: int, digits: bytes) -> int:
    # int() takes signs, blanks and underscores, too; of digits alone a strip leaves nothing.
    if not text or text.strip(digits) or len(text) > 15:  # noqa: PLR2004  # more digits than any body has bytes
        raise ProtocolError(f"not a length: {text[:20]!r}")
    return int(text, base)


def _nowhere(_: bytes) -> None:
    """The sink between responses."""
