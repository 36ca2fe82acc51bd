"""An open loop: requests are sent when they are due, whether earlier ones have been answered or not.

Latencies count from the moment at which a request was due, so that a wait on our side is never left out
(G. Tene: How NOT to Measure Latency, 2013: "coordinated omission"); when it was really sent is kept beside it.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from time import monotonic_ns
from typing import Unpack

from enginebench.alarm import Alarm
from enginebench.loadgen.lane import Lane
from enginebench.loadgen.load import Load, Terms
from enginebench.loadgen.schedule import Schedule
from enginebench.results.record import RequestRecord

LEAST_SPARE = 4
SPARE_SHARE = 8
"""Idle connections are kept ready for one in so many requests in flight, and at least `LEAST_SPARE`."""
MOST_AT_FIRST = 256
REOPEN_SECONDS = 0.2
"""An idle connection that the server closed is replaced so long after."""
_SECOND = 1_000_000_000


class OpenLoop(Load):
    """The requests of one load point by their schedule, each over an idle connection of a pool that grows."""

    def __init__(self, schedule: Schedule, max_connections: int, **terms: Unpack[Terms]) -> None:
        """Beyond `max_connections` requests wait for one that is free, and are sent late, which is told."""
        super().__init__(**terms)
        self._schedule = schedule
        self._most = max_connections
        self._moments: Iterator[float] = iter(())
        self._alarm: Alarm | None = None
        self._began = 0
        self._due = 0
        """When the next request is due."""
        self._pumping = False
        self._waiting: deque[tuple[bytes, RequestRecord]] = deque()
        """Requests that are due and have no connection yet, in their order."""
        self._lanes: set[Lane] = set()
        self._idle: deque[Lane] = deque()
        """First in, first out: no connection is idle for longer than it must."""
        self._opening: dict[Lane, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ramp_over = 0
        self._last_cold = 0
        self._cold = 0

    async def connect(self) -> None:
        """For as many requests as are due in a second: how long they take is not known yet."""
        share = self._schedule.rate / self._schedule.shares
        self._open(min(self._most, MOST_AT_FIRST, max(LEAST_SPARE, round(share))))
        await asyncio.gather(*self._opening.values())

    def start(self, ramp_seconds: float) -> None:
        self._moments = self._schedule.moments(ramp_seconds)
        self._alarm = Alarm(asyncio.get_running_loop(), self._pump)
        self._began = self.begin_at or monotonic_ns()  # the same for all shares, or their moments would not interleave
        self._ramp_over = self._began + round(ramp_seconds * _SECOND)
        self._next_moment()
        self._pump()

    def open_window(self) -> None:
        self._pump()  # what was due by now belongs to the warm-up
        super().open_window()

    def close_window(self) -> None:
        self._pump()  # what was due by now belongs to the window
        super().close_window()

    def _cancel(self) -> list[RequestRecord]:
        if self._alarm is not None:
            self._alarm.close()
        for pending in (*self._opening.values(), self._timer):
            if pending is not None:
                pending.cancel()
        in_flight = self._in_flight()
        for lane in self._lanes:
            lane.stop()
        self._lanes.clear()
        self._idle.clear()
        self._waiting.clear()
        return in_flight

    def _in_flight(self) -> list[RequestRecord]:
        carried = [lane.record for lane in self._lanes if lane.record is not None]
        return carried + [record for _, record in self._waiting]

    # The schedule

    def _next_moment(self) -> None:
        self._due = self._began + round(next(self._moments) * _SECOND)

    def _pump(self) -> None:
        """Send what is due, and wake up for the next."""
        if self._pumping or self._alarm is None or self.over:
            return
        self._pumping = True
        while self._due <= monotonic_ns():
            self._arrive(self._due)
            self._next_moment()
        self._pumping = False
        self._alarm.set(self._due)

    def _arrive(self, due: int) -> None:
        request, record = self.next_request()
        record.start = due
        if not self._last_cold:
            self._cold += 1
            if due >= self._ramp_over:
                self._last_cold = due
        self._waiting.append((request, record))
        self._dispatch()
        self.started(record)

    def _finished(self, record: RequestRecord) -> None:
        """The load is warm when all requests of the ramp, and one more, have been answered, well or not."""
        if not self._last_cold or record.start <= self._last_cold:
            self._cold -= 1
            if self._last_cold and not self._cold:
                self.warm.set()
        self.finished(record)

    # The pool of connections

    def _dispatch(self) -> None:
        while self._waiting and self._idle:
            lane = self._idle.popleft()
            if lane.ready:
                lane.carry(*self._waiting.popleft())
            else:
                self._drop(lane)
        busy = len(self._lanes) - len(self._idle)
        spare = max(LEAST_SPARE, busy // SPARE_SHARE)
        self._open(len(self._waiting) + spare - len(self._idle) - len(self._opening))

    def _refill(self) -> None:
        self._timer = None
        if not self.over:
            self._dispatch()

    def _open(self, wanted: int) -> None:
        """Begin to open so many more connections, as far as the bound allows."""
        room = self._most - len(self._lanes) - len(self._opening)
        for _ in range(min(wanted, room)):
            lane = Lane(self)
            self._opening[lane] = asyncio.get_running_loop().create_task(self._opened(lane))

    async def _opened(self, lane: Lane) -> None:
        why = await lane.open()
        del self._opening[lane]
        if self.over:
            lane.stop()
        elif not why:
            self._lanes.add(lane)
            self.idle(lane)
        elif self._waiting:  # a connection that cannot be had is the fault of the request that waits for it
            _, record = self._waiting.popleft()
            record.end, record.outcome, record.error = monotonic_ns(), "errored", why
            self._finished(record)

    def _drop(self, lane: Lane) -> None:
        lane.stop()
        self._lanes.discard(lane)

    # For the lanes

    def idle(self, lane: Lane) -> None:
        """The lane may carry a request."""
        self._idle.append(lane)
        if self._waiting:
            self._dispatch()

    def gone(self, lane: Lane) -> None:
        """Closed by the server while it was idle: another one is opened before it is needed."""
        self._drop(lane)
        if lane in self._idle:
            self._idle.remove(lane)
            self._timer = self._timer or asyncio.get_running_loop().call_later(REOPEN_SECONDS, self._refill)

    def answered(self, lane: Lane, record: RequestRecord) -> None:
        """Its request is over, well or not."""
        if lane.ready:
            self.idle(lane)
        else:
            self._drop(lane)
        self._finished(record)
