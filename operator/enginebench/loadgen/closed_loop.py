"""A closed loop: so many users, each sending its next request as soon as the answer to the last one is complete.

The loop goes through phases, set from outside: warm-up, window, drain. A request that starts in the window is
tracked: latencies are those of tracked requests. Rates book everything that happens in the window.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from time import monotonic_ns

from enginebench.loadgen.connection import Connection, SocketAddress, connect
from enginebench.loadgen.errors import in_words
from enginebench.loadgen.routes import Route
from enginebench.results.histogram import Histogram
from enginebench.results.record import RequestRecord, Window
from enginebench.results.series import Tick

BACKOFF_SECONDS = (0.1, 1.0)
"""A user whose request failed waits this long, doubled with each failure in a row: no storm upon a sick engine."""
REOPEN_SECONDS = 0.2
"""A connection that the server closed before its user has begun is opened again so long after."""

RequestSource = Callable[[str, int], bytes]
"""(phase, number) → the bytes of a request."""


class ClosedLoop:
    """The users of one load point, and all that they see."""

    def __init__(
        self,
        users: int,
        *,
        address: SocketAddress,
        route: Route,
        model_is_wrong: Callable[[str], bool],
        source: RequestSource,
        max_requests: int | None = None,
    ) -> None:
        self.address = address
        self.route = route
        self.gap: Callable[[int], None] = _ignore
        """Called with every gap between content events; counts them while the window is open."""
        self.gaps = Histogram()
        self.records: list[RequestRecord] = []
        """Finished requests that overlap the window."""
        self.ticks: list[Tick] = []
        """One a second of the window, the last one as it closed."""
        self.replayed = 0
        self.wrong_models: Counter[str] = Counter()
        self.warm = asyncio.Event()
        """Every user has completed one request, well or not."""
        self.full = asyncio.Event()
        """`max_requests` have been started in the window."""
        self.drained = asyncio.Event()
        """Every tracked request is finished."""
        self.progress = 0
        """Requests that have ended since the start."""
        self._source = source
        self._model_is_wrong = model_is_wrong
        self._max_requests = max_requests
        self._users = [User(self) for _ in range(users)]
        self._cold = users
        self._phase = "warm-up"
        self._number = 0
        self._open_at = 0
        self._close_at = 0
        self._tracked_open = 0
        self._events_done = 0

    @property
    def window(self) -> Window:
        """The window, once it is closed."""
        return Window(self._open_at, self._close_at)

    @property
    def opened(self) -> bool:
        return bool(self._open_at)

    async def connect(self) -> None:
        """Open every user's connection, so that no request pays for that. One that fails is tried again later."""
        await asyncio.gather(*(user.connect() for user in self._users))

    def start(self, ramp_seconds: float) -> None:
        """Let the users begin, evenly over the ramp: equal requests started together would stay in step."""
        loop = asyncio.get_running_loop()
        for number, user in enumerate(self._users):
            loop.call_later(ramp_seconds * number / len(self._users), user.begin)

    def open_window(self) -> None:
        """From now on requests are tracked and events are booked."""
        self._open_at = monotonic_ns()
        self._phase, self._number = "window", 0
        self.gap = self.gaps.record
        for record in self._in_flight():
            record.events_in_window = -record.events

    def close_window(self) -> None:
        """Latencies of what was started are followed on; nothing more is booked."""
        if self._close_at:
            return
        self.tick()
        self._close_at = monotonic_ns()
        self._phase, self._number = "drain", 0
        self.gap = _ignore
        for record in self._in_flight():
            record.events_in_window += record.events
        if not self._tracked_open:
            self.drained.set()

    def stop(self) -> None:
        """Cancel everything; what was in flight in the window joins the records as it is."""
        self._phase = "over"
        for user in self._users:
            record = user.stop()
            if record is not None and self._overlaps(record):
                self.records.append(record)

    def tick(self) -> None:
        """Look at the counters, while the window is open."""
        if self._phase == "window":
            in_flight = self._in_flight()
            events = self._events_done + sum(r.events + r.events_in_window for r in in_flight)
            self.ticks.append(Tick(in_flight=len(in_flight), events=events))

    # For the users

    @property
    def over(self) -> bool:
        return self._phase == "over"

    def next_request(self) -> tuple[bytes, RequestRecord]:
        """The bytes of the next request, and its record."""
        number = self._number
        self._number += 1
        tracked = self._phase == "window"
        return self._source(self._phase, number), RequestRecord(start=0, tracked=tracked)

    def started(self, record: RequestRecord) -> None:
        """The request has been sent."""
        if record.tracked:
            self._tracked_open += 1
            if self._number == self._max_requests:
                self.full.set()
                self.close_window()

    def finished(self, record: RequestRecord, *, first: bool) -> None:
        """The request is over, well or not; `first` of its user."""
        self.progress += 1
        if first:
            self._cold -= 1
            if not self._cold:
                self.warm.set()
        if self._overlaps(record):
            self.records.append(record)
            if not self._close_at:
                record.events_in_window += record.events
                self._events_done += record.events_in_window
        if record.tracked:
            self._tracked_open -= 1
            if self._close_at and not self._tracked_open:
                self.drained.set()

    def served_by(self, model: str) -> None:
        """Which model a response names."""
        if self._model_is_wrong(model):
            self.wrong_models[model] += 1

    def _overlaps(self, record: RequestRecord) -> bool:
        return bool(self._open_at) and (not self._close_at or record.start < self._close_at)

    def _in_flight(self) -> list[RequestRecord]:
        return [user.record for user in self._users if user.record is not None]


