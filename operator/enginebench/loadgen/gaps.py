"""The inter-event gap: content event - the one before it in the same answer, by the moments at which they were read.

Its population is every gap that ends in the window, whatever request it belongs to; none is divided by the tokens of
an event. Gaps are noted as they come, and counted a little later, many at once.

Counting one costs as much as noting it twenty times over when it is done between two reads, where nothing that it
needs is in the processor's caches any more; in a row it costs a fraction of that.
"""

from collections import deque
from collections.abc import Callable

from enginebench.results.histogram import Histogram


class Gaps:
    """Counts what is noted between `open` and `close`."""

    __slots__ = ("_fresh", "histogram", "note")

    def __init__(self) -> None:
        self.histogram = Histogram()
        """What was counted: all that was noted up to the last `count` or `close`."""
        self._fresh: list[int] = []
        self.note: Callable[[int], None] = _nowhere.append
        """Takes the nanoseconds of one gap. Another one after each call of the others: not to be kept."""

    def open(self) -> None:
        """What is noted from now on counts."""
        self.note = self._fresh.append

    def count(self) -> None:
        """Bring the histogram up to now."""
        self.histogram.record_all(self._fresh)
        self._fresh.clear()

    def close(self) -> None:
        """What is noted from now on does not count."""
        self.count()
        self.note = _nowhere.append


_nowhere: deque[int] = deque(maxlen=0)
"""Keeps nothing, at the cost of an append."""
