"""Gaps between events: what is counted, and when."""

from hypothesis import given
from hypothesis import strategies as st

from enginebench.loadgen.gaps import Gaps
from enginebench.results.histogram import LIMIT, Histogram


def test_only_what_is_noted_while_they_are_open_counts() -> None:
    gaps = Gaps()
    gaps.note(1)
    gaps.open()
    gaps.note(2)
    assert gaps.histogram.samples == 0
    gaps.count()
    assert (gaps.histogram.samples, gaps.histogram.total) == (1, 2)
    gaps.count()
    gaps.note(3)
    gaps.close()
    gaps.note(4)
    gaps.count()
    assert (gaps.histogram.samples, gaps.histogram.total) == (2, 5)


@given(st.lists(st.lists(st.integers(0, 2 * LIMIT) | st.integers(0, 600))))
def test_counted_together_is_counted_one_by_one(parts: list[list[int]]) -> None:
    together, alone = Histogram(), Histogram()
    for part in parts:
        together.record_all(part)
        for duration in part:
            alone.record(duration)
    assert together.to_bytes() == alone.to_bytes()
