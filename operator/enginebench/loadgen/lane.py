"""One connection of an open loop's pool, and the request that is on it."""

import asyncio
from time import monotonic_ns
from typing import Protocol

from enginebench.loadgen.connection import Connection, SocketAddress, connect
from enginebench.loadgen.errors import in_words
from enginebench.loadgen.gaps import Gaps
from enginebench.loadgen.routes import Route
from enginebench.results.record import RequestRecord


class Pool(Protocol):
    """Who owns the lane."""

    address: SocketAddress
    route: Route
    gaps: Gaps
    replayed: int

    def served_by(self, model: str) -> None:
        """The model that a response names."""

    def gone(self, lane: "Lane") -> None:
        """Its connection was closed while it was idle."""

    def answered(self, lane: "Lane", record: RequestRecord) -> None:
        """The request is over, well or not; the lane may be used again if it is `ready`."""


class Lane:
    """It carries one request at a time. A request that is reset before any byte of an answer is sent once more."""

    __slots__ = ("_connection", "_pool", "_replay_task", "_replaying", "_request", "gaps", "record")

    def __init__(self, pool: Pool) -> None:
        self.record: RequestRecord | None = None
        """The request in flight."""
        self.gaps = pool.gaps
        self._pool = pool
        self._connection: Connection | None = None
        self._request = b""
        self._replaying = False
        self._replay_task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """It is open, idle, and may carry a request."""
        return self._connection is not None and self._connection.ready

    async def open(self) -> str:
        """Open the connection. What went wrong, in words; empty if it stands."""
        try:
            self._connection = await connect(self._pool.address, self._pool.route, self)
        except OSError as error:
            return f"the connection could not be opened: {in_words(error)}"
        return "" if self._connection.ready else "the server closed the connection as soon as it was open"

    def carry(self, request: bytes, record: RequestRecord) -> None:
        """Send it; `ready` must hold."""
        assert self._connection is not None
        self.record, self._request, self._replaying = record, request, False
        self._connection.send(request, record)

    def stop(self) -> None:
        """Drop the connection without a word to the pool."""
        if self._replay_task is not None:
            self._replay_task.cancel()
        if self._connection is not None:
            self._connection.close()
        self.record = None

    # Listener of the connection

    def served_by(self, model: str) -> None:
        """The model that a response names."""
        self._pool.served_by(model)

    def ended(self, connection: Connection, record: RequestRecord) -> None:  # noqa: ARG002  # Listener's signature
        """The response is complete, or failed after it had begun."""
        self.record = None
        self._pool.answered(self, record)

    def lost(self, connection: Connection, record: RequestRecord | None, why: str) -> None:
        """The connection is gone. A request without any byte of an answer is sent once more, its start unchanged."""
        if connection is not self._connection:
            return
        self._connection = None
        if record is None:
            self._pool.gone(self)
        elif self._replaying:
            self._fail(record, why)
        else:
            self._replaying = True
            self._replay_task = asyncio.get_running_loop().create_task(self._replay(record))

    async def _replay(self, record: RequestRecord) -> None:
        why = await self.open()
        if why or self._connection is None:
            self._fail(record, why)
            return
        self._pool.replayed += 1
        self._connection.send(self._request, record)

    def _fail(self, record: RequestRecord, why: str) -> None:
        record.end, record.outcome, record.error = monotonic_ns(), "errored", why
        self.record = None
        self._pool.answered(self, record)
