"""The figures of a load point, each with its formula and its population. All durations are nanoseconds in here.

TTFT, time to first output token, request latency: Kaplan-Meier over every request started in the window, the
unfinished ones right-censored (E. L. Kaplan, P. Meier: Nonparametric Estimation from Incomplete Observations, JASA 53,
1958). Without censoring that is the nearest-rank percentile, which is what all other figures use. The gaps alone,
which are too many to keep, come from their histogram.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from enginebench.results.grid import Grid
from enginebench.results.histogram import Histogram
from enginebench.results.point_report import Censored, Figure
from enginebench.results.record import RequestRecord, Window
from enginebench.results.records import Records

SAMPLES_FOR = {50: 30, 90: 100, 95: 200, 99: 300}
"""Percentile → samples from which on it rests on more than the three slowest."""
PERCENTS = tuple(SAMPLES_FOR)
_ROUNDING = 1e-9
"""A survival of 0.1 comes out of its product as 0.09999999999999998 or 0.10000000000000003."""


Weighted = tuple[int, int]
"""A duration and its weight."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Durations of one figure: those that were observed, and how long the unfinished ones had lasted by the end."""

    observed: list[int]
    censored: list[int]


@dataclass(frozen=True, slots=True)
class Tokens:
    """How the tokens of a point are counted: by the server's usage, or as one an event."""

    source: str
    """`usage` or `events`."""
    per_event: float
    """Mean tokens of a content event over the finished requests; 1.0 where nothing is known."""

    def of(self, record: RequestRecord) -> float:
        """Output tokens of a request; for one without a count they are estimated from its events."""
        if self.knows(record):
            return record.output_tokens or 0
        return record.events * self.per_event

    def knows(self, record: RequestRecord) -> bool:
        """Whether the server has counted them."""
        return self.source == "usage" and record.output_tokens is not None

    def in_window(self, record: RequestRecord) -> float:
        """Those that arrived in the window: a request's tokens are spread evenly over its content events."""
        return record.events_in_window * self.of(record) / record.events if record.events_in_window else 0.0


def tokens(records: Iterable[RequestRecord]) -> Tokens:
    """Usage counts if every finished request had one; otherwise all are counted alike, by events."""
    counted = events = 0
    for r in records:
        if r.outcome == "succeeded" and r.events:
            if r.output_tokens is None:
                return Tokens("events", 1.0)
            counted, events = counted + r.output_tokens, events + r.events
    return Tokens("usage", counted / events) if events else Tokens("events", 1.0)


def ttft(records: Sequence[RequestRecord]) -> Sample:
    """TTFT: first content event - start. Every tracked request; censored where it was cut off.

    A request that failed before its first content has no TTFT; it counts among the errors.
    """
    return Sample(
        observed=[r.first - r.start for r in records if r.first],
        censored=[r.end - r.start for r in records if not r.first and r.outcome == "open"],
    )


def time_to_first_output_token(records: Sequence[RequestRecord]) -> Sample | None:
    """First content event that is not reasoning - start. Every tracked request; censored where it was cut off.

    A request that ended within its reasoning has none, like one that failed before. None where no request had any
    reasoning: TTFT is the same then. Reasoning that the server sends as plain text cannot be told from output.
    """
    if all(r.first_output == r.first for r in records):
        return None
    return Sample(
        observed=[r.first_output - r.start for r in records if r.first_output],
        censored=[r.end - r.start for r in records if not r.first_output and r.outcome == "open"],
    )


def request_latency(records: Sequence[RequestRecord]) -> Sample:
    """Request latency: last content event - start. Every tracked request that did not fail, the open ones censored."""
    return Sample(
        observed=[r.last - r.start for r in records if r.outcome == "succeeded"],
        censored=[r.end - r.start for r in records if r.outcome == "open"],
    )


def from_send(records: Iterable[RequestRecord]) -> Records:
    """Of an open loop: the requests that were sent, as if their latencies had begun only then."""
    return Records(replace(record, start=record.sent) for record in records if record.sent)


def lateness(records: Iterable[RequestRecord]) -> list[int]:
    """Of an open loop: sent - due, of the tracked requests that were sent."""
    return [record.sent - record.start for record in records if record.sent]


def mean_itl(record: RequestRecord, counted: Tokens) -> Weighted | None:
    """(ITL, its weight) of a finished request: ((last - first) / (tokens - 1), tokens - 1), as GuideLLM 0.2.1 has it.

    None below two tokens, where there is no interval.
    """
    weight = round(counted.of(record)) - 1
    if record.outcome != "succeeded" or weight < 1:
        return None
    return round((record.last - record.first) / weight), weight


def itl(records: Iterable[RequestRecord], counted: Tokens) -> list[Weighted]:
    """ITL of the finished tracked requests, each weighted by its intervals: the published figure."""
    return [pace for r in records if (pace := mean_itl(r, counted)) is not None]


def tpot(records: Iterable[RequestRecord], counted: Tokens) -> list[Weighted]:
    """TPOT: the same quotient, every finished tracked request weighing one; nearest to vLLM bench and AIPerf."""
    return [(value, 1) for value, _ in itl(records, counted)]


def ttft_against_tpot(records: Iterable[RequestRecord], counted: Tokens) -> Grid:
    """(TTFT, TPOT) of every finished tracked request; one of a single token, which has no interval, with a TPOT of 0."""
    grid = Grid()
    for r in records:
        if r.outcome == "succeeded":
            pace = mean_itl(r, counted)
            grid.record(r.first - r.start, pace[0] if pace else 0)
    return grid


