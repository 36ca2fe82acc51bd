"""The load generator's eye on itself: how late its own loop runs, and how much processor it takes."""

import asyncio
from time import monotonic_ns, process_time

from enginebench.results.seen import Strain

SAMPLE_SECONDS = 0.02


class Monitor:
    """Between `start` and `stop`: lateness of a timer fifty times a second, and the processor time taken.

    The loop's timers count in milliseconds, so that a lateness below 1 ms says nothing.
    """

    def __init__(self) -> None:
        self.strain = Strain()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0

    def start(self) -> None:
        self.strain.wall_seconds, self.strain.cpu_seconds = -monotonic_ns() / 1e9, -process_time()
        self._arm()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self.strain.wall_seconds += monotonic_ns() / 1e9
            self.strain.cpu_seconds += process_time()

    def _arm(self) -> None:
        self._due = monotonic_ns() + int(SAMPLE_SECONDS * 1e9)
        self._timer = asyncio.get_running_loop().call_later(SAMPLE_SECONDS, self._sample)

    def _sample(self) -> None:
        self.strain.lag.record(max(0, monotonic_ns() - self._due))
        self._arm()
