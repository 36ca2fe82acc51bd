"""Every kind of figure, as a user reads it."""

import pytest

from demo.figures import arrived, bound, key, median, number, row, tail, validity
from enginebench.api.v1alpha1 import AtLeast, PercentileStatus, PointLoad, PointStatus


def a_point(**fields: object) -> PointStatus:
    return PointStatus(
        **{"target": "vllm-sim", "attempt": 1, "index": 0, "load": PointLoad(concurrency=1), **fields}  # type: ignore[arg-type]  # a test names any field
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (1.234, "1.23"),
        (12.0, "12.0"),
        (99.97, "100"),
        (793.1, "793"),
        (12345.6, "12346"),
    ],
)
def test_number_has_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert number(value) == text


def test_censored_figure_is_a_lower_bound() -> None:
    assert bound(AtLeast(at_least=812.4)) == "≥ 812"


def test_absent_figure_is_no_number() -> None:
    assert bound(None) == "-"
    for show in (median, tail):
        assert show(None) == "-"
        assert show(PercentileStatus(count=5)) == "-"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (20, "40.0 (max of 20)"),
        (99, "40.0 (max of 99)"),
        (100, "40.0 (of 100)"),  # by nearest rank the second largest
        (299, "40.0 (of 299)"),
        (300, "40.0"),
    ],
)
def test_p99_of_too_few_samples_says_of_how_many(count: int, text: str) -> None:
    assert tail(PercentileStatus(count=count, p99=40.0)) == text


@pytest.mark.parametrize(("count", "text"), [(1, "40.0*"), (29, "40.0*"), (30, "40.0")])
def test_median_of_too_few_samples_is_marked(count: int, text: str) -> None:
    assert median(PercentileStatus(count=count, p50=40.0)) == text


def test_censored_percentile_of_too_few_samples_says_both() -> None:
    figure = PercentileStatus(count=40, p99=AtLeast(at_least=5000.0), censored=12)
    assert tail(figure) == "≥ 5000 (max of 40)"


def test_validity_names_its_reasons() -> None:
    assert validity(a_point(validity="Valid")) == "Valid"
    assert validity(a_point(validity="Limited", reasons=["Censored", "TooFewSamples"])) == (
        "Limited: Censored, TooFewSamples"
    )


def test_row_has_a_cell_for_every_heading() -> None:
    made = row(
        a_point(
            load=PointLoad(concurrency=64),
            validity="Valid",
            requests_per_second=10.07,
            output_tokens_per_second=793.1,
            ttft_milliseconds=PercentileStatus(count=3021, p50=31.0, p99=80.04),
            itl_milliseconds=PercentileStatus(count=3021, p50=12.34, p99=19.0),
        )
    )
    assert made.cells == ("64", "10.1", "793", "31.0", "80.0", "12.3", "19.0", "Valid")


def test_points_arrive_once() -> None:
    first, second = a_point(index=0), a_point(index=1)
    again = a_point(index=0, attempt=2)
    assert arrived([first, second, again], {key(first)}) == [second, again]


@pytest.mark.parametrize(("rate", "shown"), [(0.5, "0.5/s"), (10.0, "10/s"), (1250.0, "1250/s")])
def test_a_rate_is_no_number_of_users(rate: float, shown: str) -> None:
    assert row(a_point(load=PointLoad(request_rate=rate))).cells[0] == shown
