"""An answer on its way: a request in the scheduler, and the connection that waits for its tokens."""

import re
from abc import ABC, abstractmethod

import msgspec

from enginebench.simulator.bodies import Asked
from enginebench.simulator.http import JSON, LAST_CHUNK, Connection, chunk
from enginebench.simulator.scheduler import Sequence
from enginebench.simulator.words import WORD_BYTES, word

SSE_DONE = chunk(b"data: [DONE]\n\n") + LAST_CHUNK

HOLE = "\x7f"
"""Stands for what changes from event to event. No name that is served here has this character."""

WORD_HOLE = HOLE * WORD_BYTES

_HOLES = re.compile(rb"\x7f+")


class Answer(Sequence, ABC):
    """Makes the bytes of each event ready before the event is due."""

    __slots__ = ("connection", "epoch", "payload")

    def __init__(self, connection: Connection, asked: Asked) -> None:
        super().__init__(asked.key, asked.prompt_tokens, asked.output_tokens, asked.finish)
        self.cached_tokens = asked.cached_tokens
        self.connection = connection
        self.epoch = 0
        """Unix time, in nanoseconds, of the zero of the clock that `due` is read on."""
        self.payload = b""
        """What goes out when the step under way ends."""

    def opening(self) -> bytes:
        """What goes out as soon as the request is taken."""
        return b""

    @abstractmethod
    def event(self, due: int) -> bytes:
        """What goes out with the next token, which is due at `due`."""

    def next_word(self) -> bytes:
        return word(self.key, self.produced)

    @property
    def is_last(self) -> bool:
        """Whether the next token ends the answer."""
        return self.produced + 1 == self.output_tokens


class Whole(Answer):
    """An answer that is not streamed: one document at the end."""

    __slots__ = ()

    def event(self, due: int) -> bytes:
        if not self.is_last:
            return b""
        body = msgspec.json.encode(self.document(due))
        return self.connection.head(JSON, len(body)) + body

    @abstractmethod
    def document(self, due: int) -> dict[str, object]:
        """The response's JSON, complete at `due`."""


def sse(document: object) -> bytes:
    """A server-sent event as one HTTP chunk."""
    return chunk(b"data: " + msgspec.json.encode(document) + b"\n\n")


def ndjson(document: object) -> bytes:
    """A line of newline-delimited JSON as one HTTP chunk."""
    return chunk(msgspec.json.encode(document) + b"\n")


def around_holes(event: bytes) -> list[bytes]:
    """The pieces of an event around its holes. A hole has the size of what fills it, so the chunk's size holds."""
    return _HOLES.split(event)
