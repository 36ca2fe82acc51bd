"""A sweep on curves whose bend is known: it begins with the bounds, and its points close in on the bend."""

from collections.abc import Callable
from itertools import pairwise
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.api.loadplan import Measured, PointPlan, SweepPlan
from enginebench.results.sweep import next_load, placed

USERS = SweepPlan(of="concurrency", lowest=1, highest=1024)
RATES = SweepPlan(of="requestRate", lowest=0.5, highest=256, arrival="Constant", max_concurrency=77)


def closed(knee: float) -> Callable[[float], float]:
    """Users share so many slots: TPS grows with the users up to the knee, with a bend of some width."""
    return lambda users: 100 * users / (1 + (users / knee) ** 8) ** (1 / 8)


def opened(knee: float) -> Callable[[float], float]:
    """Requests a second are answered up to the knee."""
    return lambda rate: 100 * min(rate, knee)


def swept(sweep: SweepPlan, points: int, tps: Callable[[float], float], noise: float = 0.0) -> list[float]:
    """The loads of a sweep; every second point reads too much, every other one too little."""
    measured: list[Measured] = []
    for number in range(points):
        load = next_load(sweep, measured)
        off = noise if number % 2 else -noise
        measured.append(Measured(load=load, output_tokens_per_second=tps(load) * (1 + off)))
    return [one.load for one in measured]


def off(loads: list[float], knee: float) -> float:
    """The factor between the knee and the load that is nearest to it."""
    return exp(min(abs(log(load / knee)) for load in loads))


def test_the_bounds_come_first_and_then_their_middle() -> None:
    assert swept(USERS, 3, closed(40)) == [1, 1024, 32]
    assert swept(RATES, 3, opened(40)) == [0.5, 256, 11.3]


@given(st.floats(2, 512), st.sampled_from([0.0, 0.01, 0.02]))
def test_eight_points_come_near_the_knee_of_a_closed_loop(knee: float, noise: float) -> None:
    loads = swept(USERS, 8, closed(knee), noise)
    assert off(loads, knee) < 1.3
    assert len(set(loads)) == 8
    assert all(load == round(load) for load in loads)


@given(st.floats(1, 128), st.sampled_from([0.0, 0.01, 0.02]))
def test_eight_points_come_near_the_knee_of_an_open_loop(knee: float, noise: float) -> None:
    assert off(swept(RATES, 8, opened(knee), noise), knee) < 1.3


@given(st.floats(1, 128))
def test_more_points_come_nearer_and_spread_around_the_bend(knee: float) -> None:
    loads = swept(RATES, 16, opened(knee))
    assert off(loads, knee) < 1.05
    widths = [(high / low, low <= knee <= high) for low, high in pairwise(sorted(loads))]
    narrow = min(width for width, around in widths if around)
    assert narrow <= 1.2 * min(width for width, _ in widths)


@given(st.floats(2, 512), st.integers(2, 9))
def test_a_sweep_goes_on_as_it_would_have(knee: float, done: int) -> None:
    tps = closed(knee)
    whole = swept(USERS, 10, tps)
    known = [Measured(load=load, output_tokens_per_second=tps(load)) for load in whole[:done]]
    assert next_load(USERS, known) == next_load(USERS, known[::-1]) == whole[done]


def test_a_lowest_load_that_is_hardly_any_is_no_bend() -> None:
    """0.5 requests a second are 0.5 % of what the engine takes, and it keeps up with them."""
    assert min(swept(RATES, 16, opened(106))[2:]) > 10


def test_an_engine_that_breaks_down_is_looked_at_where_it_breaks() -> None:
    loads = swept(USERS, 10, lambda users: 0.0 if users > 100 else 10 * users)
    assert off(loads, 100) < 1.3


@pytest.mark.parametrize("tps", [lambda _: 0.0, lambda load: load, lambda _: 100.0])
def test_curves_without_a_bend_have_points_all_the_same(tps: Callable[[float], float]) -> None:
    assert len(set(swept(USERS, 12, tps))) == 12


def test_where_nothing_is_left_between_the_highest_load_is_measured_again() -> None:
    assert swept(SweepPlan(of="concurrency", lowest=1, highest=3), 5, closed(2)) == [1, 3, 2, 3, 3]


def test_a_point_gets_the_load_that_the_sweep_gives_it() -> None:
    point = PointPlan(index=3)
    assert placed(point, USERS, ()) == PointPlan(index=3, concurrency=1)
    assert placed(point, RATES, ()) == PointPlan(index=3, request_rate=0.5, arrival="Constant", max_concurrency=77)
    planned = PointPlan(index=0, concurrency=7)
    assert placed(planned, None, ()) is planned
