"""Whether two load generators agree on a figure of one engine, which they measured in turn."""

import math
from collections.abc import Sequence

from enginebench.results.intervals import of_latencies

SHARE, FLOOR_MILLISECONDS = 0.05, 0.5
LEAST = 3
"""Of either: two points, of an engine whose own speed differs from minute to minute, have no interval."""


def interval(values: Sequence[float]) -> tuple[float, float]:
    """The ends of the 95 % interval of the mean; of fewer than three values, the least and the greatest."""
    found = of_latencies(values)
    assert found is not None
    if found.low is None or found.high is None:
        return min(values), max(values)
    return found.low, found.high


def agree(ones: Sequence[float], others: Sequence[float]) -> bool:
    """Their intervals overlap within 5 %, or 0.5 ms where that is more."""
    (low, high), (other_low, other_high) = interval(ones), interval(others)
    room = max(FLOOR_MILLISECONDS, SHARE * max(*ones, *others))
    return low <= other_high + room and other_low <= high + room


def spread(values: Sequence[float]) -> float:
    """A against A: how far the greatest lies above the least, relative to it."""
    return max(values) / min(values) - 1


def ratio(ones: Sequence[float], others: Sequence[float]) -> tuple[float, float, float]:
    """B ÷ A, and the ends of its interval: both means' intervals, squared and added on a logarithmic scale
    (MOVER: Zou and Donner 2008, https://doi.org/10.1002/sim.3095)."""
    (a, a_low, a_high), (b, b_low, b_high) = _logarithms(ones), _logarithms(others)
    below, above = math.hypot(b - b_low, a_high - a), math.hypot(b_high - b, a - a_low)
    return math.exp(b - a), math.exp(b - a - below), math.exp(b - a + above)


def _logarithms(values: Sequence[float]) -> tuple[float, float, float]:
    """Of the geometric mean and of the ends of its interval."""
    low, high = interval(values)
    return math.fsum(map(math.log, values)) / len(values), math.log(low), math.log(high)


def in_words(ours: Sequence[float], theirs: Sequence[float], generator: str) -> str:
    """A line on milliseconds that EngineBench (A) and another load generator (B) measured: all of them, how far A is
    from A, and B ÷ A with its interval. Usable ones only: of either there may be none."""
    told = f"EngineBench (A) {_list(ours)}, {generator} (B) {_list(theirs)}"
    if not ours or not theirs:
        return f"{told}: nothing to compare"
    middle, low, high = ratio(ours, theirs)
    apart = f"A against A {spread(ours):.1%}, B against B {spread(theirs):.1%}"
    return f"{told}; {apart}; B ÷ A {middle:.3f} ({low:.3f} to {high:.3f})"


def _list(values: Sequence[float]) -> str:
    return f"{', '.join(f'{value:.4g}' for value in values)} ms" if values else "none"
