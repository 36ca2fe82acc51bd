"""What happened second by second in the window of a point, in as few bytes as asked.

Bytes: zlib over JSON of `Series`. Where a series does not fit, its step doubles (1, 2, 4 … seconds) until it does.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from enginebench.results.figures import Tokens, mean_itl
from enginebench.results.packed import Formatted, finest, pack, unpack
from enginebench.results.record import RequestRecord, Window

SECOND = 1_000_000_000
FORMAT = 1


class Series(Formatted, frozen=True, kw_only=True):
    """Columns of equal length, one entry a step; the last step may be shorter. Medians are null where nothing was."""

    format: int = FORMAT
    step_seconds: int
    in_flight: list[int]
    """Requests at the end of the step."""
    started: list[int]
    finished: list[int]
    errored: list[int]
    events: list[int]
    """Content events that arrived."""
    tokens_per_event: float = 1.0
    """Mean over the point: times `events` it gives the tokens that arrived."""
    ttft_p50: list[float | None]
    """Median, milliseconds, of those whose first content came in the step."""
    itl_p50: list[float | None]
    """Median over requests, milliseconds, of those that finished in the step."""


@dataclass(slots=True)
class Second:
    """One second of the window, with what a coarser step needs to be computed anew."""

    in_flight: int = 0
    started: int = 0
    finished: int = 0
    errored: int = 0
    events: int = 0
    ttfts: list[int] = field(default_factory=list)
    itls: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Tick:
    """A look at the counters as one second of the window ended."""

    in_flight: int
    events: int
    """Content events since the window opened."""
    gaps: int = 0
    """Gaps between content events since then;"""
    gap_nanoseconds: int = 0
    """and their sum."""


def seconds(records: Iterable[RequestRecord], ticks: Sequence[Tick], window: Window, counted: Tokens) -> list[Second]:
    """The seconds of a window: from its ticks, one a second and one at its end, and the records around it."""
    span = [Second(in_flight=t.in_flight, events=t.events) for t in ticks]
    for i in range(len(span) - 1, 0, -1):
        span[i].events -= span[i - 1].events

    def at(instant: int) -> Second | None:
        if instant not in window or not span:
            return None
        return span[min((instant - window.open) // SECOND, len(span) - 1)]

    for r in records:
        if second := at(r.start):
            second.started += 1
        if r.first and (second := at(r.first)):
            second.ttfts.append(r.first - r.start)
        if r.outcome != "open" and (second := at(r.end)):
            if r.outcome == "errored":
                second.errored += 1
                continue
            second.finished += 1
            pace = mean_itl(r, counted)
            if pace is not None:
                second.itls.append(pace[0])
    return span


def coarsen(span: Sequence[Second], step: int, tokens_per_event: float = 1.0) -> Series:
    """The series with `step` seconds an entry."""
    groups = [span[at : at + step] for at in range(0, len(span), step)]
    return Series(
        step_seconds=step,
        in_flight=[group[-1].in_flight for group in groups],
        started=[sum(s.started for s in group) for group in groups],
        finished=[sum(s.finished for s in group) for group in groups],
        errored=[sum(s.errored for s in group) for group in groups],
        events=[sum(s.events for s in group) for group in groups],
        tokens_per_event=tokens_per_event,
        ttft_p50=[_median([v for s in group for v in s.ttfts]) for group in groups],
        itl_p50=[_median([v for s in group for v in s.itls]) for group in groups],
    )


def fit(span: Sequence[Second], tokens_per_event: float, fits: Callable[[bytes], bool]) -> bytes:
    """The finest series that `fits`, as bytes; empty where not even a single entry does."""
    if not span:
        return b""
    return finest(lambda step: coarsen(span, step, tokens_per_event), len(span), fits)


encode = pack


def decode(data: bytes) -> Series:
    """The series of `encode`; ValueError for another format or what is none."""
    return unpack(data, Series, FORMAT)


def _median(values: list[int]) -> float | None:
    """Nearest rank, in milliseconds to the microsecond."""
    return round(sorted(values)[(len(values) - 1) // 2] / 1e6, 3) if values else None
