"""What every kind of load has: phases set from outside, a population, and books.

A request that starts in the window is tracked: latencies are those of tracked requests. Rates book everything that
happens in the window. One process runs one load: its share of a point. What it saw is plain data (`results.seen`), so
that the shares of several processes are merged before any figure is made.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from time import monotonic_ns
from typing import NotRequired, TypedDict

from enginebench.loadgen.connection import SocketAddress
from enginebench.loadgen.gaps import Gaps
from enginebench.loadgen.monitor import Monitor
from enginebench.loadgen.routes import Route
from enginebench.loadgen.shard import WHOLE, Shard
from enginebench.results.record import RequestRecord, Window
from enginebench.results.records import Records
from enginebench.results.seen import Seen
from enginebench.results.series import Tick

RequestSource = Callable[[str, int], bytes]
"""(phase, number) → the bytes of a request."""


class Terms(TypedDict):
    """What every load is told."""

    address: SocketAddress
    route: Route
    model_is_wrong: Callable[[str], bool]
    source: RequestSource
    max_requests: NotRequired[int | None]
    shard: NotRequired[Shard]
    known_tokens: NotRequired[Callable[[int], int | None]]


class Load(ABC):
    """The requests of one load point, and all that is seen of them."""

    def __init__(
        self,
        *,
        address: SocketAddress,
        route: Route,
        model_is_wrong: Callable[[str], bool],
        source: RequestSource,
        max_requests: int | None = None,
        shard: Shard = WHOLE,
        known_tokens: Callable[[int], int | None] = lambda _: None,
    ) -> None:
        """`max_requests`: of the whole point; a share has its part of them, and its part of the numbers.
        `known_tokens`: of the prompt of the request of that number, by the data set."""
        self.address = address
        self.route = route
        self.gaps = Gaps()
        """Between content events, while the window is open."""
        self.records = Records()
        """Finished requests that overlap the window."""
        self.ticks: list[Tick] = []
        """One a second of the window, the last one as it closed."""
        self.replayed = 0
        self.wrong_models: Counter[str] = Counter()
        self.warm = asyncio.Event()
        """The load is as it will be in the window: it may open."""
        self.full = asyncio.Event()
        """`max_requests` have been started in the window. A whole point's window is closed by that; of a share it
        stays open until the others are full, too, and what is started then is not tracked."""
        self.drained = asyncio.Event()
        """Every tracked request is finished."""
        self.begin_at = 0
        """Monotonic nanoseconds from which a schedule counts; 0: from the start on."""
        self.progress = 0
        """Requests that have ended since the start."""
        self._source = source
        self._known_tokens = known_tokens
        self._model_is_wrong = model_is_wrong
        self._right_model = ""
        self.shard = shard
        self._to_track = None if max_requests is None else shard.of(max_requests)
        self._monitor = Monitor(self.gaps)
        self._phase = "warm-up"
        self._number = 0
        self._open_at = 0
        self._close_at = 0
        self._tracked_open = 0
        self._events_done = 0.0

    @abstractmethod
    async def connect(self) -> None:
        """Open connections, so that no request pays for that. One that fails is tried again later."""

    @abstractmethod
    def start(self, ramp_seconds: float) -> None:
        """Let the requests begin, the load growing evenly over the ramp."""

    @abstractmethod
    def _cancel(self) -> list[RequestRecord]:
        """End everything; the requests that were in flight."""

    @abstractmethod
    def _in_flight(self) -> list[RequestRecord]:
        """The requests that are under way."""

    @property
    def window(self) -> Window:
        """The window, once it is closed."""
        return Window(self._open_at, self._close_at)

    @property
    def opened(self) -> bool:
        return bool(self._open_at)

    def seen(self) -> Seen:
        """All that was seen, once the load is stopped."""
        return Seen(
            window=self.window,
            records=self.records,
            gaps=self.gaps.histogram,
            ticks=self.ticks,
            replayed=self.replayed,
            wrong_models=self.wrong_models,
            strain=self._monitor.strain,
        )

    async def gathered(self) -> Seen:
        """All that was seen, as `seen`: of one process."""
        return self.seen()

    def open_window(self) -> None:
        """From now on requests are tracked and events are booked."""
        self._monitor.start()
        self._open_at = monotonic_ns()
        self._phase, self._number = "window", 0
        self.gaps.open()
        for record in self._in_flight():  # to which its events are added when it ends, or the window does
            record.events_in_window = -record.events

    def close_window(self) -> None:
        """Latencies of what was started are followed on; nothing more is booked."""
        if self._close_at:
            return
        self.tick()
        self._close_at = monotonic_ns()
        self._phase, self._number = "drain", 0
        self._monitor.stop()
        self.gaps.close()
        for record in self._in_flight():
            record.events_in_window += record.events
        if not self._tracked_open:
            self.drained.set()

    def stop(self) -> None:
        """Cancel everything; what was in flight in the window joins the records as it is. Once is enough."""
        if self.over:
            return
        self._phase = "over"
        cut_off, now = self._cancel(), monotonic_ns()
        for record in cut_off:
            record.end = now
            if self._overlaps(record):
                self._keep(record)

    def tick(self) -> None:
        """Look at the counters, while the window is open."""
        if self._phase == "window":
            self.gaps.count()
            gaps, in_flight = self.gaps.histogram, self._in_flight()
            events = self._events_done + sum(r.events + r.events_in_window for r in in_flight)
            self.ticks.append(Tick(len(in_flight), int(events), gaps.samples, gaps.total))

    # For those who send the requests

    @property
    def over(self) -> bool:
        return self._phase == "over"

    def next_request(self) -> tuple[bytes, RequestRecord]:
        """The bytes of the next request, and its record."""
        number = self._number
        self._number += 1
        tracked = self._phase == "window" and (self._to_track is None or number < self._to_track)
        nth = self.shard.nth(number)
        record = RequestRecord(start=0, tracked=tracked, known_prompt_tokens=self._known_tokens(nth))
        return self._source(self._phase, nth), record

    def started(self, record: RequestRecord) -> None:
        """The request has been sent."""
        if record.tracked:
            self._tracked_open += 1
            if self._number == self._to_track:
                self.full.set()
                if self.shard.whole:
                    self.close_window()

    def finished(self, record: RequestRecord) -> None:
        """The request is over, well or not."""
        self.progress += 1
        if self._overlaps(record):
            if not self._close_at:
                record.events_in_window += record.events
                self._events_done += record.events_in_window
            self._keep(record)
        if record.tracked:
            self._tracked_open -= 1
            if self._close_at and not self._tracked_open:
                self.drained.set()

    def served_by(self, model: str) -> None:
        """Which model a response names."""
        if model == self._right_model:
            return
        if self._model_is_wrong(model):
            self.wrong_models[model] += 1
        else:
            self._right_model = model  # seldom another one

    def _keep(self, record: RequestRecord) -> None:
        if record.outcome != "succeeded" and not self.route.counts_each:
            record.output_tokens = None  # if a server counted, then as far as some event before the last one
        self.records.append(record)

    def _overlaps(self, record: RequestRecord) -> bool:
        return bool(self._open_at) and (not self._close_at or record.start < self._close_at)
