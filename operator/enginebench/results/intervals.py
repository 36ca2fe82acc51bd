"""The mean of a figure over repeats, with its interval.

Repeats are independent, each with its own share of what an engine's start and the time of day do; the requests of
one point are not: what can be said within one, `results.bootstrap` says.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST = 3
"""Repeats that an interval wants: of two, Student's t is 12.7 standard errors."""

T95 = (
    *(12.70620, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462, 2.30600, 2.26216, 2.22814),
    *(2.20099, 2.17881, 2.16037, 2.14479, 2.13145, 2.11991, 2.10982, 2.10092, 2.09302),
)
"""Student's t at 0.975 for 1 to 19 degrees of freedom: the two-sided 95 % of 2 to 20 repeats."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and, from three values on, the ends of its 95 % interval, in the unit of the values."""

    mean: float
    low: float | None = None
    high: float | None = None


def of_rates(values: Sequence[float]) -> Interval | None:
    """Arithmetic mean; mean ± t · s / √n (Student 1908), s with n - 1; no rate is below 0. None: no value.

    `ValueError` for more than 20 values.
    """
    found = _student(values)
    if found is None or found.low is None:
        return found
    return Interval(found.mean, max(0.0, found.low), found.high)


def of_latencies(values: Sequence[float]) -> Interval | None:
    """Geometric mean; the interval of the logarithms, raised again: latencies spread by factors, to the right.

    None: no value, or one that has no logarithm. `ValueError` for more than 20 values.
    """
    if any(value <= 0 for value in values):
        return None
    found = _student([math.log(value) for value in values])
    if found is None:
        return None
    if found.low is None or found.high is None:
        return Interval(math.exp(found.mean))
    return Interval(math.exp(found.mean), math.exp(found.low), math.exp(found.high))


def _student(values: Sequence[float]) -> Interval | None:
    n = len(values)
    if not n:
        return None
    if n > len(T95) + 1:
        raise ValueError(f"{n} repeats: Student's t is known for up to {len(T95) + 1}")
    mean = math.fsum(values) / n
    if n < LEAST:
        return Interval(mean)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = T95[n - 2] * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)