def requests_per_second(records: Iterable[RequestRecord], window: Window) -> float:
    """RPS: requests that finished well in the window, whenever they were started, over its length."""
    return sum(r.outcome == "succeeded" and r.end in window for r in records) / window.seconds


def output_tokens_per_second(records: Iterable[RequestRecord], window: Window, counted: Tokens) -> float:
    """Output TPS: tokens booked when they arrived, of whatever request. One's tokens are spread evenly over its content
    events."""
    return sum(counted.in_window(r) for r in records) / window.seconds


def tokens_estimated(records: Iterable[RequestRecord], counted: Tokens) -> float:
    """Of the output tokens that arrived in the window, the share that the server has not counted: events x their mean
    tokens, of requests that did not end well in time; all of them where an event counts as one."""
    whole = estimated = 0.0
    for r in records:
        arrived = counted.in_window(r)
        whole += arrived
        estimated += 0.0 if counted.knows(r) else arrived
    return estimated / whole if whole else 0.0


def total_tokens_per_second(records: Sequence[RequestRecord], window: Window, counted: Tokens) -> float | None:
    """Total TPS: output TPS, and prompt tokens booked at the first content, when they had been processed.

    A request without usage counts with the mean of the others; None where no server count is known.
    """
    mean = mean_of(r.prompt_tokens for r in records)
    if mean is None:
        return None
    prompts = sum(
        mean if r.prompt_tokens is None else r.prompt_tokens for r in records if r.first and r.first in window
    )
    return output_tokens_per_second(records, window, counted) + prompts / window.seconds


def mean_of(values: Iterable[float | None]) -> float | None:
    """The mean of those that are there; None without any."""
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def kaplan_meier(sample: Sample, percents: Sequence[int] = PERCENTS) -> dict[int, int | Censored]:
    """Quantiles of right-censored durations: the smallest duration t with S(t) <= 1 - percent/100; {} without any.

    One that is not reached is `Censored` (nanoseconds): the quantile lies beyond the last event, and is no smaller
    than if every open request had ended at this very moment. The greater of the two bounds is given.
    """
    everything = sorted(sample.observed + sample.censored)
    found: dict[int, int | Censored] = {}
    wanted = sorted(percents) if everything else []
    last = 0
    for duration, survival in _survival(sample):
        last = duration
        while wanted and survival <= 1 - wanted[0] / 100 + _ROUNDING:
            found[wanted.pop(0)] = duration
    for percent in wanted:
        rank = max(1, -(-percent * len(everything) // 100))
        found[percent] = Censored(at_least=max(last, everything[rank - 1]))
    return found


def _survival(sample: Sample) -> Iterator[tuple[int, float]]:
    """(t, S(t)) at every t at which something was observed, in order; censored at t are at risk at t."""
    events, censored = sorted(sample.observed), sorted(sample.censored)
    survival, gone, i = 1.0, 0, 0
    while i < len(events):
        t, j = events[i], i
        while j < len(events) and events[j] == t:
            j += 1
        while gone < len(censored) and censored[gone] < t:
            gone += 1
        at_risk = len(events) - i + len(censored) - gone
        survival *= 1 - (j - i) / at_risk
        yield t, survival
        i = j


def censored_figure(sample: Sample) -> Figure:
    """The figure of a sample with unfinished members. No mean then: it would only tell the length of the run."""
    quantiles = kaplan_meier(sample)
    whole = sample.observed and not sample.censored
    return Figure(
        count=len(sample.observed) + len(sample.censored),
        **{f"p{percent}": _milliseconds(quantiles[percent]) for percent in PERCENTS if quantiles},
        mean=math.fsum(sample.observed) / len(sample.observed) / 1e6 if whole else None,
        censored=len(sample.censored),
    )


def weighted_figure(values: Sequence[Weighted], left_out: int) -> Figure:
    """Nearest rank by weight; `count` is the number of values, `left_out` of those that were not finished."""
    ordered, total = sorted(values), sum(weight for _, weight in values)
    quantiles: dict[str, float] = {}
    seen = 0
    for value, weight in ordered:
        seen += weight
        for percent in PERCENTS:
            if 100 * seen >= percent * total:
                quantiles.setdefault(f"p{percent}", value / 1e6)
    mean = sum(value * weight for value, weight in values) / total / 1e6 if total else None
    return Figure(count=len(values), **quantiles, mean=mean, censored=left_out)


def histogram_figure(histogram: Histogram) -> Figure:
    """The figure of a distribution of which only the histogram is kept (gaps between events, the load generator's own
    lag): nearest rank over all that was recorded, each quantile the middle of its bucket, at most 0.39 % off; count
    and mean are exact. Milliseconds; nothing is censored."""
    values = {f"p{percent}": histogram.quantile(percent) for percent in PERCENTS}
    mean = histogram.mean()
    return Figure(
        count=histogram.samples,
        **{name: value / 1e6 for name, value in values.items() if value is not None},
        mean=mean / 1e6 if mean is not None else None,
        censored=0,
    )


def histogram_of(values: Iterable[int | Weighted]) -> Histogram:
    """The values, weighted or not, as a mergeable histogram."""
    histogram = Histogram()
    for value in values:
        histogram.record(*value) if isinstance(value, tuple) else histogram.record(value)
    return histogram


def _milliseconds(value: int | Censored) -> float | Censored:
    return Censored(at_least=value.at_least / 1e6) if isinstance(value, Censored) else value / 1e6
