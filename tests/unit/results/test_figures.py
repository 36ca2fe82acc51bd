"""Each figure by hand on small populations, and the estimator against its textbook form."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter  # type: ignore[import-untyped]  # it has none

from enginebench.results import figures
from enginebench.results.figures import Sample, Tokens
from enginebench.results.point_report import Censored, Figure
from enginebench.results.record import RequestRecord, Window

MS = 1_000_000
SECOND = 1000 * MS
WINDOW = Window(10 * SECOND, 20 * SECOND)
ONE_EACH = Tokens("events", 1.0)


def done(start_ms: int, first_ms: int, last_ms: int, *, tokens: int | None = None, events: int = 11) -> RequestRecord:
    """A finished request by its instants, milliseconds after the window opened."""
    at = WINDOW.open
    return RequestRecord(
        start=at + start_ms * MS,
        first=at + first_ms * MS,
        last=at + last_ms * MS,
        end=at + last_ms * MS + 1,
        events=events,
        events_in_window=events,
        output_tokens=tokens,
        outcome="succeeded",
        tracked=True,
    )


def test_ttft_counts_the_finished_the_failed_after_a_token_and_the_open_but_not_the_failed_before_one() -> None:
    failed_early = RequestRecord(start=WINDOW.open, end=WINDOW.open + 5, outcome="errored")
    failed_late = done(0, 70, 80)
    failed_late.outcome = "errored"
    open_with_token = RequestRecord(start=WINDOW.open, first=WINDOW.open + 90 * MS, end=WINDOW.close)
    waiting = RequestRecord(start=WINDOW.open + 5 * SECOND, end=WINDOW.close)
    records = [done(100, 150, 250), failed_early, failed_late, open_with_token, waiting]
    sample = figures.ttft(records)
    assert sample == Sample(observed=[50 * MS, 70 * MS, 90 * MS], censored=[5 * SECOND])


def test_the_first_output_token_waits_for_the_reasoning_to_end() -> None:
    straight, thoughtful = done(100, 150, 250), done(100, 150, 250)
    straight.first_output, thoughtful.first_output = straight.first, thoughtful.first + 40 * MS
    only_thought = done(0, 50, 90)
    thinking = RequestRecord(start=WINDOW.open, first=WINDOW.open + 5, end=WINDOW.close)
    waiting = RequestRecord(start=WINDOW.open + 5 * SECOND, end=WINDOW.close)
    failed = RequestRecord(start=WINDOW.open, end=WINDOW.open + 5, outcome="errored")
    records = [straight, thoughtful, only_thought, thinking, waiting, failed]
    sample = figures.time_to_first_output_token(records)
    assert sample == Sample(observed=[50 * MS, 90 * MS], censored=[10 * SECOND, 5 * SECOND])
    assert figures.time_to_first_output_token([straight, waiting, failed]) is None


def test_ttft_against_tpot_has_the_finished_ones_pair_by_pair() -> None:
    single = done(0, 30, 30, tokens=1, events=1)
    unfinished = RequestRecord(start=WINDOW.open, first=WINDOW.open + 5, last=WINDOW.open + 9, events=2)
    records = [done(0, 50, 150, tokens=11), done(0, 200, 210, tokens=2), single, unfinished]
    grid = figures.ttft_against_tpot(records, figures.tokens(records))
    assert grid.samples == 3
    assert grid.within(60 * MS, 12 * MS) == (2, 2)
    assert grid.within(60 * MS, 1 * MS) == (1, 1)
    assert grid.within(250 * MS, 12 * MS) == (3, 3)


def test_latency_counts_to_the_last_content_and_leaves_failures_out() -> None:
    failed = RequestRecord(start=WINDOW.open, first=WINDOW.open + 1, end=WINDOW.open + 5, outcome="errored")
    half_way = RequestRecord(start=WINDOW.open, first=WINDOW.open + 1, last=WINDOW.open + 2, end=WINDOW.close, events=2)
    sample = figures.request_latency([done(0, 50, 150), failed, half_way])
    assert sample == Sample(observed=[150 * MS], censored=[10 * SECOND])


def test_itl_is_weighted_by_its_intervals_and_tpot_is_not() -> None:
    slow_short = done(0, 0, 100, tokens=2)  # 100 ms, one interval
    quick_long = done(0, 0, 1000, tokens=101)  # 10 ms, a hundred
    no_interval = done(0, 0, 0, tokens=1, events=1)
    records = [slow_short, quick_long, no_interval]
    counted = figures.tokens(records)
    itl, tpot = figures.itl(records, counted), figures.tpot(records, counted)
    assert itl == [(100 * MS, 1), (10 * MS, 100)]
    assert tpot == [(100 * MS, 1), (10 * MS, 1)]
    mean = 1100 * MS / 101 / 1e6
    wanted = Figure(count=2, p50=10.0, p90=10.0, p95=10.0, p99=10.0, mean=mean, censored=3)
    assert figures.weighted_figure(itl, 3) == wanted
    assert figures.weighted_figure(tpot, 0).p90 == 100.0
    histogram = figures.histogram_of(itl)
    assert (histogram.samples, histogram.weight, histogram.total) == (2, 101, 100 * MS + 100 * 10 * MS)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=50))
def test_a_weight_is_as_many_values(values: list[tuple[int, int]]) -> None:
    one_by_one = sorted(value for value, weight in values for _ in range(weight))
    figure = figures.weighted_figure(values, 0)
    for percent, got in ((50, figure.p50), (90, figure.p90), (95, figure.p95), (99, figure.p99)):
        assert got == one_by_one[max(1, -(-percent * len(one_by_one) // 100)) - 1] / 1e6


def test_tokens_are_the_servers_if_it_counted_every_finished_request() -> None:
    records = [done(0, 1, 2, tokens=20, events=10), done(0, 1, 2, tokens=40, events=20), RequestRecord(start=1)]
    assert figures.tokens(records) == Tokens("usage", 2.0)
    half = RequestRecord(start=1, events=5, events_in_window=5)
    assert figures.tokens(records).of(half) == 10


def test_tokens_are_events_as_soon_as_one_finished_request_lacks_a_count() -> None:
    records = [done(0, 1, 2, tokens=20, events=10), done(0, 1, 2, events=20)]
    counted = figures.tokens(records)
    assert counted == Tokens("events", 1.0)
    assert [counted.of(r) for r in records] == [10, 20]


def test_rates_book_what_happened_in_the_window_whenever_it_was_started() -> None:
    before = done(-500, -100, 300, tokens=22, events=11)
    before.events_in_window = 5
    across = RequestRecord(start=WINDOW.close - MS, first=WINDOW.close - 1, last=WINDOW.close + SECOND, events=30)
    across.events_in_window, across.outcome, across.end = 10, "succeeded", WINDOW.close + SECOND
    across.output_tokens = 60
    never = RequestRecord(start=WINDOW.open, first=WINDOW.open, last=WINDOW.open, events=4, events_in_window=4)
    records = [before, across, never]
    counted = figures.tokens(records)
    assert figures.requests_per_second(records, WINDOW) == 0.1
    assert counted.per_event == 2.0
    assert figures.output_tokens_per_second(records, WINDOW, counted) == pytest.approx((10 + 20 + 8) / 10)
    assert figures.tokens_estimated(records, counted) == pytest.approx(8 / 38)
    never.output_tokens = 9  # by usage with each event
    assert figures.output_tokens_per_second(records, WINDOW, counted) == pytest.approx((10 + 20 + 9) / 10)
    assert figures.tokens_estimated(records, counted) == 0.0


def test_where_events_count_as_tokens_all_of_them_are_estimated() -> None:
    records = [done(0, 10, 20), done(0, 10, 20, tokens=99)]
    assert figures.tokens_estimated(records, figures.tokens(records)) == 1.0
    assert figures.tokens_estimated([], ONE_EACH) == 0.0


def test_total_tokens_take_prompts_in_when_their_first_content_came() -> None:
    known, unknown, early = done(0, 10, 20), done(0, 10, 20), done(-20, -10, 20)
    known.prompt_tokens, early.prompt_tokens = 100, 300
    records = [known, unknown, early]
    output = figures.output_tokens_per_second(records, WINDOW, ONE_EACH)
    assert figures.total_tokens_per_second(records, WINDOW, ONE_EACH) == pytest.approx(output + (100 + 200) / 10)
    assert figures.total_tokens_per_second([unknown], WINDOW, ONE_EACH) is None


durations = st.integers(0, 40)


@given(st.lists(durations, min_size=1, max_size=400))
def test_without_censoring_the_estimate_is_the_nearest_rank(observed: list[int]) -> None:
    ordered = sorted(observed)
    wanted = {p: ordered[max(1, -(-p * len(ordered) // 100)) - 1] for p in figures.PERCENTS}
    assert figures.kaplan_meier(Sample(observed, [])) == wanted


@given(st.lists(durations, max_size=60), st.lists(durations, max_size=60))
def test_with_censoring_it_is_the_product_limit_in_exact_fractions(observed: list[int], censored: list[int]) -> None:
    found = figures.kaplan_meier(Sample(observed, censored))
    if not observed and not censored:
        assert found == {}
        return
    for percent in figures.PERCENTS:
        survival, wanted = Fraction(1), None
        for t in sorted(set(observed)):
            at_risk = sum(v >= t for v in observed) + sum(v >= t for v in censored)
            survival *= 1 - Fraction(observed.count(t), at_risk)
            if survival <= 1 - Fraction(percent, 100):
                wanted = t
                break
        got = found[percent]
        if wanted is None:
            assert isinstance(got, Censored)
            assert got.at_least >= max(observed, default=0)
        else:
            assert got == wanted


@given(st.lists(durations, min_size=1, max_size=150), st.lists(durations, max_size=150))
@settings(max_examples=60)
def test_with_censoring_it_is_what_lifelines_finds(observed: list[int], censored: list[int]) -> None:
    fitter = KaplanMeierFitter()
    fitter.fit(observed + censored, event_observed=[1] * len(observed) + [0] * len(censored))
    survival = fitter.survival_function_["KM_estimate"]
    found = figures.kaplan_meier(Sample(observed, censored))
    for percent, got in found.items():
        reached = survival[survival <= 1 - percent / 100 + 1e-9]  # either comes from a product of floats
        if isinstance(got, Censored):
            assert reached.empty
        else:
            assert got == reached.index[0]


@given(st.lists(durations, max_size=60), st.lists(durations, max_size=60), durations)
def test_a_bound_never_claims_more_than_what_the_open_ones_will_show(
    observed: list[int], censored: list[int], later: int
) -> None:
    """Let every open request end when it likes: the order of the bounds stays, and no bound shrinks with p."""
    found = figures.kaplan_meier(Sample(observed, censored))
    bounds = [v.at_least if isinstance(v, Censored) else v for v in found.values()]
    assert bounds == sorted(bounds)
    for percent, got in found.items():
        if isinstance(got, Censored) and got.at_least > max(observed, default=-1):
            ended = sorted(observed + [value + later for value in censored])
            assert got.at_least <= ended[max(1, -(-percent * len(ended) // 100)) - 1]


def test_a_figure_with_open_members_has_bounds_and_no_mean() -> None:
    sample = Sample([MS * i for i in range(1, 81)], [200 * MS] * 20)
    assert figures.censored_figure(sample) == Figure(
        count=100,
        p50=50.0,
        p90=Censored(at_least=200.0),
        p95=Censored(at_least=200.0),
        p99=Censored(at_least=200.0),
        censored=20,
    )


def test_a_figure_of_nothing_is_its_count() -> None:
    assert figures.censored_figure(Sample([], [])) == Figure(count=0)
    assert figures.weighted_figure([], 0) == Figure(count=0)
    assert figures.histogram_figure(figures.histogram_of([])) == Figure(count=0)


def test_a_figure_of_a_histogram_is_within_its_error() -> None:
    figure = figures.histogram_figure(figures.histogram_of([10 * MS] * 99 + [20 * MS]))
    assert (figure.count, figure.mean) == (100, 10.1)
    assert figure.p99 == pytest.approx(10.0, rel=0.004)
