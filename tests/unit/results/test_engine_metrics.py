"""The engine's own metrics over a window, beside ours, and as a series within a budget of bytes."""

import pytest

from enginebench.results import engine_metrics
from enginebench.results.engine_metrics import Scrape, Scraped
from enginebench.results.histogram import Histogram
from enginebench.results.point_report import EngineMetrics
from enginebench.results.record import RequestRecord, Window
from enginebench.results.records import Records
from enginebench.results.seen import Seen
from enginebench.results.series import Tick

SECOND = 1_000_000_000
MS = SECOND // 1000
OPEN = 100 * SECOND


def seen(seconds: int, *records: RequestRecord, gaps_a_second: int = 100, gap: int = 10 * MS) -> Seen:
    ticks = [Tick(1, 0, n * gaps_a_second, n * gaps_a_second * gap) for n in range(1, seconds + 1)]
    return Seen(window=Window(OPEN, OPEN + seconds * SECOND), records=Records(records), gaps=Histogram(), ticks=ticks)


def scrape(second: float, **values: float) -> Scrape:
    return Scrape(OPEN + round(second * SECOND), values)


def test_means_are_differences_of_sums_over_differences_of_counts() -> None:
    scraped = Scraped(
        {"ttft": "vllm:time_to_first_token_seconds"},
        (
            scrape(0, running=1, waiting=0, ttftSum=10.0, ttftCount=100, itlSum=5.0, itlCount=500, prefixQueries=50, prefixHits=40),
            scrape(5, running=3, waiting=8, ttftSum=11.0, ttftCount=110, itlSum=6.0, itlCount=600, prefixQueries=80, prefixHits=41),
            scrape(10, running=2, waiting=4, ttftSum=16.0, ttftCount=120, itlSum=8.0, itlCount=700, prefixQueries=90, prefixHits=50),
        ),
    )  # fmt: skip
    found = engine_metrics.summary(scraped, seen(10))
    assert (found.scrapes, found.seconds, found.unobserved) == (3, 10.0, "")
    assert (found.running_mean, found.running_max) == (2.0, 3)
    assert (found.waiting_mean, found.waiting_max) == (4.0, 8)
    assert found.ttft_count == 20
    assert found.ttft_mean == pytest.approx(300.0)
    assert found.itl_count == 200
    assert found.itl_mean == pytest.approx(15.0)
    assert found.prefix_cache_hit_rate == pytest.approx(0.25)
    assert found.kv_cache_usage_mean is found.preemptions is None


def test_our_means_are_of_the_same_span_whatever_request_they_belong_to() -> None:
    records = [
        RequestRecord(start=OPEN - 500 * MS, first=OPEN + 500 * MS),  # its first content came before the first scrape
        RequestRecord(start=OPEN - 500 * MS, first=OPEN + 1500 * MS),  # from before the window: it counts
        RequestRecord(start=OPEN, sent=OPEN + 900 * MS, first=OPEN + 1900 * MS, tracked=True),  # due, but sent later
        RequestRecord(start=OPEN + 5000 * MS, first=OPEN + 9500 * MS, tracked=True),  # after the last scrape
        RequestRecord(start=OPEN + 5000 * MS, tracked=True),
    ]
    scraped = Scraped({}, (scrape(1, ttftCount=0, ttftSum=0), scrape(9.25, ttftCount=2, ttftSum=3)))
    found = engine_metrics.summary(scraped, seen(10, *records))
    assert found.own_ttft_count == 2
    assert found.own_ttft_mean == pytest.approx(1500.0)
    assert found.own_gap_count == 825
    assert found.own_gap_mean == pytest.approx(10.0)


def test_gaps_after_the_last_tick_go_on_as_before() -> None:
    scraped = Scraped({}, (scrape(0, itlCount=0, itlSum=0), scrape(10.04, itlCount=1, itlSum=1)))
    assert engine_metrics.summary(scraped, seen(10)).own_gap_count == 1004


def test_a_counter_that_went_backwards_says_nothing_of_the_span() -> None:
    scraped = Scraped({}, (scrape(0, running=1, itlCount=9, itlSum=9), scrape(10, running=1, itlCount=3, itlSum=3)))
    found = engine_metrics.summary(scraped, seen(10))
    assert found.running_mean == 1
    assert found.itl_count is found.own_gap_count is found.own_ttft_count is None


@pytest.mark.parametrize(
    ("scraped", "why"),
    [
        (Scraped(unobserved="HTTP 404", failed=3), "HTTP 404"),
        (Scraped({}, (scrape(20, running=1),)), "its /metrics did not answer"),  # long after the window
    ],
)
def test_nothing_scraped_is_said(scraped: Scraped, why: str) -> None:
    assert engine_metrics.summary(scraped, seen(10)) == EngineMetrics(unobserved=why, failed_scrapes=scraped.failed)
    assert engine_metrics.fit(scraped, seen(10), lambda _: True) == b""


def test_a_series_grows_coarser_until_it_fits() -> None:
    values = (
        {"running": n % 7, "promptTokens": 100.0 * n, "ttftCount": 2 * n, "ttftSum": n * n / 1000} for n in range(61)
    )
    scraped = Scraped({}, tuple(scrape(5 * n, **one) for n, one in enumerate(values)))
    whole = engine_metrics.decode(engine_metrics.fit(scraped, seen(300), lambda _: True))
    assert (whole.step_seconds, len(whole.seconds)) == (5, 60)
    assert whole.columns["running"][:3] == [1, 2, 3]
    assert set(whole.columns["promptTokens"]) == {100.0}
    assert whole.columns["ttft"][0] == pytest.approx(0.5)
    assert "waiting" not in whole.columns
    coarse = engine_metrics.fit(scraped, seen(300), lambda data: len(engine_metrics.decode(data).seconds) < 20)
    found = engine_metrics.decode(coarse)
    assert (found.step_seconds, len(found.seconds), found.seconds[-1]) == (20, 15, 300.0)
    assert set(found.columns["promptTokens"]) == {400.0}
    assert engine_metrics.fit(scraped, seen(300), lambda _: False) == b""


def test_bytes_of_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match="not a series"):
        engine_metrics.decode(b"{}")
