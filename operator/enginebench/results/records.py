"""Many requests in little memory: an array a field, 82 bytes a request where an object takes 250.

A long point lasts no longer than the memory of its pod. What is iterated over are objects made on the spot.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, Self, get_args

from enginebench.results.record import Outcome, RequestRecord

FEW = 20_000
"""Requests whose objects take 5 MB."""
MOST_COUNTED = 2**31 - 1
"""Tokens of an answer; a server that claims more counts with these."""

_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
_TYPES = {
    "start": "q",
    "sent": "q",
    "tracked": "B",
    "first": "q",
    "first_output": "q",
    "last": "q",
    "end": "q",
    "events": "I",
    "events_in_window": "d",
    "output_tokens": "i",
    "prompt_tokens": "i",
    "outcome": "B",
    "error": "I",
    "finish_reason": "I",
}
"""`RequestRecord`'s fields in their order, each with the type of its array: -1 for no count, and words by number."""
_SHIFTED = ("sent", "first", "first_output", "last", "end")


class Records(Sequence[RequestRecord]):
    """What is known of the requests of a point, in the order in which they ended."""

    __slots__ = ("_columns", "_numbers", "_words")

    def __init__(self, records: Iterable[RequestRecord] = ()) -> None:
        self._columns: dict[str, array[Any]] = {name: array(kind) for name, kind in _TYPES.items()}
        self._numbers: dict[str, int] = {}
        """Errors and finish reasons, each once, and its number;"""
        self._words: list[str] = []
        """the same by number."""
        for record in records:
            self.append(record)

    def append(self, record: RequestRecord) -> None:
        """Take over what the record says now."""
        values = (
            record.start,
            record.sent,
            record.tracked,
            record.first,
            record.first_output,
            record.last,
            record.end,
            record.events,
            record.events_in_window,
            _counted(record.output_tokens),
            _counted(record.prompt_tokens),
            _OUTCOMES.index(record.outcome),
            self._number(record.error),
            self._number(record.finish_reason),
        )
        for column, value in zip(self._columns.values(), values, strict=True):
            column.append(value)

    def extend(self, other: "Records") -> None:
        """Take over what another one has."""
        numbers = [self._number(word) for word in other._words]
        for name, column in other._columns.items():
            worded = name in {"error", "finish_reason"}
            self._columns[name].extend(array("I", (numbers[number] for number in column)) if worded else column)

    def shift(self, ahead: int, scale: float) -> None:
        """By a clock that is `ahead` nanoseconds behind; `scale` is what counts of the events in the window."""
        columns = self._columns
        if scale != 1:
            columns["events_in_window"] = array("d", (events * scale for events in columns["events_in_window"]))
        if ahead:
            columns["start"] = array("q", (start - ahead for start in columns["start"]))
            for name in _SHIFTED:
                columns[name] = array("q", (instant - ahead if instant else 0 for instant in columns[name]))

    def tracked(self) -> "Records":
        """Those that were started in the window."""
        found = Records()
        found._words, found._numbers = self._words, self._numbers
        which = self._columns["tracked"]
        for name, column in self._columns.items():
            found._columns[name].extend(compress(column, which))
        return found

    def at_hand(self) -> Sequence[RequestRecord]:
        """The same, quicker to read again and again where they are few; where they are many, objects would fill the
        memory that was saved."""
        return list(self) if len(self) <= FEW else self

    def __len__(self) -> int:
        return len(self._columns["start"])

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return list(self._made(column[at] for column in self._columns.values()))
        return next(self._made([column[at]] for column in self._columns.values()))

    def __iter__(self) -> Iterator[RequestRecord]:
        return self._made(self._columns.values())

    def _made(self, columns: Iterable[Sequence[Any]]) -> Iterator[RequestRecord]:
        words = self._words
        for (
            start, sent, tracked, first, first_output, last, end,
            events, in_window, output, prompt, outcome, error, finish_reason,
        ) in zip(*columns, strict=True):  # fmt: skip
            yield RequestRecord(
                start, sent, bool(tracked), first, first_output, last, end, events, in_window,
                None if output < 0 else output, None if prompt < 0 else prompt,
                _OUTCOMES[outcome], words[error], words[finish_reason],
            )  # fmt: skip

    def to_parts(self) -> tuple[list[str], list[bytes]]:
        """Words, and columns as little-endian bytes."""
        return self._words, [_little_endian(column).tobytes() for column in self._columns.values()]

    @classmethod
    def from_parts(cls, words: list[str], columns: list[bytes]) -> Self:
        """The `Records` of `to_parts`; ValueError for what is none."""
        new = cls()
        for word in words:
            new._number(word)
        for name, data in zip(_TYPES, columns, strict=True):
            column: array[Any] = array(_TYPES[name])
            column.frombytes(data)
            new._columns[name] = _little_endian(column)
        if len({len(column) for column in new._columns.values()}) > 1:
            raise ValueError("columns of several lengths")
        known = len(new._words), len(new._words), len(_OUTCOMES)
        for name, most in zip(("error", "finish_reason", "outcome"), known, strict=True):
            if max(new._columns[name], default=0) >= max(1, most):
                raise ValueError(f"an unknown {name}")
        return new

    def _number(self, word: str) -> int:
        number = self._numbers.setdefault(word, len(self._words))
        if number == len(self._words):
            self._words.append(word)
        return number


def _counted(tokens: int | None) -> int:
    return -1 if tokens is None else min(tokens, MOST_COUNTED)


def _little_endian(column: "array[Any]") -> "array[Any]":
    """As it is, or turned round on the spot."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column
