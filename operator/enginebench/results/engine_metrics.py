"""The engine's own metrics over a window: what they come to, beside our own figures of the same events, and as series.

Means of histograms are difference of sum ÷ difference of count between the scrape at the window's opening and the one
at its close (of a window of GuideLLM's, the first and the last one in it). Ours are over what came in between the same
two moments: first contents of all requests, tracked or not, each with an instant of its own; and gaps between content
events, whose count and sum are known at every second of the window and taken to grow evenly in between.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import msgspec

from enginebench.results.packed import Formatted, finest, unpack
from enginebench.results.point_report import EngineMetrics
from enginebench.results.record import RequestRecord
from enginebench.results.seen import Seen

FORMAT = 1
STEP_SECONDS = 5
"""Between two scrapes. A vLLM is held up by a scrape for some milliseconds, as it writes the page in the process that
sends the tokens: at this pace fewer than 1 % of the gaps are touched, as long as a step takes less than 50 ms."""
SECOND = 1_000_000_000
GAUGES = ("running", "waiting", "kvCacheUsage")
COUNTERS = ("preemptions", "prefixQueries", "prefixHits", "promptTokens", "generationTokens")
HISTOGRAMS = ("ttft", "itl")
"""Each is two counters: `ttftSum` in seconds, `ttftCount`."""


class Scrape(msgspec.Struct, frozen=True, array_like=True):
    """What the engine told at one moment."""

    at: int
    """Nanoseconds by the clock of the point's window: halfway between question and answer."""
    values: dict[str, float]
    """By our names."""


class Scraped(msgspec.Struct, frozen=True, array_like=True):
    """What was scraped of a window."""

    names: dict[str, str] = {}
    """Ours → the engine's."""
    scrapes: tuple[Scrape, ...] = ()
    failed: int = 0
    unobserved: str = ""
    """Why nothing was."""
    step_seconds: int = STEP_SECONDS

    def later(self, nanoseconds: int) -> "Scraped":
        """By a clock that is so far ahead of the monotonic one."""
        moved = tuple(Scrape(scrape.at + nanoseconds, scrape.values) for scrape in self.scrapes)
        return msgspec.structs.replace(self, scrapes=moved)


class EngineSeries(Formatted, frozen=True, kw_only=True):
    """Columns of equal length, an entry for each `step_seconds`, the last one shorter; null: not told.

    `running`, `waiting` and `kvCacheUsage` as they were at the end of the step; the others as they grew in it; `ttft`
    and `itl` are the means of what came in it, milliseconds.
    """

    format: int = FORMAT
    step_seconds: int
    seconds: list[float]
    """Where each entry ends, from the first scrape on."""
    columns: dict[str, list[float | None]]


def summary(scraped: Scraped, seen: Seen) -> EngineMetrics:
    """What the scrapes come to, with our own means of the same span."""
    scrapes = _within(scraped.scrapes, seen)
    if scraped.unobserved or not scrapes:
        why = scraped.unobserved or "its /metrics did not answer"
        return EngineMetrics(unobserved=why, failed_scrapes=scraped.failed)
    first, last = scrapes[0], scrapes[-1]
    grown = _grown(first, last)
    gauges = {name: [s.values[name] for s in scrapes if name in s.values] for name in GAUGES}
    means = {name: sum(values) / len(values) if values else None for name, values in gauges.items()}
    most = {name: max(values, default=None) for name, values in gauges.items()}
    queries, hits = grown.get("prefixQueries"), grown.get("prefixHits")
    ttft_count, ttft_mean = _mean(grown, "ttft")
    itl_count, itl_mean = _mean(grown, "itl")
    own_ttfts = _own_ttfts(seen.records, first.at, last.at)
    own_gaps, own_gap_sum = _own_gaps(seen, first.at, last.at)
    return EngineMetrics(
        names=scraped.names,
        scrapes=len(scrapes),
        failed_scrapes=scraped.failed,
        seconds=(last.at - first.at) / SECOND,
        running_mean=means["running"],
        running_max=most["running"],
        waiting_mean=means["waiting"],
        waiting_max=most["waiting"],
        kv_cache_usage_mean=means["kvCacheUsage"],
        kv_cache_usage_max=most["kvCacheUsage"],
        preemptions=grown.get("preemptions"),
        prefix_cache_hit_rate=hits / queries if queries and hits is not None else None,
        prompt_tokens=grown.get("promptTokens"),
        generation_tokens=grown.get("generationTokens"),
        ttft_count=ttft_count,
        ttft_mean=ttft_mean,
        own_ttft_count=len(own_ttfts) if grown else None,
        own_ttft_mean=sum(own_ttfts) / len(own_ttfts) / 1e6 if own_ttfts else None,
        itl_count=itl_count,
        itl_mean=itl_mean,
        own_gap_count=round(own_gaps) if grown and any(tick.gaps for tick in seen.ticks) else None,
        own_gap_mean=own_gap_sum / own_gaps / 1e6 if own_gaps >= 1 else None,
    )


