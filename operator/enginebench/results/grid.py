"""TTFT against TPOT, request by request: a sparse, mergeable histogram in two dimensions.

From it the share of requests that would have met both of two later objectives can be told, which two separate
histograms cannot tell. Buckets are log-linear as in `results.histogram`, but coarser: every power of two in 16 equal
parts, so that a bucket's middle is at most 1/32 (3.1 %) off. Merging adds cell by cell and is exact.

Own code: no library has a sparse two-dimensional histogram with bytes that can be merged.
"""

import zlib
from collections.abc import Iterator
from typing import Self

from enginebench.results import varint
from enginebench.results.histogram import SchemeMismatchError

SCHEME = 1
"""Version of cells and bytes; what another version wrote is refused."""
RELATIVE_ERROR = 1 / 32
"""Of either duration, at most."""

_MAGIC = b"EBG"
_COLUMNS = 1024
"""More than there are buckets: 73 minutes end at bucket 623."""
_LAST = (1 << 42) - 1


class Grid:
    """Counts of requests by TTFT and TPOT, integer nanoseconds."""

    __slots__ = ("_cells", "samples")

    def __init__(self) -> None:
        self._cells: dict[int, int] = {}
        self.samples = 0

    def record(self, ttft: int, tpot: int) -> None:
        """Count one request. What is longer than 73 minutes counts in the last bucket."""
        cell = _bucket(ttft) * _COLUMNS + _bucket(tpot)
        self._cells[cell] = self._cells.get(cell, 0) + 1
        self.samples += 1

    def merge(self, other: "Grid") -> None:
        """Take in what the other one has counted; exact."""
        for cell, count in other._cells.items():
            self._cells[cell] = self._cells.get(cell, 0) + count
        self.samples += other.samples

    def within(self, ttft: int, tpot: int) -> tuple[int, int]:
        """How many requests were within both limits (nanoseconds, inclusive): at least, at most."""
        least = most = 0
        for (ttft_from, ttft_below), (tpot_from, tpot_below), count in self.cells():
            if ttft_from <= ttft and tpot_from <= tpot:
                most += count
                if ttft_below <= ttft + 1 and tpot_below <= tpot + 1:
                    least += count
        return least, most

    def cells(self) -> Iterator[tuple[tuple[int, int], tuple[int, int], int]]:
        """((from, below) of the TTFT, (from, below) of the TPOT, requests) of each cell in use, in order."""
        for cell, count in sorted(self._cells.items()):
            row, column = divmod(cell, _COLUMNS)
            yield (_start(row), _start(row + 1)), (_start(column), _start(column + 1)), count

    def to_bytes(self) -> bytes:
        """Compact and self-describing: scheme, then (distance to the last cell, count) of each one used."""
        numbers, last = [self.samples], 0
        for cell, count in sorted(self._cells.items()):
            numbers += (cell - last, count)
            last = cell
        return _MAGIC + bytes([SCHEME]) + zlib.compress(varint.pack(numbers), 9)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The grid of `to_bytes`; `SchemeMismatchError` for another scheme, ValueError for what is none."""
        if data[:3] != _MAGIC or len(data) < len(_MAGIC) + 1:
            raise ValueError("not a TTFT x TPOT histogram")
        if data[3] != SCHEME:
            raise SchemeMismatchError(f"TTFT x TPOT histogram of scheme {data[3]}; this version reads scheme {SCHEME}")
        try:
            samples, *pairs = varint.unpack(zlib.decompress(data[4:]))
            steps = list(zip(pairs[::2], pairs[1::2], strict=True))
        except (zlib.error, ValueError) as error:
            raise ValueError(f"a damaged TTFT x TPOT histogram: {error}") from error
        new, cell = cls(), 0
        for step, count in steps:
            cell += step
            new._cells[cell] = count
        if sum(new._cells.values()) != samples:
            raise ValueError("a damaged TTFT x TPOT histogram: its cells do not add up")
        new.samples = samples
        return new


def _bucket(nanoseconds: int) -> int:
    capped = min(nanoseconds, _LAST)
    shift = max(0, capped.bit_length() - 5)
    return (shift << 4) + (capped >> shift)


def _start(bucket: int) -> int:
    """The smallest duration that counts in the bucket."""
    return bucket if bucket < 32 else (16 + (bucket & 15)) << ((bucket >> 4) - 1)  # noqa: PLR2004  # below: exact
