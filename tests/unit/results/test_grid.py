"""The two-dimensional histogram against the plain list of pairs that it stands for."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.results import varint
from enginebench.results.grid import RELATIVE_ERROR, Grid
from enginebench.results.histogram import SchemeMismatchError

HOUR = 3_600_000_000_000
durations = st.integers(0, HOUR) | st.integers(0, 100) | st.integers(10_000_000, 10_100_000)
pairs = st.lists(st.tuples(durations, durations), max_size=60)


def of(values: list[tuple[int, int]]) -> Grid:
    grid = Grid()
    for ttft, tpot in values:
        grid.record(ttft, tpot)
    return grid


@given(pairs)
def test_every_pair_counts_in_the_cell_that_holds_it(values: list[tuple[int, int]]) -> None:
    found = list(of(values).cells())
    assert sum(count for _, _, count in found) == len(values)
    for (ttft_from, ttft_below), (tpot_from, tpot_below), count in found:
        inside = [1 for t, p in values if ttft_from <= t < ttft_below and tpot_from <= p < tpot_below]
        assert len(inside) == count
        for start, below in ((ttft_from, ttft_below), (tpot_from, tpot_below)):
            # Of whole nanoseconds the last one in the bucket is below - 1.
            assert (below - 1 - start) / 2 <= RELATIVE_ERROR * start <= 0.05 * start


@given(pairs, durations, durations)
def test_how_many_met_two_limits_is_bounded_from_both_sides(
    values: list[tuple[int, int]], ttft: int, tpot: int
) -> None:
    true = sum(t <= ttft and p <= tpot for t, p in values)
    least, most = of(values).within(ttft, tpot)
    assert least <= true <= most
    blurred = 1 + 2 * RELATIVE_ERROR
    assert most <= sum(t <= ttft * blurred and p <= tpot * blurred for t, p in values)
    assert least >= sum(t * blurred < ttft and p * blurred < tpot for t, p in values)


@given(st.lists(pairs, max_size=4))
def test_merged_shards_are_one_grid_that_saw_everything(shards: list[list[tuple[int, int]]]) -> None:
    merged = Grid()
    for shard in shards:
        merged.merge(Grid.from_bytes(of(shard).to_bytes()))
    whole = of([pair for shard in shards for pair in shard])
    assert merged.to_bytes() == whole.to_bytes()
    assert merged.samples == whole.samples


def test_its_bytes_are_what_the_docs_say() -> None:
    """docs/results.md: what lies in clusters is read by them, also by other programs."""
    data = of([(100, 0), (100, 0), (2000, 70)]).to_bytes()
    assert data[:4] == b"EBG\x01"
    in_64, in_1024 = 32 + 16, 32 + 5 * 16
    first, second = 1024 * (in_64 + (100 - 64) // 4), 1024 * (in_1024 + (2000 - 1024) // 64) + in_64 + (70 - 64) // 4
    assert zlib.decompress(data[4:]) == varint.pack([3, first, 2, second - first, 1])


def test_a_point_of_ten_thousand_requests_takes_few_bytes() -> None:
    grid = of(
        [(50_000_000 + (i * i * 7919) % 20_000_000, 10_000_000 + (i * 104_729) % 2_000_000) for i in range(10_000)]
    )
    assert len(grid.to_bytes()) < 300


def test_beyond_the_range_it_counts_in_the_last_bucket() -> None:
    grid = of([(1 << 50, 1 << 60)])
    [(ttft, tpot, count)] = grid.cells()
    assert (ttft, count) == (tpot, 1)
    assert Grid.from_bytes(grid.to_bytes()).to_bytes() == grid.to_bytes()


def test_another_scheme_is_refused() -> None:
    data = of([(5, 6)]).to_bytes()
    with pytest.raises(SchemeMismatchError, match="scheme 9; this version reads scheme 1"):
        Grid.from_bytes(data[:3] + b"\x09" + data[4:])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a TTFT x TPOT histogram"),
        (b"EBH\x01abc", "not a TTFT x TPOT histogram"),
        (b"EBG\x01notzlib", "damaged"),
        (b"EBG\x01" + zlib.compress(varint.pack([2, 5, 1])), "do not add up"),
        (b"EBG\x01" + zlib.compress(varint.pack([2, 5])), "damaged"),
        (b"EBG\x01" + zlib.compress(b""), "damaged"),
    ],
)
def test_what_is_none_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Grid.from_bytes(data)
