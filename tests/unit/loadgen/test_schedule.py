"""When requests are due: exactly, evenly, or by chance as a Poisson process has it."""

from itertools import islice, pairwise, takewhile
from statistics import mean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.loadgen.schedule import Schedule


def until(schedule: Schedule, seconds: float, ramp: float = 0) -> list[float]:
    return list(takewhile(lambda moment: moment < seconds, schedule.moments(ramp)))


def test_constant_gaps_are_equal() -> None:
    moments = list(islice(Schedule(8.0, "Constant", "s").moments(0), 1000))
    assert moments == [k / 8 for k in range(1000)]


@pytest.mark.parametrize("arrival", ["Constant", "Poisson"])
def test_the_rate_grows_evenly_over_the_ramp(arrival: str) -> None:
    moments = until(Schedule(1000.0, arrival, "s"), 20, ramp=10)  # type: ignore[arg-type]  # of the two
    halves = [sum(a <= moment < a + 5 for moment in moments) for a in (0, 5, 10, 15)]
    assert halves == pytest.approx([1250, 3750, 5000, 5000], rel=0.08)


def test_poisson_gaps_are_exponential() -> None:
    moments = until(Schedule(50.0, "Poisson", "s"), 400)
    gaps = [b - a for a, b in pairwise(moments)]
    assert mean(gaps) == pytest.approx(1 / 50, rel=0.03)
    assert pvariance(gaps) == pytest.approx(1 / 50**2, rel=0.06)
    seconds = [sum(second <= moment < second + 1 for moment in moments) for second in range(0, 400, 10)]
    assert pvariance(seconds) == pytest.approx(mean(seconds), rel=0.6)  # dispersion of counts is 1
    assert sum(gap > 1 / 50 for gap in gaps) / len(gaps) == pytest.approx(0.368, abs=0.02)


def test_the_seed_alone_decides() -> None:
    first, again, other = (list(islice(Schedule(5.0, "Poisson", s).moments(3), 50)) for s in ("1/0", "1/0", "1/1"))
    assert first == again
    assert set(first).isdisjoint(other)


@given(st.integers(1, 7), st.floats(0.1, 500), st.sampled_from([0.0, 2.5]))
def test_shares_of_a_constant_rate_interleave_to_the_whole(shares: int, rate: float, ramp: float) -> None:
    whole = list(islice(Schedule(rate, "Constant", "s").moments(ramp), 70))
    parts = [list(islice(Schedule(rate, "Constant", "s", n, shares).moments(ramp), 70)) for n in range(shares)]
    assert sorted(moment for part in parts for moment in part)[:70] == whole


def test_shares_of_a_poisson_rate_are_independent_and_add_up() -> None:
    parts = [until(Schedule(40.0, "Poisson", "s", n, 4), 200) for n in range(4)]
    assert [len(part) for part in parts] == pytest.approx([2000] * 4, rel=0.1)
    assert len({moment for part in parts for moment in part}) == sum(map(len, parts))
