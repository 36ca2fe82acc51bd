"""One connection to the engine and the request that is on it: the hot path of the load generator.

Everything from the socket to the record happens in `data_received`: one look at the clock, then three comparisons
with the event before, or one pass over the bytes and two searches an event. No queue, no task, no decoded JSON stands
between an event and its time stamp.
"""

import asyncio
import socket
import ssl
import sys
from time import monotonic_ns
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from enginebench.loadgen.errors import in_words
from enginebench.loadgen.events import Splitter
from enginebench.loadgen.gaps import Gaps
from enginebench.loadgen.http import BodySink, Head, ProtocolError, ResponseParser
from enginebench.loadgen.routes import Route, error_text
from enginebench.loadgen.usual import NOTHING, learned
from enginebench.results.record import RequestRecord

CONNECT_SECONDS = 10.0
MAX_ERROR_BODY_BYTES = 8192
MAX_ERROR_TEXT = 200
NO_CONTENT = "the response had no content"
MAX_WORD = 256
"""Of a finish reason as the server gives it: it goes into the report."""
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding says of bytes that are not what they should be."""

_HTTP_OK = 200
_QUOTE = b'"'
_QUOTE_CODE = ord(_QUOTE)
_LESSON_EVENTS, _FREE_LESSONS = 16, 4
"""One usual form is learned for so many events of a response, and a few more."""


class SocketAddress(NamedTuple):
    """What a connection is opened to."""

    family: socket.AddressFamily
    where: tuple[str | int, ...]
    tls: ssl.SSLContext | None = None
    """None: plain TCP."""
    host: str = ""
    """Who must prove by TLS that it is the server (a name or an IP address)."""


class Listener(Protocol):
    """Who is told what happens on a connection. Called from within the event loop's read; must be quick."""

    @property
    def gaps(self) -> Gaps:
        """Where the time between two content events of one request is noted; always the same."""

    def served_by(self, model: str) -> None:
        """The model that a response names."""

    def ended(self, connection: "Connection", record: RequestRecord) -> None:
        """The request is over; the record says how. The connection may be used again if it is `ready`."""

    def lost(self, connection: "Connection", record: RequestRecord | None, why: str) -> None:
        """The connection is gone; with a record: before any byte of its response had come."""


