"""Whether a point was the same from its beginning to its end: drifts of token rate and TTFT over ten batches.

- **Token rate**: the window is cut into ten batches of whole seconds, as equal as can be. The change from the mean
  rate of the first five to that of the last five, relative to the mean of all; with the largest of Student's t of
  two samples (pooled variance, 8 degrees of freedom) over all cuts that leave at least two batches on either side:
  what changes at once seldom does so in the middle.
- **TTFT**: the requests started in the window, in order, are cut into ten batches as equal as can be. A straight line
  is laid through their medians by least squares: its change from the first batch to the last one, relative to the mean
  of the medians, with Student's t of its slope (8 degrees of freedom). A batch's median is Kaplan-Meier's; where
  one was not reached there is no drift to be told.

Batches instead of single values, because what follows upon each other in a queue is not independent (A. M. Law:
Simulation Modeling and Analysis, chapter 9: batch means). How large a change and how large a t matter is not decided
here.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from enginebench.results.figures import kaplan_meier, ttft
from enginebench.results.point_report import Drift
from enginebench.results.record import RequestRecord
from enginebench.results.seen import Seen

BATCHES = 10
CUTS = range(2, BATCHES - 1)
MOST_T = 1e6
"""What has no noise at all has no finite t."""
_WHOLE = 0.9
"""A last second that was cut off below this share of itself is left out."""


def token_rate_drift(seen: Seen) -> Drift | None:
    """Of the content events a second: tokens an event are the same in both halves. None below ten whole seconds."""
    if (rates := _batch_rates(seen)) is None:
        return None
    first, last = rates[: BATCHES // 2], rates[BATCHES // 2 :]
    mean = _mean(rates)
    if not mean:
        return None
    change = _mean(last) - _mean(first)
    return Drift(change=change / mean, t=max((_of_two(rates[:k], rates[k:]) for k in CUTS), key=abs))


def token_rate_error(seen: Seen) -> float | None:
    """Standard error of the mean of the same ten batches' rates, relative to it. None below ten whole seconds."""
    rates = _batch_rates(seen)
    if rates is None or not (mean := _mean(rates)):
        return None
    return sqrt(_squares(rates) / (BATCHES - 1) / BATCHES) / mean


def ttft_drift(records: Sequence[RequestRecord]) -> Drift | None:
    """Of the tracked requests. None below ten of them, or where the median of a batch is not known."""
    starts = [r.start for r in records]
    ordered = sorted((place for place, r in enumerate(records) if r.tracked), key=starts.__getitem__)
    medians: list[int] = []
    for i in range(BATCHES):
        batch = ordered[len(ordered) * i // BATCHES : len(ordered) * (i + 1) // BATCHES]
        median = kaplan_meier(ttft([records[place] for place in batch]), (50,)).get(50)
        if not isinstance(median, int):
            return None
        medians.append(median)
    mean, middle = _mean(medians), (BATCHES - 1) / 2
    spread = sum((i - middle) ** 2 for i in range(BATCHES))
    slope = sum((i - middle) * (value - mean) for i, value in enumerate(medians)) / spread
    rest = sum((value - mean - slope * (i - middle)) ** 2 for i, value in enumerate(medians))
    error = sqrt(rest / (BATCHES - 2) / spread)
    return Drift(change=slope * (BATCHES - 1) / mean, t=_t(slope, error)) if mean else None


def _batch_rates(seen: Seen) -> list[float] | None:
    """Content events a second of each batch of whole seconds."""
    counted = [tick.events for tick in seen.ticks]
    if counted and seen.window.seconds - (len(counted) - 1) < _WHOLE:
        counted.pop()
    if len(counted) < BATCHES:
        return None
    cuts = [len(counted) * i // BATCHES for i in range(BATCHES + 1)]
    until = [0, *counted]
    return [(until[b] - until[a]) / (b - a) for a, b in pairwise(cuts)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _squares(values: Sequence[float]) -> float:
    """Of the distances from the mean, summed."""
    mean = _mean(values)
    return sum((value - mean) ** 2 for value in values)


def _of_two(one: Sequence[float], other: Sequence[float]) -> float:
    """Student's t of two samples, BATCHES together."""
    variance = (_squares(one) + _squares(other)) / (BATCHES - 2)
    return _t(_mean(other) - _mean(one), sqrt(variance * (1 / len(one) + 1 / len(other))))


def _t(value: float, error: float) -> float:
    if error * MOST_T > abs(value):
        return value / error
    return 0.0 if not value else MOST_T if value > 0 else -MOST_T
