"""Drifts are found where there are some, and healthy runs of the simulated scheduler show none that matter."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest
from scipy import stats  # type: ignore[import-untyped]  # comes without stubs

from enginebench.results.histogram import Histogram
from enginebench.results.point_report import Drift
from enginebench.results.record import RequestRecord, Window
from enginebench.results.records import Records
from enginebench.results.seen import Seen
from enginebench.results.series import SECOND, Tick
from enginebench.results.stationarity import MOST_T, token_rate_drift, token_rate_error, ttft_drift
from enginebench.workflow.reasons import TOKEN_RATE_CHANGE, TOKEN_RATE_T, TTFT_CHANGE, TTFT_T


def seen(rates: Sequence[int], seconds: float | None = None) -> Seen:
    """So many events in each second of a window."""
    ticks = [Tick(in_flight=1, events=sum(rates[: n + 1])) for n in range(len(rates))]
    return Seen(Window(0, round((seconds or len(rates)) * SECOND)), Records(), Histogram(), ticks)


def requests(ttfts: Sequence[int]) -> list[RequestRecord]:
    """Requests that started one after another."""
    return [
        RequestRecord(start=n, tracked=True, first=n + ttft, end=n + ttft, outcome="succeeded")
        for n, ttft in enumerate(ttfts)
    ]


def matters(drift: Drift | None, most: float, significant: float) -> bool:
    return drift is not None and abs(drift.change) > most and abs(drift.t) > significant


def test_the_token_rate_is_compared_by_the_largest_of_students_t_over_all_cuts() -> None:
    rates = [100, 104, 98, 113, 101, 110, 113, 108, 115, 109]
    drift = token_rate_drift(seen(rates))
    assert drift is not None
    assert drift.change == pytest.approx((555 - 516) / 5 / 107.1)
    cuts = [stats.ttest_ind(rates[k:], rates[:k]).statistic for k in range(2, 9)]
    assert drift.t == pytest.approx(max(cuts, key=abs))
    assert drift.t != pytest.approx(cuts[3])  # it is not the cut in the middle


def test_the_error_of_the_token_rate_is_that_of_ten_batch_means() -> None:
    rates = [100, 96, 107, 99, 103, 101, 95, 110, 98, 104]
    found = token_rate_error(seen([rate for rate in rates for _ in range(3)]))
    assert found == pytest.approx(stats.sem(rates) / 101.3)
    assert token_rate_error(seen([100] * 10)) == 0.0


def test_batches_are_whole_seconds_as_equal_as_can_be() -> None:
    uneven = [7] * 23  # batches of two and of three seconds
    drift = token_rate_drift(seen(uneven))
    assert drift is not None
    assert (drift.change, drift.t) == (0.0, 0.0)
    assert token_rate_drift(seen([*uneven, 1], seconds=23.1)) == drift  # a second that was cut off
    shifted = token_rate_drift(seen([*uneven, 1], seconds=24.0))
    assert shifted is not None
    assert shifted.change < 0


@pytest.mark.parametrize("rates", [[], [5] * 9, [0] * 10])
def test_nothing_to_compare(rates: list[int]) -> None:
    assert token_rate_drift(seen(rates)) is None
    assert token_rate_error(seen(rates)) is None


def test_what_has_no_noise_has_a_t_that_json_can_carry() -> None:
    drift = token_rate_drift(seen([100] * 5 + [90] * 5))
    assert drift is not None
    assert drift.change == pytest.approx(-10 / 95)
    assert drift.t == -MOST_T


def test_the_slope_of_ttft_is_that_of_least_squares_through_the_medians_of_batches() -> None:
    random = Random(1)  # noqa: S311  # a test's noise
    ttfts = [round(50_000 + 40 * n + random.gauss(0, 9_000)) for n in range(305)]
    cuts = [305 * i // 10 for i in range(11)]
    medians = [sorted(ttfts[a:b])[(b - a + 1) // 2 - 1] for a, b in pairwise(cuts)]
    found, drift = stats.linregress(range(10), medians), ttft_drift(requests(ttfts))
    assert drift is not None
    assert drift.change == pytest.approx(9 * found.slope / (sum(medians) / 10))
    assert drift.t == pytest.approx(found.slope / found.stderr)
    assert matters(drift, TTFT_CHANGE, TTFT_T)


def test_the_order_is_that_of_the_starts() -> None:
    rising = requests([50_000 + 100 * n for n in range(300)])
    assert ttft_drift(rising[::-1]) == ttft_drift(rising)


def test_a_batch_whose_median_was_not_reached_ends_the_question() -> None:
    records = requests([50] * 300)
    assert ttft_drift(records) == Drift(change=0.0, t=0.0)
    for record in records[270:290]:
        record.first, record.outcome = 0, "open"
    assert ttft_drift(records) is None
    assert ttft_drift(records[:9]) is None


def test_a_queue_that_grows_and_an_engine_that_slows_down_are_seen() -> None:
    random = Random(2)  # noqa: S311  # a test's noise
    queue = requests([round(50e6 + 1e6 * n * random.uniform(0.5, 1.5)) for n in range(300)])
    assert matters(ttft_drift(queue), TTFT_CHANGE, TTFT_T)
    slower = [round(random.gauss(1000 if second < 30 else 950, 10)) for second in range(60)]
    assert matters(token_rate_drift(seen(slower)), TOKEN_RATE_CHANGE, TOKEN_RATE_T)
    late = [round(random.gauss(1000 if second < 42 else 800, 10)) for second in range(60)]
    assert matters(token_rate_drift(seen(late)), TOKEN_RATE_CHANGE, TOKEN_RATE_T)


def test_noise_alone_is_none() -> None:
    """Halves of random arrivals differ by far more than 3 %; the scatter of the batches says how little that means."""
    random, broken, alarms = Random(3), 0, 0  # noqa: S311  # a test's noise
    for _ in range(300):
        drift = token_rate_drift(seen([max(0, round(random.gauss(1000, 180))) for _ in range(20)]))
        assert drift is not None
        broken += abs(drift.change) > TOKEN_RATE_CHANGE
        alarms += matters(drift, TOKEN_RATE_CHANGE, TOKEN_RATE_T)
        alarms += matters(
            ttft_drift(requests([round(random.expovariate(1e-6)) for _ in range(300)])), TTFT_CHANGE, TTFT_T
        )
    assert broken > 150
    assert alarms <= 3  # 0.1 % of 600 tests
