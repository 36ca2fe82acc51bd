"""The load generator's eye on itself: how late its own loop is, and what the machine kept from it.

A kernel timer is read by the same loop as the engine's answers: what it waits to be read, an event that came at that
moment waits too. It goes on expiring while this process is stopped or busy, and every expiry counts: a second that
was slept through is a second of lags, not one sample (G. Tene's "coordinated omission"). A reading costs about 5 µs.
"""

import asyncio
from time import monotonic_ns, process_time

from enginebench import timerfd
from enginebench.loadgen.gaps import Gaps
from enginebench.loadgen.machine import Reading, withheld
from enginebench.results.seen import Strain

PERIOD = 7_300_000
"""Nanoseconds. No whole part of 10 ms or another usual step of an engine, so that every phase of one is seen."""
LATE = 1_000_000
"""From this lag on, events of a stream that came in one read may have been put together by ourselves."""


class Monitor:
    """Between `start` and `stop`: the lag of the loop, the processor time taken, and what was withheld.

    `gaps` are those between content events: two events in one read have the same time, and none between them. They are
    counted at each reading of the timer, and once more at the end of the loop's turn where that was late.
    """

    def __init__(self, gaps: Gaps) -> None:
        self.strain = Strain()
        self._gaps = gaps
        self._counted = (0, 0)
        self._due = 0
        self._timer: timerfd.TimerFd | None = None
        self._before = Reading(None, None, 0)

    def start(self) -> None:
        # `stop` adds the same clocks: what is left is what went by.
        self.strain.wall_seconds, self.strain.cpu_seconds = -monotonic_ns() / 1e9, -process_time()
        self._before = Reading.now()
        self._counted = self._counts()
        if timerfd.AVAILABLE:
            self._timer = timerfd.TimerFd()
            self._due = monotonic_ns() + PERIOD
            self._timer.set(self._due, PERIOD)
            asyncio.get_running_loop().add_reader(self._timer.fd, self._read)

    def stop(self) -> None:
        if self._timer is not None:
            self._read()  # what has expired by now belongs to the window
            asyncio.get_running_loop().remove_reader(self._timer.fd)
            self._timer.close()
            self._timer = None
        strain = self.strain
        strain.wall_seconds += monotonic_ns() / 1e9
        strain.cpu_seconds += process_time()
        strain.throttled, strain.stolen = withheld(self._before, Reading.now(), strain.wall_seconds)

    def _read(self) -> None:
        assert self._timer is not None
        now, late = monotonic_ns(), False
        for _ in range(self._timer.expired()):
            lag = max(0, now - self._due)
            self.strain.lag.record(lag)
            late = late or lag > LATE
            self._due += PERIOD
        self._book(late=late)
        if late:  # what had waited as long as the timer may be read after it, in the same turn of the loop
            asyncio.get_running_loop().call_soon(self._read_after)

    def _read_after(self) -> None:
        if self._timer is not None:
            self._book(late=True)

    def _book(self, *, late: bool) -> None:
        """What was noted since the last time."""
        samples, zeros = self._counts()
        if late:
            self.strain.late_gaps += samples - self._counted[0]
            self.strain.late_coalesced += zeros - self._counted[1]
        self._counted = samples, zeros

    def _counts(self) -> tuple[int, int]:
        """Gaps so far, and those that are none."""
        self._gaps.count()
        return self._gaps.histogram.samples, self._gaps.histogram.zeros
