"""Seconds from records and ticks, coarser steps from seconds, and the budget of bytes."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.results import series
from enginebench.results.figures import Tokens
from enginebench.results.record import RequestRecord, Window
from enginebench.results.series import Second, Tick

MS = 1_000_000
SECOND = 1000 * MS
COUNTED = Tokens("events", 1.0)


def request(start_ms: int, first_ms: int, last_ms: int, outcome: str = "succeeded") -> RequestRecord:
    record = RequestRecord(start=start_ms * MS, first=first_ms * MS, last=last_ms * MS, end=last_ms * MS, events=11)
    record.outcome = "errored" if outcome == "errored" else "succeeded"
    return record


def test_seconds_place_starts_ends_and_latencies_where_they_fell() -> None:
    window = Window(1000 * MS, 3500 * MS)
    records = [
        request(900, 1100, 1200),  # started before the window: its end and first content count
        request(1000, 1050, 2050),
        request(1500, 1600, 3499, outcome="errored"),
        request(3400, 3600, 3700),  # ends after the window
        RequestRecord(start=2000 * MS),
    ]
    ticks = [Tick(3, 100), Tick(2, 250), Tick(1, 260)]
    span = series.seconds(records, ticks, window, COUNTED)
    assert [s.started for s in span] == [2, 1, 1]
    assert [s.finished for s in span] == [1, 1, 0]
    assert [s.errored for s in span] == [0, 0, 1]
    assert [s.events for s in span] == [100, 150, 10]
    assert [s.in_flight for s in span] == [3, 2, 1]
    assert [s.ttfts for s in span] == [[200 * MS, 50 * MS, 100 * MS], [], []]
    assert [s.itls for s in span] == [[10 * MS], [100 * MS], []]


def test_a_coarser_step_adds_up_and_takes_the_median_anew() -> None:
    span = [
        Second(4, 1, 2, 0, 10, ttfts=[5 * MS], itls=[]),
        Second(5, 1, 3, 1, 20, ttfts=[1 * MS, 2 * MS], itls=[]),
        Second(6, 1, 4, 0, 30),
    ]
    coarse = series.coarsen(span, 2)
    assert coarse == series.Series(
        step_seconds=2,
        in_flight=[5, 6],
        started=[2, 1],
        finished=[5, 4],
        errored=[1, 0],
        events=[30, 30],
        ttft_p50=[2.0, None],
        itl_p50=[None, None],
    )
    assert series.decode(series.encode(coarse)) == coarse


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=300), st.integers(60, 3000))
def test_the_step_doubles_until_it_fits_and_nothing_is_lost(events: list[int], budget: int) -> None:
    span = [Second(events=n, ttfts=[n * MS]) for n in events]
    data = series.fit(span, 1.0, lambda d: len(d) <= budget)
    if not data:
        coarsest = 1 << (len(events) - 1).bit_length()
        assert len(series.encode(series.coarsen(span, coarsest))) > budget
        return
    assert len(data) <= budget
    read = series.decode(data)
    assert sum(read.events) == sum(events)
    assert read.step_seconds == 1 or len(series.encode(series.coarsen(span, read.step_seconds // 2))) > budget


def test_its_columns_are_what_the_docs_say() -> None:
    """docs/results.md: what lies in clusters is read by them, also by other programs."""
    document = json.loads(zlib.decompress(series.encode(series.coarsen([Second(in_flight=2, events=5)], 1, 1.5))))
    assert document == {
        "format": 1, "stepSeconds": 1, "tokensPerEvent": 1.5, "inFlight": [2], "started": [0], "finished": [0],
        "errored": [0], "events": [5], "ttftP50": [None], "itlP50": [None],
    }  # fmt: skip


def test_an_empty_window_has_an_empty_series() -> None:
    assert series.fit([], 1.0, lambda _: True) == b""


def test_another_format_and_noise_are_refused() -> None:
    with pytest.raises(ValueError, match="not a series"):
        series.decode(b"noise")
    with pytest.raises(ValueError, match="not a series"):
        series.decode(zlib.compress(b"{}"))
    other = series.encode(series.coarsen([Second()], 1))
    raw = zlib.decompress(other).replace(b'"format":1', b'"format":7')
    with pytest.raises(ValueError, match="a series of format 7"):
        series.decode(zlib.compress(raw))