class User:
    """One user: one request at a time, over one kept connection."""

    def __init__(self, loop: ClosedLoop) -> None:
        self.record: RequestRecord | None = None
        """The request in flight."""
        self._load = loop
        self._connection: Connection | None = None
        self._request = b""
        self._replaying = False
        self._completed = 0
        self._failures = 0
        self._task: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False

    def begin(self) -> None:
        """Issue the first request, and from then on the next."""
        self._begun = True
        if self._keeper is not None:
            self._keeper.cancel()
        self._next()

    async def connect(self) -> None:
        """Open the connection; where that fails, the next request tries again and fails in words."""
        try:
            self._connection = await connect(self._load.address, self._load.route, self)
        except OSError:
            self._connection = None

    def stop(self) -> RequestRecord | None:
        """Cancel; the request that was in flight."""
        for pending in (self._task, self._keeper, self._timer):
            if pending is not None:
                pending.cancel()
        if self._connection is not None:
            self._connection.close()
        record, self.record = self.record, None
        return record

    def _next(self) -> None:
        if self._load.over:
            return
        if self._connection is None or not self._connection.ready:
            self._task = asyncio.get_running_loop().create_task(self._reopen_then_send())
            return
        self._request, record = self._load.next_request()
        self.record = record
        self._replaying = False
        self._connection.send(self._request, record)
        self._load.started(record)

    async def _reopen_then_send(self) -> None:
        """The start is taken when the connection stands; only a connection that cannot be had is the request's."""
        if self._connection is not None:
            self._connection.close()
        began = monotonic_ns()
        why = await self._reopen()
        if not why:
            self._next()
            return
        self._request, record = self._load.next_request()
        record.start = began
        self.record = record
        self._load.started(record)
        self._fail(record, why)

    async def _replay(self, record: RequestRecord) -> None:
        why = await self._reopen()
        if why or self._connection is None:
            self._fail(record, why)
            return
        self._load.replayed += 1
        self._connection.send(self._request, record)

    async def _keep(self) -> None:
        """Open an idle connection again. Where that fails, the first request does it, and fails in words."""
        await asyncio.sleep(REOPEN_SECONDS)
        await self._reopen()

    async def _reopen(self) -> str:
        """What went wrong, in words; empty if the connection stands."""
        try:
            self._connection = await connect(self._load.address, self._load.route, self)
        except OSError as error:
            return f"the connection could not be opened: {in_words(error)}"
        return "" if self._connection.ready else "the server closed the connection as soon as it was open"

    # Listener of the connection

    def gap(self, nanoseconds: int) -> None:
        """Between two content events."""
        self._load.gap(nanoseconds)

    def served_by(self, model: str) -> None:
        """The model that a response names."""
        self._load.served_by(model)

    def ended(self, connection: Connection, record: RequestRecord) -> None:  # noqa: ARG002  # Listener's signature
        """The response is complete, or failed after it had begun."""
        self._over(record)

    def lost(self, connection: Connection, record: RequestRecord | None, why: str) -> None:
        """The connection is gone. A request without any byte of an answer is sent once more, its start unchanged."""
        if connection is not self._connection or self._load.over:
            return
        self._connection = None
        loop = asyncio.get_running_loop()
        if record is not None and not self._replaying:
            self._replaying = True
            self._task = loop.create_task(self._replay(record))
        elif record is not None:
            self._fail(record, why)
        elif not self._begun:  # closed by the server while idle: it is opened again before it is needed
            self._keeper = loop.create_task(self._keep())

    def _fail(self, record: RequestRecord, why: str) -> None:
        record.end, record.outcome, record.error = monotonic_ns(), "errored", why
        self._over(record)

    def _over(self, record: RequestRecord) -> None:
        self.record = None
        self._completed += 1
        self._load.finished(record, first=self._completed == 1)
        if record.outcome == "succeeded":
            self._failures = 0
            self._next()
            return
        shortest, longest = BACKOFF_SECONDS
        wait = shortest * 2**self._failures
        if wait < longest:
            self._failures += 1
        wait = min(longest, wait)
        self._timer = asyncio.get_running_loop().call_later(wait, self._next)


def _ignore(_: int) -> None:
    """Outside the window no gap counts."""
