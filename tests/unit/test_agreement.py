"""How the tests of real engines hold two load generators against each other."""

import pytest

from tests.support.agreement import agree, in_words, ratio, spread


@pytest.mark.parametrize(
    ("ones", "others", "agreed"),
    [
        ([20.0, 20.1, 20.2], [20.2, 20.3, 20.1], True),
        ([20.0, 20.1, 20.2], [21.0, 21.1, 21.2], True),  # within 5 %
        ([20.0, 20.1, 20.2], [22.0, 22.1, 22.2], False),
        ([22.0, 22.1, 22.2], [20.0, 20.1, 20.2], False),
        ([20.0, 26.0, 22.0], [27.0, 24.0, 30.0], True),  # wide intervals overlap
        ([20.0, 20.2], [22.0, 22.2], False),
        ([2.0, 2.01, 2.02], [2.5, 2.51, 2.49], True),  # within half a millisecond
        ([2.0, 2.01, 2.02], [2.7, 2.71, 2.69], False),
    ],
)
def test_intervals_that_are_apart_do_not_agree(ones: list[float], others: list[float], agreed: bool) -> None:
    assert agree(ones, others) is agreed


def test_the_ratio_has_an_interval_that_both_sides_widen() -> None:
    middle, low, high = ratio([20.0, 20.1, 19.9], [22.0, 22.1, 21.9])
    assert middle == pytest.approx(1.1, rel=0.001)
    assert 1.07 < low < middle < high < 1.13
    assert ratio([20.0, 20.0], [22.0, 22.0]) == pytest.approx((1.1, 1.1, 1.1))
    _, wide_low, wide_high = ratio([18.0, 20.0, 22.0], [22.0, 22.1, 21.9])
    assert wide_low < low
    assert high < wide_high
    inverse = ratio([22.0, 22.1, 21.9], [20.0, 20.1, 19.9])
    assert inverse == pytest.approx((1 / middle, 1 / high, 1 / low))


def test_in_words() -> None:
    assert spread([20.0, 21.0, 20.5]) == pytest.approx(0.05)
    assert in_words([20.0, 20.0], [22.0, 22.0], "GuideLLM 0.8.1") == (
        "EngineBench (A) 20, 20 ms, GuideLLM 0.8.1 (B) 22, 22 ms; A against A 0.0%, B against B 0.0%; "
        "B ÷ A 1.100 (1.100 to 1.100)"
    )
    assert in_words([20.0], [], "GuideLLM 0.8.1") == (
        "EngineBench (A) 20 ms, GuideLLM 0.8.1 (B) none: nothing to compare"
    )
