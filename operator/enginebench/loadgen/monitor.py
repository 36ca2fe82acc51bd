"""The load generator's eye on itself: how late its own loop runs, and how much processor it takes."""

import asyncio
from time import monotonic_ns, process_time

from enginebench.results.histogram import Histogram

SAMPLE_SECONDS = 0.02


class Monitor:
    """Between `start` and `stop`: lateness of a timer fifty times a second, and the share of one core used.

    The loop's timers count in milliseconds, so that a lateness below 1 ms says nothing.
    """

    def __init__(self) -> None:
        self._lag = Histogram()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0
        self._wall = self._cpu = 0.0

    def start(self) -> None:
        self._wall, self._cpu = monotonic_ns() / 1e9, process_time()
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._wall, self._cpu = monotonic_ns() / 1e9 - self._wall, process_time() - self._cpu
            self._timer = None

    @property
    def lag_p99(self) -> float | None:
        """Milliseconds; None without a sample."""
        lag = self._lag.quantile(99)
        return None if lag is None else lag / 1e6

    @property
    def cpu_percent(self) -> float | None:
        """Of one core, over the span."""
        return 100 * self._cpu / self._wall if self._wall else None

    def _arm(self) -> None:
        self._due = monotonic_ns() + int(SAMPLE_SECONDS * 1e9)
        self._timer = asyncio.get_running_loop().call_later(SAMPLE_SECONDS, self._sample)

    def _sample(self) -> None:
        self._lag.record(max(0, monotonic_ns() - self._due))
        self._arm()
