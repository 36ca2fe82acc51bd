"""The histogram against the plain list of values that it stands for."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.results import varint
from enginebench.results.histogram import LIMIT, RELATIVE_ERROR, Histogram, SchemeMismatchError

HOUR = 3_600_000_000_000
durations = st.integers(0, HOUR) | st.integers(900, 1100) | st.integers(10_000_000, 10_100_000)
PERCENTS = (1, 50, 90, 95, 99, 100)


def of(values: list[int], weights: list[int] | None = None) -> Histogram:
    histogram = Histogram()
    for value, weight in zip(values, weights or [1] * len(values), strict=True):
        histogram.record(value, weight)
    return histogram


def nearest_rank(values: list[int], percent: int) -> int:
    return sorted(values)[max(1, -(-percent * len(values) // 100)) - 1]


def state(histogram: Histogram) -> tuple[object, ...]:
    return histogram.to_bytes(), histogram.samples, histogram.weight, histogram.total


@given(st.lists(durations, min_size=1, max_size=300))
def test_quantiles_are_within_half_a_percent_and_the_rest_is_exact(values: list[int]) -> None:
    histogram = of(values)
    assert (histogram.samples, histogram.weight, histogram.total) == (len(values), len(values), sum(values))
    assert (histogram.minimum, histogram.maximum) == (min(values), max(values))
    assert histogram.mean() == sum(values) / len(values)
    for percent in PERCENTS:
        true = nearest_rank(values, percent)
        got = histogram.quantile(percent)
        assert got is not None
        assert abs(got - true) <= RELATIVE_ERROR * true <= 0.005 * true


@given(st.lists(st.tuples(durations, st.integers(1, 300)), min_size=1, max_size=60))
def test_a_weight_is_as_many_samples(weighted: list[tuple[int, int]]) -> None:
    values, weights = [v for v, _ in weighted], [w for _, w in weighted]
    one_by_one = of([v for v, w in weighted for _ in range(w)])
    histogram = of(values, weights)
    assert histogram.samples == len(weighted)
    assert (histogram.weight, histogram.total) == (one_by_one.weight, one_by_one.total)
    assert [histogram.quantile(p) for p in PERCENTS] == [one_by_one.quantile(p) for p in PERCENTS]


@given(st.lists(st.lists(durations, max_size=80), max_size=5))
def test_merged_shards_are_one_histogram_that_saw_everything(shards: list[list[int]]) -> None:
    merged = Histogram()
    for shard in shards:
        merged.merge(Histogram.from_bytes(of(shard).to_bytes()))
    assert state(merged) == state(of([value for shard in shards for value in shard]))


@given(st.lists(durations, max_size=200))
def test_bytes_and_back(values: list[int]) -> None:
    histogram = of(values)
    back = Histogram.from_bytes(histogram.to_bytes())
    assert state(back) == state(histogram)
    assert (back.minimum, back.maximum) == (histogram.minimum, histogram.maximum)


def test_its_bytes_are_what_the_docs_say() -> None:
    """docs/results.md: what lies in clusters is read by them, also by other programs."""
    data = of([5, 1000, 1000, 3_000_000], [1, 1, 1, 2]).to_bytes()
    assert data[:4] == b"EBH\x01"
    in_512, in_2_to_the_21 = 256 + 128 + (1000 - 512) // 4, 256 + 13 * 128 + (3_000_000 - 2**21) // 2**14
    assert zlib.decompress(data[4:]) == varint.pack(
        [4, 5, 6_002_005, 6, 3_000_001, 5, 1, in_512 - 5, 2, in_2_to_the_21 - in_512, 2]
    )


def test_a_hundred_thousand_samples_take_few_bytes() -> None:
    histogram = of([10_000_000 + (i * i * 7919) % 3_000_000 for i in range(100_000)])
    assert len(histogram.to_bytes()) < 400


def test_beyond_the_range_the_sum_and_the_maximum_stay_exact() -> None:
    histogram = of([1, 5 * LIMIT])
    assert histogram.maximum == 5 * LIMIT
    assert histogram.total == 5 * LIMIT + 1
    assert histogram.quantile(99) == pytest.approx(LIMIT, rel=RELATIVE_ERROR)


def test_an_empty_one_has_no_quantiles() -> None:
    assert Histogram().quantile(50) is None
    assert Histogram().mean() is None


def test_another_scheme_is_refused() -> None:
    data = of([5]).to_bytes()
    with pytest.raises(SchemeMismatchError, match="histogram of scheme 9; this version reads scheme 1"):
        Histogram.from_bytes(data[:3] + b"\x09" + data[4:])


@pytest.mark.parametrize("data", [b"", b"EBH", b"XXX\x01abc", b"EBH\x01notzlib"])
def test_what_is_no_histogram_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="histogram"):
        Histogram.from_bytes(data)


@given(st.lists(st.integers(0, 1 << 80)))
def test_varints_come_back(numbers: list[int]) -> None:
    assert list(varint.unpack(varint.pack(numbers))) == numbers


def test_varints_are_leb128() -> None:
    assert varint.pack([0, 127, 128, 624_485]) == b"\x00\x7f\x80\x01\xe5\x8e\x26"


def test_varints_refuse_what_they_cannot_say() -> None:
    with pytest.raises(ValueError, match="negative"):
        varint.pack([-1])
    with pytest.raises(ValueError, match="cut off"):
        list(varint.unpack(b"\x80"))