def _within(scrapes: Sequence[Scrape], seen: Seen) -> list[Scrape]:
    """Those of the window; the last one is asked for as it closes, and may be a little late."""
    slack = max(SECOND // 20, (seen.window.close - seen.window.open) // 100)
    return [s for s in scrapes if seen.window.open <= s.at <= seen.window.close + slack]


def _grown(first: Scrape, last: Scrape) -> dict[str, float]:
    """How far the counters grew; nothing where one went backwards: another process answered, or it began anew."""
    names = (*COUNTERS, *(f"{name}{part}" for name in HISTOGRAMS for part in ("Sum", "Count")))
    both = [name for name in names if name in first.values and name in last.values]
    grown = {name: last.values[name] - first.values[name] for name in both}
    return grown if first.at < last.at and all(value >= 0 for value in grown.values()) else {}


def _mean(grown: dict[str, float], name: str) -> tuple[int | None, float | None]:
    """(count, mean in milliseconds) of a histogram."""
    count, total = grown.get(f"{name}Count"), grown.get(f"{name}Sum")
    if count is None or total is None:
        return None, None
    return round(count), 1000 * total / count if count else None


def _own_ttfts(records: Iterable[RequestRecord], begin: int, end: int) -> list[int]:
    """From the sending, as nothing else is seen by the engine, to the first content, of those that came in the span."""
    return [r.first - (r.sent or r.start) for r in records if begin <= r.first < end]


def _own_gaps(seen: Seen, begin: int, end: int) -> tuple[float, float]:
    """(count, sum in nanoseconds) of the gaps that ended in the span."""
    first, last = _gaps_until(seen, begin), _gaps_until(seen, end)
    return last[0] - first[0], last[1] - first[1]


def _gaps_until(seen: Seen, instant: int) -> tuple[float, float]:
    """From the window's opening on; evenly between two ticks, and beyond the last one as before it."""
    window, ticks = seen.window, seen.ticks
    known: list[tuple[int, int, int]] = [(window.open, 0, 0)]
    for number, tick in enumerate(ticks, 1):
        at = window.close if number == len(ticks) else window.open + number * SECOND
        if at > known[-1][0]:
            known.append((at, tick.gaps, tick.gap_nanoseconds))
    if len(known) == 1:
        return 0.0, 0.0
    left, right = next(((a, b) for a, b in pairwise(known) if instant <= b[0]), (known[0], known[-1]))
    share = (instant - left[0]) / (right[0] - left[0])
    return left[1] + share * (right[1] - left[1]), left[2] + share * (right[2] - left[2])


def fit(scraped: Scraped, seen: Seen, fits: Callable[[bytes], bool]) -> bytes:
    """The finest series that `fits`, as bytes: its step doubles until it does. Empty where not even one entry does."""
    scrapes = _within(scraped.scrapes, seen)
    if len(scrapes) < 2:  # noqa: PLR2004  # a step has two ends
        return b""
    return finest(lambda every: _series(scrapes, every, scraped.step_seconds), len(scrapes) - 1, fits)


def _series(scrapes: Sequence[Scrape], every: int, step: int) -> EngineSeries:
    kept = [*scrapes[:-1:every], scrapes[-1]]
    columns: dict[str, list[float | None]] = {name: [] for name in (*GAUGES, *COUNTERS, *HISTOGRAMS)}
    for before, after in pairwise(kept):
        grown = _grown(before, after)
        for name in GAUGES:
            columns[name].append(after.values.get(name))
        for name in COUNTERS:
            columns[name].append(grown.get(name))
        for name in HISTOGRAMS:
            columns[name].append(_mean(grown, name)[1])
    told = {name: [_short(v) for v in values] for name, values in columns.items() if any(v is not None for v in values)}
    ends = [round((scrape.at - scrapes[0].at) / SECOND, 3) for scrape in kept[1:]]
    return EngineSeries(step_seconds=step * every, seconds=ends, columns=told)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def decode(data: bytes) -> EngineSeries:
    """The series of `fit`; ValueError for another format or what is none."""
    return unpack(data, EngineSeries, FORMAT)
