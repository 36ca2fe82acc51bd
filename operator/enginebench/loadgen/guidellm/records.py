"""From GuideLLM's requests to what EngineBench knows of a point: records, a window, seconds, and how hard it was.

GuideLLM keeps of a request when it began, when its first and last content came, and how many tokens it had. In between
the events are taken to lie evenly, as GuideLLM itself does for its rates; the gaps between them are not known.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import ceil, floor

from enginebench.loadgen.guidellm.adapter import Request
from enginebench.loadgen.guidellm.remote import Tick
from enginebench.results import series
from enginebench.results.histogram import Histogram
from enginebench.results.point_report import Strained
from enginebench.results.record import RequestRecord, Window
from enginebench.results.records import Records
from enginebench.results.seen import Seen, Strain

SECOND = 1_000_000_000


def seen(requests: Iterable[Request], window: Window, ticks: Sequence[Tick], *, scheduled: bool) -> Seen:
    """The requests that overlap the window, in nanoseconds since the epoch. `scheduled`: an open loop, whose latencies
    count from when a request was due."""
    records = [
        record
        for request in requests
        if (record := _record(request, window, scheduled=scheduled)).start < window.close and record.end >= window.open
    ]
    return Seen(
        window=window,
        records=Records(records),
        gaps=Histogram(),
        ticks=_ticks(records, window),
        strain=strain(ticks, window),
    )


def _record(request: Request, window: Window, *, scheduled: bool) -> RequestRecord:
    sent, first, last = _ns(request.start), _ns(request.first), _ns(request.last)
    start = min(sent, _ns(request.due)) if scheduled and request.due is not None else sent
    events = request.events if request.events is not None else (request.output_tokens or 0)
    events = events if first else 0
    return RequestRecord(
        start=start,
        sent=sent,
        tracked=start in window,
        first=first,
        first_output=_ns(request.first_output) or first,
        last=last,
        end=max(_ns(request.end), last),
        events=events,
        events_in_window=_evenly(first, last, events, window.open, window.close),
        output_tokens=request.output_tokens if request.outcome == "succeeded" else None,  # else by its events
        prompt_tokens=request.prompt_tokens,
        outcome=request.outcome,
        error=request.error,
    )


def _evenly(first: int, last: int, events: int, begin: int, end: int) -> int:
    """How many of so many events, which lie evenly from the first to the last, are in [begin, end)."""
    if events <= 0:
        return 0
    if events == 1 or last <= first:
        return events if begin <= first < end else 0
    step = (last - first) / (events - 1)
    low = max(0, ceil((begin - first) / step))
    high = min(events - 1, ceil((end - first) / step) - 1)
    return max(0, high - low + 1)


def _ticks(records: Sequence[RequestRecord], window: Window) -> list[series.Tick]:
    """One a second of the window, the last one as it closed."""
    ends = [*range(window.open + SECOND, window.close, SECOND), window.close]
    arrived: dict[int, int] = defaultdict(int)
    change: dict[int, int] = defaultdict(int)
    for r in records:
        change[_place(r.sent, window)] += 1
        change[_place(r.end, window)] -= 1
        if r.events_in_window:
            for place in range(_place(r.first, window), _place(r.last, window) + 1):
                begin = window.open + place * SECOND
                arrived[place] += _evenly(r.first, r.last, r.events, begin, min(begin + SECOND, window.close))
    in_flight = list(accumulate(change[place] for place in range(len(ends))))
    events = list(accumulate(arrived[place] for place in range(len(ends))))
    return [series.Tick(in_flight=n, events=m) for n, m in zip(in_flight, events, strict=True)]


def _place(instant: int, window: Window) -> int:
    """The second of the window; what was before counts to the first, what comes after to none."""
    return max(0, (instant - window.open) // SECOND)


def concurrency(records: Iterable[RequestRecord], window: Window) -> float:
    """Requests in flight, on the average over the window."""
    flown = sum(max(0, min(r.end, window.close) - max(r.sent, window.open)) for r in records)
    return flown / (window.close - window.open)


def strain(ticks: Sequence[Tick], window: Window) -> Strain:
    """What its processes took in the window, as far as they were looked at."""
    span = _within(ticks, window)
    if len(span) < 2:  # noqa: PLR2004  # a difference needs two
        return Strain()
    first, last = span[0], span[-1]
    wall = last.at - first.at
    throttled = None
    if first.throttled is not None and last.throttled is not None and wall > 0:
        throttled = (last.throttled - first.throttled) / wall
    return Strain(cpu_seconds=last.cpu - first.cpu, wall_seconds=wall, throttled=throttled)


def strained(ticks: Sequence[Tick], records: Iterable[RequestRecord], window: Window, cpus: float) -> Strained:
    """How hard it had it, for the verdict."""
    span = _within(ticks, window)
    wall = span[-1].at - span[0].at if span else 0.0
    busiest = sum(tick.busiest for tick in span[1:])
    ran = span[-1].ran - span[0].ran if span else 0
    return Strained(
        cpus=cpus,
        busiest_percent=100 * busiest / wall if wall > 0 else 0.0,
        wait_milliseconds=1000 * (span[-1].waited - span[0].waited) / ran if ran > 0 else None,
        processes=max((tick.processes for tick in span), default=0),
        memory_bytes=max((tick.memory for tick in ticks), default=0),
        concurrency=concurrency(records, window),
    )


def _within(ticks: Sequence[Tick], window: Window) -> list[Tick]:
    """Those of the window, and of a short one those next to it."""
    begin, end = floor(window.open / SECOND), ceil(window.close / SECOND)
    return [tick for tick in ticks if begin <= tick.at <= end]


def _ns(seconds: float | None) -> int:
    return round(seconds * SECOND) if seconds is not None else 0
