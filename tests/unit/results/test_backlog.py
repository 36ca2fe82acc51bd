"""Requests in flight: counted exactly, and called a backlog only where they pile up."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.results.backlog import in_flight_growth, mean_in_flight
from enginebench.results.record import RequestRecord, Window

SECOND = 1_000_000_000
WINDOW = Window(10 * SECOND, 70 * SECOND)


def request(begin: float, end: float | None) -> RequestRecord:
    """Seconds after the window opened; None: still open."""
    at = WINDOW.open
    if end is None:
        return RequestRecord(start=at + round(begin * SECOND))
    return RequestRecord(start=at + round(begin * SECOND), end=at + round(end * SECOND), outcome="succeeded")


def queue(rate: float, slots: int, seconds: float, *, seed: int = 1) -> list[RequestRecord]:
    """Poisson arrivals at so many slots, each of which answers in exactly `seconds`, first come first served."""
    random, now, records = Random(seed), -30.0, []  # noqa: S311  # to be repeated
    free = [now] * slots
    while now < 60:
        now += random.expovariate(rate)
        slot = min(range(slots), key=free.__getitem__)
        free[slot] = max(now, free[slot]) + seconds
        if free[slot] > 0:
            records.append(request(now, free[slot]))
    return records


def test_means_by_hand() -> None:
    records = [request(-5, 6), request(3, 9), request(30, None), request(59, 80)]
    assert mean_in_flight(records, WINDOW, 10) == pytest.approx([1.5, 0.5, 0, 0, 0, 1, 1, 1, 1, 1 + 1 / 6])


@given(st.lists(st.tuples(st.floats(-20, 59), st.floats(0, 90)), max_size=20))
def test_the_parts_make_up_the_whole(spans: list[tuple[float, float]]) -> None:
    records = [request(begin, begin + length) for begin, length in spans if begin + length > 0]
    [whole] = mean_in_flight(records, WINDOW, 1)
    assert sum(mean_in_flight(records, WINDOW, 10)) / 10 == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize("rate", [1.0, 5.0, 12.0, 16.0])
def test_an_engine_that_keeps_up_has_no_backlog(rate: float) -> None:
    """20 requests a second is the most that it answers."""
    assert [in_flight_growth(queue(rate, 10, 0.5, seed=seed), WINDOW) for seed in range(10)].count(None) >= 9


@pytest.mark.parametrize("rate", [25.0, 30.0, 60.0])
def test_a_backlog_grows_by_what_is_too_much(rate: float) -> None:
    growth = in_flight_growth(queue(rate, 10, 0.5), WINDOW)
    assert growth == pytest.approx(rate - 20, rel=0.3)


def test_a_small_steady_drift_is_no_backlog() -> None:
    records = [request(second, second + 10 + second / 100) for second in range(-20, 60)]
    assert in_flight_growth(records, WINDOW) is None


def test_nothing_at_all_is_no_backlog() -> None:
    assert in_flight_growth([], WINDOW) is None


def test_a_window_whose_parts_are_no_whole_nanoseconds() -> None:
    """3 * 264903912.2 / 264903912.2 is a little less than 3 in floating point: the next part must be gone on to."""
    window = Window(0, 2649039122)
    assert int(3 * (window.close / 10) / (window.close / 10)) == 2
    record = RequestRecord(start=0, end=window.close, outcome="succeeded")
    assert mean_in_flight([record], window, 10) == pytest.approx([1.0] * 10)
