"""How fast bytes come, and when all will be there. Standard library alone, as `results.lines`; the time comes in."""

from collections import deque

WINDOW_SECONDS = 30.0
"""The rate is the mean over so long: a download comes in bursts."""
LEAST_SECONDS = 2.0
"""Over less no rate is told."""
KB, MB, GB = 1e3, 1e6, 1e9
MINUTE, HOUR = 60, 3600


class Transfer:
    """Of one download."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self.moved_at: float | None = None
        """When bytes last came."""

    def note(self, now: float, done: int) -> None:
        """So many bytes are here at `now`, seconds of a clock that only goes forward."""
        if self.moved_at is None or done != self._seen[-1][1]:
            self.moved_at = now
        self._seen.append((now, done))
        while now - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def bytes_per_second(self) -> int | None:
        """None: too short to tell."""
        if not self._seen or (seconds := self._seen[-1][0] - self._seen[0][0]) < LEAST_SECONDS:
            return None
        return max(0, round((self._seen[-1][1] - self._seen[0][1]) / seconds))

    def remaining_seconds(self, total: int | None) -> int | None:
        """At that rate; None where it cannot be told."""
        rate = self.bytes_per_second
        if not rate or total is None:
            return None
        return round(max(0, total - self._seen[-1][1]) / rate)


def in_words(done: int, total: int | None, rate: int | None, remaining: int | None) -> str:
    """ "3.21 of 16.06 GB, 121 MB/s, 2 min left"."""
    words = f"{done / GB:.2f} of {total / GB:.2f} GB" if total else f"{done / GB:.2f} GB"
    if rate is not None:
        words += f", {rate / MB:.0f} MB/s" if rate >= MB else f", {rate / KB:.0f} kB/s"
    return f"{words}, {_left(remaining)} left" if remaining is not None else words


def _left(seconds: int) -> str:
    if seconds < 2 * MINUTE:
        return f"{seconds} s"
    return f"{seconds // MINUTE} min" if seconds < 2 * HOUR else f"{seconds / HOUR:.1f} h"
