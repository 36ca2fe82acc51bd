"""Means over repeats and their intervals, against Student's own density and by drawing."""

import math
import random
import statistics
from collections.abc import Callable, Sequence

import pytest

from enginebench.results.intervals import T95, Interval, of_latencies, of_rates

STEPS = 20_000


def central(t: float, freedom: int) -> float:
    """Probability of (-t, t) under Student's density, by Simpson's rule."""
    constant = math.gamma((freedom + 1) / 2) / (math.sqrt(freedom * math.pi) * math.gamma(freedom / 2))
    h = t / STEPS
    heights = [constant * (1 + (i * h) ** 2 / freedom) ** (-(freedom + 1) / 2) for i in range(STEPS + 1)]
    area: float = 2 * h / 3 * (heights[0] + heights[-1] + 4 * sum(heights[1:-1:2]) + 2 * sum(heights[2:-1:2]))
    return area


@pytest.mark.parametrize(("freedom", "t"), list(enumerate(T95, 1)))
def test_student_t(freedom: int, t: float) -> None:
    assert central(t, freedom) == pytest.approx(0.95, abs=2e-6)


def test_an_interval_of_rates() -> None:
    values = [100.0, 110.0, 105.0, 95.0]
    half = 3.18245 * statistics.stdev(values) / 2
    found = of_rates(values)
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((102.5, 102.5 - half, 102.5 + half))


def test_a_rate_is_not_below_zero() -> None:
    found = of_rates([1.0, 1.0, 100.0])
    assert found is not None
    assert found.low == 0.0


def test_latencies_are_taken_on_logarithms() -> None:
    found = of_latencies([10.0, 100.0, 1000.0])
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    half = 4.30265 * 1.0 / math.sqrt(3)  # in decades
    assert found.mean == pytest.approx(100.0)
    assert (found.low, found.high) == pytest.approx((10 ** (2 - half), 10 ** (2 + half)))


@pytest.mark.parametrize("of", [of_rates, of_latencies])
def test_two_repeats_have_a_mean_alone(of: Callable[[Sequence[float]], Interval | None]) -> None:
    assert of([]) is None
    assert of([1.0]) == Interval(1.0)
    assert of([1.0, 1.0]) == Interval(1.0)
    assert of([1.0] * 3) == Interval(1.0, 1.0, 1.0)


def test_no_logarithm_no_mean() -> None:
    assert of_latencies([0.0, 1.0, 2.0]) is None


def test_more_repeats_than_the_table_has() -> None:
    with pytest.raises(ValueError, match="21 repeats"):
        of_rates([1.0] * 21)
    assert of_rates([1.0] * 20) is not None


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    """Over 4000 draws of five normal values: 95 % within three standard errors of that share."""
    source, hits, draws = random.Random(7), 0, 4000  # noqa: S311 - reproducible on purpose
    for _ in range(draws):
        found = of_rates([source.gauss(100.0, 5.0) for _ in range(5)])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 100.0 <= found.high
    assert hits / draws == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / draws))
