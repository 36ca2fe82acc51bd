"""Intervals within one point: they cover what they should where neighbours depend on each other, and know their bounds."""

from collections.abc import Sequence
from itertools import accumulate
from random import Random
from statistics import mean

import pytest

from enginebench.results.bootstrap import LEAST_BLOCKS, MOST_REQUESTS, Draw, within_point
from enginebench.results.figures import Tokens
from enginebench.results.point_report import Span, WithinPoint
from enginebench.results.record import RequestRecord, Window
from enginebench.results.series import Second

MS, SECOND = 1_000_000, 1_000_000_000
ONE_EACH = Tokens("events", 1.0)


def drawing(seed: int) -> Draw:
    random = Random(seed)  # noqa: S311  # nothing secret hangs on it
    return lambda places, count: random.choices(places, k=count)


def request(start: int, ttft: int = 50 * MS, itl: int = 10 * MS, tokens: int = 11) -> RequestRecord:
    last = start + ttft + itl * (tokens - 1)
    return RequestRecord(
        start=start, tracked=True, first=start + ttft, last=last, end=last, events=tokens, outcome="succeeded"
    )


def found(
    requests: Sequence[RequestRecord] = (), rates: Sequence[int] = (), seconds: int = 0, seed: int = 0
) -> WithinPoint | None:
    window = Window(0, (seconds or len(rates)) * SECOND)
    return within_point(requests, [Second(events=n) for n in rates], window, ONE_EACH, drawing(seed))


def uniform(count: int) -> list[float]:
    random = Random(5)  # noqa: S311  # as above
    return [random.uniform(40, 60) for _ in range(count)]


def wandering(seed: int, seconds: int) -> list[int]:
    """Rates around 1000, of which each is the nearer to the one before: an autoregression of 0.6."""
    random = Random(seed)  # noqa: S311  # nothing secret hangs on it
    noise = accumulate((random.gauss(0, 40) for _ in range(seconds)), lambda before, new: 0.6 * before + new)
    return [round(1000 + value) for value in noise]


def test_where_neighbours_depend_on_each_other_the_interval_is_as_wide_as_that_makes_it() -> None:
    """Nearly 95 % of such intervals hold the true rate. Of seconds drawn singly, as if they were independent, it would
    be two thirds."""
    slow = [request(0, ttft=4 * SECOND, itl=100 * MS)]  # two answers: ten seconds
    spans = [made.output_tokens_per_second for seed in range(200) if (made := found(slow, wandering(seed, 300)))]
    held = mean(span is not None and span.low <= 1000 <= span.high for span in spans)
    assert len(spans) == 200
    assert 0.87 <= held <= 0.98
    hasty = [request(0, ttft=1 * MS, itl=1)]  # a block is the cube root of 300 then: seven seconds
    narrow = found(hasty, wandering(1, 300))
    wide = found(slow, wandering(1, 300))
    assert narrow is not None
    assert wide is not None
    assert (narrow.block_seconds, wide.block_seconds) == (7, 10)


def test_percentiles_are_weighted_as_the_figures_are_and_in_milliseconds() -> None:
    ttfts = [round(value * MS) for value in uniform(500)]
    requests = [request(i * 10 * MS, ttft) for i, ttft in enumerate(ttfts[:400])]
    requests += [request((400 + i) * 10 * MS, ttft, itl=30 * MS, tokens=3) for i, ttft in enumerate(ttfts[400:])]
    within = found(requests, seconds=5)
    assert within is not None
    assert (within.method, within.resamples) == ("MovingBlockBootstrap", 400)
    assert within.ttft_p50 is not None
    assert within.ttft_p99 is not None
    assert 45 < within.ttft_p50.low < 50 <= within.ttft_p50.high < 55
    assert 59 < within.ttft_p99.low <= within.ttft_p99.high <= 60
    assert within.itl_p50 == Span(low=10, high=10), "400 answers of ten intervals outweigh 100 of two"
    assert within.output_tokens_per_second is None, "there are no seconds"


def test_the_same_values_have_the_same_interval() -> None:
    requests = [request(i * 10 * MS, ttft=(40 + i % 7) * MS) for i in range(500)]
    assert found(requests, seconds=5) == found(requests, seconds=5)


@pytest.mark.parametrize("seconds", [10 * LEAST_BLOCKS - 1, 10 * LEAST_BLOCKS])
def test_too_few_blocks_have_no_interval(seconds: int) -> None:
    slow = [request(0, ttft=4 * SECOND, itl=100 * MS)]
    assert (found(slow, [1000] * seconds) is not None) is (seconds == 10 * LEAST_BLOCKS)


def test_latencies_of_which_some_are_not_known_have_none() -> None:
    requests = [request(i * 10 * MS) for i in range(500)]
    requests.append(RequestRecord(start=0, tracked=True, end=9 * SECOND))
    within = found(requests, [1000] * 100)
    assert within is not None
    assert within.output_tokens_per_second == Span(low=1000, high=1000)
    assert within.ttft_p50 is within.itl_p50 is None


def test_few_and_very_many_requests() -> None:
    few = found([request(i * 10 * MS) for i in range(299)], seconds=30)
    assert few is not None
    assert few.ttft_p50 is not None
    assert few.ttft_p99 is None, "which wants 300"
    assert found([request(i) for i in range(29)], seconds=30) is None
    assert found([request(i) for i in range(MOST_REQUESTS + 1)], seconds=30) is None
    assert found([], [1000] * 30) is None, "how long an answer takes is not known"