class Connection(asyncio.Protocol):
    """A kept HTTP/1.1 connection that carries one request at a time."""

    __slots__ = (
        "_answered", "_content", "_error", "_error_body", "_finish_reason", "_gaps", "_lessons", "_listener", "_now",
        "_parser", "_record", "_route", "_splitter", "_status", "_transport", "_unfinished", "_usual",
    )  # fmt: skip

    def __init__(self, route: Route, listener: Listener) -> None:
        self._route = route
        self._listener = listener
        self._gaps = listener.gaps
        self._transport: asyncio.Transport | None = None
        self._parser = ResponseParser(self._head, self._response_ended)
        self._splitter: Splitter = route.splitter(self._on_event)
        self._content = route.content
        self._unfinished = route.unfinished
        self._record: RequestRecord | None = None
        self._now = 0
        self._answered = False
        """A byte of the current response has come."""
        self._status = 0
        self._error = ""
        self._error_body = b""
        self._finish_reason = ""
        self._usual = NOTHING
        """What the next read is when it is one more event like the last; `NOTHING` in the middle of anything."""
        self._lessons = 0

    @property
    def ready(self) -> bool:
        """It is open, idle, and may carry a request."""
        return self._transport is not None and self._record is None and self._parser.keep_alive

    def send(self, request: bytes, record: RequestRecord) -> None:
        """Start a request. `record.start` is set unless it was already: a replayed request keeps its first start,
        and one that had a schedule the moment at which it was due."""
        assert self.ready
        assert self._transport is not None
        self._record = record
        if not record.sent:
            record.sent = monotonic_ns()
            record.start = record.start or record.sent
        self._transport.write(request)  # goes to the socket at once, before the loop handles what else it has read

    @property
    def tls_version(self) -> str:
        """Such as TLSv1.3; empty where the connection is plain."""
        spoken = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return str(spoken.version() or "") if spoken is not None else ""

    def close(self) -> RequestRecord | None:
        """Drop the connection without a word to the listener; gives the request that was on it."""
        record, self._record = self._record, None
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        return record

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is none by descent

    def data_received(self, data: bytes) -> None:
        now = monotonic_ns()
        usual = self._usual
        head = usual[len(data)]
        if (
            head is not None
            and data[: len(head)] == head  # a slice costs less than `startswith`
            and data[len(head)] != _QUOTE_CODE  # an empty text is no content
            # All behind the text, which itself has no line end: JSON escapes it.
            and data[data.find(b"\n", len(head)) - usual.before :] == usual.ending
        ):
            record = self._record
            assert record is not None
            note = self._gaps.note  # called by a name, as Python's fast path for calls wants it
            note(now - record.last)
            record.last = now
            record.events += 1
            return
        self._read(data, now)

    def _read(self, data: bytes, now: int) -> None:
        """A read that is not the usual one."""
        self._now = now
        record = self._record
        if record is None:
            self._drop("the server sent something that was not asked for")
            return
        usual, self._usual = self._usual, NOTHING  # unless this read ends between two events
        events, self._answered = record.events, True
        try:
            self._parser.feed(data)
        except ProtocolError as error:
            self._drop(str(error))
            return
        # Not before the first output, whose time the short way does not take.
        if self._record is record and record.first_output and self._parser.between_chunks and self._splitter.between:
            self._usual = usual
            # A lesson costs as much as an event: what has no usual form is not to pay for it again and again.
            if record.events == events + 1 and self._lessons * _LESSON_EVENTS < events + _FREE_LESSONS * _LESSON_EVENTS:
                self._lessons += 1
                found = learned(data, self._content, self._unfinished)
                self._usual = usual if found is None else found

    def eof_received(self) -> bool:
        self._now = monotonic_ns()
        if self._record is not None and self._answered:
            try:
                self._parser.eof()
            except ProtocolError as error:
                self._drop(str(error))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:  # a server that closes without a word by TLS has reached no `eof_received`
            self.eof_received()
        if self._transport is not None:  # else we closed it ourselves
            self._now = monotonic_ns()
            self._drop(f"the connection was lost: {in_words(exc)}" if exc else "the server closed the connection")

    # The response

    def _head(self, head: Head) -> BodySink:
        self._status = head.status
        return self._splitter.feed if head.status == _HTTP_OK else self._collect_error

    def _on_event(self, event: bytes) -> None:
        at = event.find(self._content)
        if (
            at < 0
            or event.startswith(_QUOTE, at + len(self._content))  # an empty text
            or event.rfind(self._unfinished) < 0  # from the end, where it stands: a third of the time of `in`
        ):
            self._unusual_event(event)
            return
        record = self._record
        assert record is not None
        record.first_output = record.first_output or self._now
        self._content_event(record)

    def _content_event(self, record: RequestRecord) -> None:
        if record.events:
            self._gaps.note(self._now - record.last)
        else:
            record.first = self._now
        record.last = self._now
        record.events += 1

    def _unusual_event(self, event: bytes) -> None:
        """Role, usage, the last event, an error: everything that must be decoded to be understood."""
        if event == b"[DONE]":
            self._finish_reason = self._finish_reason or "done"
            return
        try:
            meaning = self._route.decode(event)
        except UNREADABLE as error:
            self._error = self._error or f"an event is not understood ({error}): {event[:80]!r}"
            return
        record = self._record
        assert record is not None
        if meaning.error:
            self._error = meaning.error
        if meaning.model:
            self._listener.served_by(meaning.model)
        if meaning.output:
            record.first_output = record.first_output or self._now
        if meaning.output or meaning.reasoning:
            self._content_event(record)
        if meaning.finish_reason:
            self._finish_reason = sys.intern(meaning.finish_reason[:MAX_WORD])  # one string for all records
        if meaning.output_tokens is not None:
            record.output_tokens = meaning.output_tokens
        if meaning.prompt_tokens is not None:
            record.prompt_tokens = meaning.prompt_tokens

    def _collect_error(self, piece: bytes) -> None:
        if len(self._error_body) < MAX_ERROR_BODY_BYTES:
            self._error_body = (self._error_body + piece)[:MAX_ERROR_BODY_BYTES]

    def _response_ended(self) -> None:
        if self._status == _HTTP_OK:
            self._splitter.finish()
        record = self._record
        assert record is not None
        record.finish_reason = self._finish_reason
        self._end(record, self._verdict(record))

    def _verdict(self, record: RequestRecord) -> str:
        """What is wrong with the whole response; empty if nothing is."""
        if self._status != _HTTP_OK:
            return f"HTTP {self._status}: {_words(self._error_body)}"
        if self._error:
            return self._error
        if not record.events:
            return NO_CONTENT
        if not self._finish_reason:
            return "the response ended without a finish reason"
        return ""

    def _drop(self, why: str) -> None:
        """The connection is of no more use; a request whose response had begun has failed."""
        answered = self._answered
        record = self.close()
        if record is not None and answered:
            self._record = record
            self._end(record, self._error or why)
        else:
            self._listener.lost(self, record, why)

    def _end(self, record: RequestRecord, error: str) -> None:
        record.end = self._now
        record.outcome = "errored" if error else "succeeded"
        record.error = error[:MAX_ERROR_TEXT]
        self._record = None
        self._clear()
        self._listener.ended(self, record)

    def _clear(self) -> None:
        self._usual = NOTHING
        self._lessons = 0
        self._answered = False
        self._status = 0
        self._error = ""
        self._error_body = b""
        self._finish_reason = ""


async def connect(address: SocketAddress, route: Route, listener: Listener) -> Connection:
    """An open connection; OSError or TimeoutError in words that name the address."""
    loop = asyncio.get_running_loop()
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(CONNECT_SECONDS):
            await loop.sock_connect(sock, address.where)
        connection = Connection(route, listener)
        secure: dict[str, Any] = {}
        if address.tls is not None:
            secure = {
                "ssl": address.tls,
                "server_hostname": address.host,
                "ssl_handshake_timeout": CONNECT_SECONDS,
            }
        await loop.create_connection(lambda: connection, sock=sock, **secure)
    except BaseException:
        sock.close()
        raise
    return connection


def _words(body: bytes) -> str:
    """The message of an error response: a JSON `error`, `message` or `detail`, else its text."""
    try:
        document = msgspec.json.decode(body)
    except UNREADABLE:
        return " ".join(body.decode("utf-8", "replace").split())[:MAX_ERROR_TEXT]
    if isinstance(document, dict):
        for name in ("error", "message", "detail"):
            if document.get(name):
                return error_text(document[name])
    return error_text(document)
