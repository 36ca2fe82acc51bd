"""From body pieces to events: server-sent events and newline-delimited JSON, incrementally.

A splitter gives each event's JSON as bytes and never decodes it. `finish` passes on what the end of the body left
without its line end.
"""

from collections.abc import Callable
from typing import Protocol

_LF, _CR = 0x0A, 0x0D

EventSink = Callable[[bytes], None]


class Splitter(Protocol):
    """What cuts a body into events."""

    @property
    def between(self) -> bool:
        """It holds no part of an event."""

    def feed(self, piece: bytes) -> None: ...
    def finish(self) -> None: ...


class _Lines:
    """Puts lines together that pieces have cut. Parts are joined once, however finely they were cut."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    @property
    def between(self) -> bool:
        """No line is begun."""
        return not self._parts

    def cut(self, piece: bytes) -> list[bytes]:
        """The lines that this piece completes, without their ends (LF or CRLF)."""
        *lines, rest = piece.split(b"\n")
        if lines and self._parts:
            lines[0] = b"".join((*self._parts, lines[0]))
            self._parts.clear()
        if rest:
            self._parts.append(rest)
        return [line.removesuffix(b"\r") for line in lines]

    def rest(self) -> bytes:
        """The last line, which had no end."""
        line = b"".join(self._parts)
        self._parts.clear()
        return line.removesuffix(b"\r")


class SseSplitter:
    """Server-sent events (WHATWG HTML, section 9.2): the data of each; comments, other fields and events without
    data are passed over. Lines end with LF or CRLF; no engine sends a lone CR.

    A line that is a bare JSON object counts as an event too: servers that fail in the middle of a stream write one.
    """

    __slots__ = ("_data", "_event", "_lines")

    def __init__(self, event: EventSink) -> None:
        self._event = event
        self._lines = _Lines()
        self._data: list[bytes] = []

    @property
    def between(self) -> bool:
        return not self._data and self._lines.between

    def feed(self, piece: bytes) -> None:
        """A piece of the body."""
        end = piece.find(b"\n")
        if (
            6 < end == len(piece) - 2  # noqa: PLR2004  # the usual case: the piece is one event, `data: …` and its end
            and piece[-1] == _LF  # an index and a slice cost half of what two calls do
            and piece[:6] == b"data: "
            and piece[end - 1] != _CR  # it is of the line's end, and no part of the event
            and not self._data
            and not self._lines._parts  # read here: one call less for every event
        ):
            self._event(piece[6:end])
            return
        for line in self._lines.cut(piece):
            self._line(line)

    def finish(self) -> None:
        """The body is over: an event without its empty line counts."""
        self._line(self._lines.rest())
        self._line(b"")

    def _line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            if data:
                self._event(data)
        elif line.startswith(b"{"):
            self._event(line)


class NdjsonSplitter:
    """Newline-delimited JSON: each line that is not empty."""

    __slots__ = ("_event", "_lines")

    def __init__(self, event: EventSink) -> None:
        self._event = event
        self._lines = _Lines()

    @property
    def between(self) -> bool:
        return self._lines.between

    def feed(self, piece: bytes) -> None:
        """A piece of the body."""
        for line in self._lines.cut(piece):
            if line:
                self._event(line)

    def finish(self) -> None:
        """The body is over: a line without its end counts."""
        line = self._lines.rest()
        if line:
            self._event(line)
