"""Which points are skipped: those above a load that has shown enough, whatever the order in which they came."""

from itertools import permutations

import pytest
from msgspec.structs import replace

from enginebench.api.loadplan import Measured, PointPlan, StopPlan
from enginebench.results.stop import ERRORS, SATURATED, saturated, why_skipped

BOTH = StopPlan(error_rate_percent=50, saturated=True)


def point(load: float, tps: float, ttft: float | None, **more: float) -> Measured:
    return Measured(load=load, output_tokens_per_second=tps, ttft_p50=ttft, **more)  # type: ignore[arg-type]  # floats


CURVE = (point(1, 100, 50), point(2, 200, 50), point(4, 400, 55), point(8, 410, 70), point(16, 405, 200))


def next_point(load: int, repeat: int = 0) -> PointPlan:
    return PointPlan(index=9, repeat=repeat, concurrency=load)


@pytest.mark.parametrize(
    ("curve", "want"),
    [
        (CURVE, True),
        (CURVE[:4], False),  # a single flat level
        ((point(1, 100, 50), point(2, 104, 60), point(4, 108, 75)), True),
        ((point(1, 100, 50), point(2, 104, 60), point(4, 108, 74)), False),  # they do not wait
        ((point(1, 100, 50), point(2, 106, 60), point(4, 108, 99)), False),  # the first level still brings something
        ((point(1, 100, 50), point(2, 104, 60, tps_error=2.0), point(4, 108, 99)), False),  # who knows
        ((point(1, 100, 50), point(2, 80, 60), point(4, 40, 900)), True),
        ((point(1, 100, 50), point(2, 100, None), point(4, 100, None)), False),
        ((point(1, 0, 50), point(2, 0, 60), point(4, 0, 900)), False),
        ((), False),
    ],
)
def test_saturated(curve: tuple[Measured, ...], want: bool) -> None:
    assert saturated(curve) is want


def test_only_what_is_asked_for_stops() -> None:
    failing = (*CURVE, point(32, 10, 900, error_share=0.9))
    assert why_skipped(next_point(64), BOTH, failing) == ERRORS
    assert why_skipped(next_point(64), StopPlan(saturated=True), failing) == SATURATED
    assert why_skipped(next_point(64), StopPlan(error_rate_percent=90), failing) == ERRORS
    assert why_skipped(next_point(64), StopPlan(error_rate_percent=91), failing) == ""
    assert why_skipped(next_point(64), StopPlan(), failing) == ""


def test_lower_loads_are_measured_in_whatever_order_they_come() -> None:
    for order in permutations(CURVE):
        assert why_skipped(next_point(32), BOTH, order) == SATURATED
        assert why_skipped(next_point(16), BOTH, order) == ""
        assert why_skipped(next_point(3), BOTH, order) == ""


def test_repeats_do_not_speak_for_each_other() -> None:
    assert why_skipped(next_point(32, repeat=1), BOTH, CURVE) == ""


def test_rates_are_loads_too() -> None:
    assert why_skipped(PointPlan(index=9, request_rate=16.5), BOTH, CURVE) == SATURATED


def test_what_comes_after_a_point_in_the_plan_says_nothing_about_it() -> None:
    """Though it may have been measured already, when an earlier attempt's points are measured again."""
    later = [replace(one, index=index) for index, one in enumerate(CURVE, start=7)]
    assert why_skipped(next_point(32), BOTH, later) == ""  # 7 and 8 come before it
    assert why_skipped(replace(next_point(32), index=12), BOTH, later) == SATURATED


def test_a_point_in_between_that_comes_later_brings_no_load_back() -> None:
    """Or a shuffled repeat would skip a load and measure a higher one after it."""
    shown = [point(4, 400, 50), point(8, 404, 60), point(16, 405, 80)]
    ordered = [replace(one, index=index) for index, one in enumerate([*shown, point(6, 402, 57), point(12, 404, 66)])]
    assert not saturated(sorted(ordered, key=lambda one: one.load))
    assert why_skipped(next_point(32), BOTH, ordered) == SATURATED


def test_every_load_above_a_skipped_one_is_skipped() -> None:
    for order in permutations(CURVE):
        measured: list[Measured] = []
        skipped: list[float] = []
        for index, one in enumerate(order):
            planned = PointPlan(index=index, request_rate=one.load)
            if why_skipped(planned, BOTH, measured):
                skipped.append(one.load)
                continue
            assert one.load < min(skipped, default=99)
            measured.append(replace(one, index=index))
