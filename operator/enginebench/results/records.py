"""Many requests in little memory: packed rows of 82 bytes, where an object takes 250.

A long point lasts no longer than the memory of its pod. What is iterated over are objects made on the spot.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from struct import Struct
from typing import Any, Self, get_args

from enginebench.results.record import Outcome, RequestRecord

FEW = 20_000
"""Requests whose objects take 5 MB."""
MOST_COUNTED = 2**31 - 1
"""Tokens of an answer; a server that claims more counts with these."""

_ROW = Struct("<qq?qqqqIdiiBIIi")
"""`RequestRecord`'s fields in their order: counts that are None as -1, outcome, error and finish reason by number."""
_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


class Records(Sequence[RequestRecord]):
    """What is known of the requests of a point, in the order in which they ended."""

    __slots__ = ("_numbers", "_rows", "_words")

    def __init__(self, records: Iterable[RequestRecord] = ()) -> None:
        self._rows = bytearray()
        self._numbers: dict[str, int] = {}
        """Errors and finish reasons, each once, and its number;"""
        self._words: list[str] = []
        """the same by number."""
        for record in records:
            self.append(record)

    def append(self, record: RequestRecord) -> None:
        """Take over what the record says now."""
        self._rows += _ROW.pack(
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
            _counted(record.known_prompt_tokens),
        )

    def extend(self, other: Iterable[RequestRecord]) -> None:
        """Take over all of these."""
        for record in other:
            self.append(record)

    def shifted(self, ahead: int, scale: float) -> "Records":
        """By a clock that is `ahead` nanoseconds behind; `scale` is what counts of the events in the window."""
        if not ahead and scale == 1:
            return self

        def back(instant: int) -> int:
            return instant - ahead if instant else 0

        return Records(
            replace(
                record,
                start=record.start - ahead,
                sent=back(record.sent),
                first=back(record.first),
                first_output=back(record.first_output),
                last=back(record.last),
                end=back(record.end),
                events_in_window=record.events_in_window * scale,
            )
            for record in self
        )

    def tracked(self) -> "Records":
        """Those that were started in the window."""
        return Records(record for record in self if record.tracked)

    def at_hand(self) -> Sequence[RequestRecord]:
        """The same, quicker to read again and again where they are few; where they are many, objects would fill the
        memory that was saved."""
        return list(self) if len(self) <= FEW else self

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        return self._made(_ROW.unpack_from(self._rows, range(len(self))[at] * _ROW.size))

    def __iter__(self) -> Iterator[RequestRecord]:
        return map(self._made, _ROW.iter_unpack(self._rows))

    def _made(self, row: tuple[Any, ...]) -> RequestRecord:
        (
            start, sent, tracked, first, first_output, last, end,
            events, in_window, output, prompt, outcome, error, finish_reason, known_prompt,
        ) = row  # fmt: skip
        return RequestRecord(
            start, sent, tracked, first, first_output, last, end, events, in_window,
            None if output < 0 else output, None if prompt < 0 else prompt,
            _OUTCOMES[outcome], self._words[error], self._words[finish_reason],
            None if known_prompt < 0 else known_prompt,
        )  # fmt: skip

    def to_parts(self) -> tuple[list[str], bytes]:
        """Words and rows."""
        return self._words, bytes(self._rows)

    @classmethod
    def from_parts(cls, words: list[str], rows: bytes) -> Self:
        """The `Records` of `to_parts`; ValueError for what is none."""
        new = cls()
        for word in words:
            new._number(word)
        if len(rows) % _ROW.size:
            raise ValueError("requests that are cut off")
        for *_, outcome, error, finish_reason, _ in _ROW.iter_unpack(rows):
            if outcome >= len(_OUTCOMES) or max(error, finish_reason) >= len(new._words):
                raise ValueError("a request with unknown words")
        new._rows += rows
        return new

    def _number(self, word: str) -> int:
        number = self._numbers.setdefault(word, len(self._words))
        if number == len(self._words):
            self._words.append(word)
        return number


def joined(parts: Sequence[Records]) -> Records:
    """All of them, taken over into the first one."""
    whole, *others = parts
    for other in others:
        whole.extend(other)
    return whole


def _counted(tokens: int | None) -> int:
    return -1 if tokens is None else min(tokens, MOST_COUNTED)
