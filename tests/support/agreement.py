"""Whether two load generators agree on a figure of one engine, which they measured in turn."""

from collections.abc import Sequence

from enginebench.results.intervals import of_latencies

SHARE, FLOOR_MILLISECONDS = 0.05, 0.5


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
