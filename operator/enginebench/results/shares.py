"""Shares of one load point, seen by several processes, put together as if one had seen it all.

Each process has a monotonic clock and a window of its own; the windows differ by what a message takes on its way.

- **Latencies never cross clocks.** What each process tracked is tracked; its durations stay as they are, so that
  Kaplan-Meier and nearest rank over all of them are exactly those of one generator with all the samples.
- **Rates count over one common window**: the intersection of all, in the leader's clock, shrunk at both ends by the
  uncertainty of the offsets, so that every share covers it for certain. What has an instant of its own (an answer's end,
  a prompt's first content) is counted by that. Content events have none that is kept: each share's count over its own
  window is exact, and so is its rate. Scaled to the length of the common window, the rates add up.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from enginebench.results.histogram import Histogram
from enginebench.results.record import Window
from enginebench.results.records import Records, joined
from enginebench.results.seen import Seen, Strain
from enginebench.results.series import Tick


@dataclass(frozen=True, slots=True)
class Offset:
    """How far another process's monotonic clock is ahead of the leader's, nanoseconds, and give or take how much."""

    ahead: int = 0
    uncertainty: int = 0


SAME_CLOCK = Offset()
"""Processes of one machine read the same monotonic clock."""


def reading(asked: int, clock: int, answered: int) -> Offset:
    """Of a clock that showed `clock` at some moment between the two of ours: nobody knows which way took longer."""
    return Offset(ahead=clock - (asked + answered) // 2, uncertainty=(answered - asked + 1) // 2)


def spanning(readings: Sequence[Offset]) -> Offset:
    """That holds whenever one of these did, and in between: clocks drift, and what they drifted widens it."""
    low = min(offset.ahead - offset.uncertainty for offset in readings)
    high = max(offset.ahead + offset.uncertainty for offset in readings)
    return Offset(ahead=(low + high) // 2, uncertainty=(high - low + 1) // 2)


class NoCommonWindowError(ValueError):
    """The windows were so short, or the clocks so uncertain, that no moment lies in all of them."""


def merged(shares: Sequence[tuple[Seen, Offset]]) -> Seen:
    """All shares as one, times in the leader's clock. NoCommonWindowError where no moment is common to all.

    The shares' records are taken over and changed. The series adds up second by second, each share's seconds counted
    from the opening of its own window.
    """
    uncertainty = max(offset.uncertainty for _, offset in shares)
    window = Window(
        max(seen.window.open - offset.ahead for seen, offset in shares) + uncertainty,
        min(seen.window.close - offset.ahead for seen, offset in shares) - uncertainty,
    )
    if window.close <= window.open:
        raise NoCommonWindowError("the processes of the load generator have no common window")
    gaps, strain = Histogram(), Strain()
    records: list[Records] = []
    wrong_models: Counter[str] = Counter()
    for seen, offset in shares:
        gaps.merge(seen.gaps)
        strain.merge(seen.strain)
        wrong_models.update(seen.wrong_models)
        scale = (window.close - window.open) / (seen.window.close - seen.window.open)
        records.append(seen.records.shifted(offset.ahead, scale))
    return Seen(
        window=window,
        records=joined(records),
        gaps=gaps,
        ticks=[_sum(ticks) for ticks in zip(*(seen.ticks for seen, _ in shares), strict=True)],
        replayed=sum(seen.replayed for seen, _ in shares),
        wrong_models=wrong_models,
        strain=strain,
    )


def _sum(ticks: Sequence[Tick]) -> Tick:
    return Tick(
        in_flight=sum(tick.in_flight for tick in ticks),
        events=sum(tick.events for tick in ticks),
        gaps=sum(tick.gaps for tick in ticks),
        gap_nanoseconds=sum(tick.gap_nanoseconds for tick in ticks),
    )


def to_bytes(seen: Seen) -> bytes:
    """What goes from one process to the leader: MessagePack."""
    return msgspec.msgpack.encode(seen, enc_hook=_plain)


def from_bytes(data: bytes) -> Seen:
    """The `Seen` of `to_bytes`. msgspec.ValidationError or ValueError for what is none."""
    return msgspec.msgpack.decode(data, type=Seen, dec_hook=_rich)


def _plain(value: Any) -> Any:
    if isinstance(value, Histogram):
        return value.to_bytes()
    if isinstance(value, Records):
        return value.to_parts()
    raise NotImplementedError(type(value))


def _rich(kind: type, value: Any) -> Any:
    if kind is Histogram:
        return Histogram.from_bytes(value)
    if kind is Records:
        return Records.from_parts(*value)
    raise NotImplementedError(kind)
