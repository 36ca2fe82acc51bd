"""A closed loop: so many users, each sending its next request as soon as the answer to the last one is complete."""

import asyncio
from time import monotonic_ns
from typing import Unpack

from enginebench.loadgen.connection import Connection, connect
from enginebench.loadgen.errors import in_words
from enginebench.loadgen.load import Load, Terms
from enginebench.results.record import RequestRecord

BACKOFF_SECONDS = (0.1, 1.0)
"""A user whose request failed waits this long, doubled with each failure in a row: no storm upon a sick engine."""
REOPEN_SECONDS = 0.2
"""A connection that the server closed before its user has begun is opened again so long after."""


class ClosedLoop(Load):
    """The users of one load point."""

    def __init__(self, users: int, **terms: Unpack[Terms]) -> None:
        """`users`: of the whole point."""
        super().__init__(**terms)
        self._all = users
        self._users = [User(self) for _ in range(self.shard.of(users))]
        self._cold = len(self._users)

    async def connect(self) -> None:
        await asyncio.gather(*(user.connect() for user in self._users))

    def start(self, ramp_seconds: float) -> None:
        """Let the users begin, evenly over the ramp: equal requests started together would stay in step."""
        loop = asyncio.get_running_loop()
        for number, user in enumerate(self._users):
            loop.call_later(ramp_seconds * self.shard.nth(number) / self._all, user.begin)

    def first_ended(self) -> None:
        """A user's first request is over, well or not. The load is warm when every user has had one."""
        self._cold -= 1
        if not self._cold:
            self.warm.set()

    def _cancel(self) -> list[RequestRecord]:
        return [record for user in self._users if (record := user.stop()) is not None]

    def _in_flight(self) -> list[RequestRecord]:
        return [user.record for user in self._users if user.record is not None]


class User:
    """One user: one request at a time, over one kept connection."""

    def __init__(self, loop: ClosedLoop) -> None:
        self.record: RequestRecord | None = None
        """The request in flight."""
        self.gaps = loop.gaps
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
        if self._completed == 1:
            self._load.first_ended()
        self._load.finished(record)
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
