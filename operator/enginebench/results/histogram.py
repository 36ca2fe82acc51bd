"""A mergeable histogram of durations: integer nanoseconds in, quantiles within 0.5 %, count and sum exact.

Buckets are log-linear, as in HdrHistogram: every power of two is cut into 128 equal parts, values below 256 ns
stand for themselves. A quantile is the middle of its bucket, at most 1/256 (0.39 %) off. Merging adds bucket by
bucket, so that merged quantiles are those of one histogram that had seen everything.

Own code, because neither library fits: `hdrhistogram` and `ddsketch` keep the sum as a float, have no weights with a
count of samples beside them, and cost the load pod start-up time and, a record, more than the event it measures.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Self

from enginebench.results import varint

SCHEME = 1
"""Version of buckets and bytes; what another version wrote is refused."""
RELATIVE_ERROR = 1 / 256
"""Of a quantile, at most."""
LIMIT = 1 << 42
"""73 minutes; longer values count in the last bucket, while sum and maximum stay exact."""

_MAGIC = b"EBH"
_EXACT = 256
_BUCKETS = 4608


class SchemeMismatchError(ValueError):
    """Bytes of another scheme: its buckets mean something else, so nothing can be merged with them."""


class Histogram:
    """Counts of durations. A sample may weigh more than one: `itl` weighs each request by its tokens - 1."""

    __slots__ = ("_buckets", "maximum", "minimum", "samples", "total", "weight")

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self.samples = 0
        """How many were recorded."""
        self.weight = 0
        """Sum of their weights: what quantiles go by."""
        self.total = 0
        """Sum of value times weight, nanoseconds."""
        self.minimum = -1
        """The smallest value recorded, nanoseconds; -1 while there is none."""
        self.maximum = -1

    def record(self, nanoseconds: int, weight: int = 1) -> None:
        """Count one sample."""
        shift = nanoseconds.bit_length() - 8
        try:
            self._buckets[(shift << 7) + (nanoseconds >> shift) if shift > 0 else nanoseconds] += weight
        except IndexError:
            self._buckets[-1] += weight
        self.samples += 1
        self.weight += weight
        self.total += nanoseconds * weight
        if nanoseconds > self.maximum:  # noqa: PLR1730  # a call of max() costs as much as all the rest
            self.maximum = nanoseconds
        if nanoseconds < self.minimum or self.minimum < 0:
            self.minimum = nanoseconds

    def record_all(self, durations: Sequence[int]) -> None:
        """`record` of each, weighing one. Called for every event under load: a shift, an index, an addition."""
        if not durations:
            return
        buckets = self._buckets
        for nanoseconds in durations:
            shift = nanoseconds.bit_length() - 8
            try:
                buckets[(shift << 7) + (nanoseconds >> shift) if shift > 0 else nanoseconds] += 1
            except IndexError:
                buckets[-1] += 1
        self.samples += len(durations)
        self.weight += len(durations)
        self.total += sum(durations)
        largest, smallest = max(durations), min(durations)
        self.maximum = max(self.maximum, largest)
        self.minimum = smallest if self.minimum < 0 else min(self.minimum, smallest)

    def merge(self, other: "Histogram") -> None:
        """Take in what the other one has counted; exact."""
        if not other.samples:
            return
        self._buckets = [a + b for a, b in zip(self._buckets, other._buckets, strict=True)]
        self.minimum = other.minimum if self.minimum < 0 else min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        self.samples += other.samples
        self.weight += other.weight
        self.total += other.total

    @property
    def zeros(self) -> int:
        """Weight of the values that are exactly 0."""
        return self._buckets[0]

    def mean(self) -> float | None:
        """Weighted mean in nanoseconds, exact; None while empty."""
        return self.total / self.weight if self.weight else None

    def quantile(self, percent: int) -> int | None:
        """Nearest rank by weight, in nanoseconds, within `RELATIVE_ERROR`; None while empty."""
        if not self.weight:
            return None
        rank = max(1, -(-percent * self.weight // 100))
        seen = 0
        for index, weight in enumerate(self._buckets):
            seen += weight
            if seen >= rank:
                return max(self.minimum, min(self.maximum, _middle(index)))
        raise AssertionError("the buckets hold less than their weight")

    def buckets(self) -> Iterator[tuple[int, int, int]]:
        """(from, below, weight) of each bucket that holds something, nanoseconds, in order."""
        for index, weight in enumerate(self._buckets):
            if weight:
                yield _start(index), _start(index + 1), weight

    def to_bytes(self) -> bytes:
        """Compact and self-describing: scheme, totals, then (distance to the last bucket, weight) of each one used."""
        numbers = [self.samples, self.weight, self.total, self.minimum + 1, self.maximum + 1]
        last = 0
        for index, weight in enumerate(self._buckets):
            if weight:
                numbers += (index - last, weight)
                last = index
        return _MAGIC + bytes([SCHEME]) + zlib.compress(varint.pack(numbers), 9)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The histogram of `to_bytes`; `SchemeMismatchError` for another scheme, ValueError for what is none."""
        if data[:3] != _MAGIC or len(data) < len(_MAGIC) + 1:
            raise ValueError("not a histogram")
        if data[3] != SCHEME:
            raise SchemeMismatchError(f"histogram of scheme {data[3]}; this version reads scheme {SCHEME}")
        try:
            samples, weight, total, minimum, maximum, *pairs = varint.unpack(zlib.decompress(data[4:]))
        except zlib.error as error:
            raise ValueError(f"a damaged histogram: {error}") from error
        new, index = cls(), 0
        for step, count in zip(pairs[::2], pairs[1::2], strict=True):
            index += step
            if index >= _BUCKETS:
                raise ValueError(f"a damaged histogram: bucket {index} of {_BUCKETS}")
            new._buckets[index] = count
        if sum(new._buckets) != weight:
            raise ValueError("a damaged histogram: its buckets do not add up")
        new.samples, new.weight, new.total = samples, weight, total
        new.minimum, new.maximum = minimum - 1, maximum - 1
        return new


def _middle(index: int) -> int:
    if index < _EXACT:
        return index
    shift = (index >> 7) - 1
    return _start(index) + ((1 << shift) >> 1)


def _start(index: int) -> int:
    """The smallest value that counts in the bucket."""
    return index if index < _EXACT else (128 + (index & 127)) << ((index >> 7) - 1)
