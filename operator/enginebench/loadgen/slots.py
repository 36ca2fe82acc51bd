"""How many requests an Ollama answers at once: seen, not believed.

One request more than it has slots is sent at once. When the first answer ends, those that have come a good way ran at
the same time; the others waited for a slot. How many slots there should be is known where they were asked for; else one
more than UNSAID are sent.
"""

import asyncio
from contextlib import suppress
from time import monotonic

from msgspec.structs import replace

from enginebench.api.loadplan import LoadPlan, Message, PointPlan, Row
from enginebench.loadgen.address import Address
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.connection import Connection, SocketAddress, connect
from enginebench.loadgen.gaps import Gaps
from enginebench.loadgen.plain import UNREACHABLE
from enginebench.loadgen.routes import ROUTES
from enginebench.results.record import RequestRecord

UNSAID, MOST = 4, 256
"""Slots that are looked for where none were asked for, and at most: who has more has at least so many."""
TRIES = (16, 64, 256, 1024, 4096)
"""Output tokens. The longer the answers, the less it matters that not all requests are sent and read in one moment."""
LONG_ENOUGH, LONG_ENOUGH_SECONDS = 8, 0.5
"""Events of an answer, and from its first to its last: one that ended before tells nothing of those that had not begun,
and what a busy machine holds us up is short against it. What was asked for is believed at once."""
A_GOOD_WAY = 4
"""A quarter of the events of the one that has come farthest."""
SECONDS = 30.0
"""All tries together."""
POINT = PointPlan(index=-3, concurrency=1)
_PROMPT = "Count from one to one thousand, in words, one number a line, and say nothing else."


async def requests_at_once(plan: LoadPlan, address: Address, where: SocketAddress) -> tuple[int, int] | None:
    """(so many ran at once, of so many that were sent); None where it cannot be told.

    The first try that sees what was asked for, or whose answers are long enough, is believed.
    """
    sent, until = min(plan.slots or UNSAID, MOST) + 1, monotonic() + SECONDS
    for tokens in TRIES:
        probe = _Probe(plan, address, tokens)
        try:
            ran = await probe.ran(where, sent, until)
        except UNREACHABLE:  # the engine answered a moment ago: what fails now fails under load, and is told then
            return None
        if ran is None:
            return None
        if ran == plan.slots or probe.seconds >= LONG_ENOUGH_SECONDS:
            return ran, sent
    return None


class _Probe:
    """One try. It listens to all of its requests."""

    def __init__(self, plan: LoadPlan, address: Address, tokens: int) -> None:
        self._route = ROUTES[plan.request.api]
        row = Row(messages=(Message(role="user", content=_PROMPT),)) if self._route.chat else Row(prompt=_PROMPT)
        self._bodies = Bodies(replace(plan, request=replace(plan.request, max_output_tokens=tokens)), address, (row,))
        self._name = f"slots{tokens}"
        self.gaps = Gaps()  # never opened: nothing is measured
        self._records: list[RequestRecord] = []
        self.seconds = 0.0
        """What the answer that has come farthest has taken, from its first event."""
        self._open = 0
        self._over = asyncio.Event()

    async def ran(self, where: SocketAddress, number: int, until: float) -> int | None:
        """Requests that ran at once, of so many; None where the answers were too short to tell."""
        connections: list[Connection] = []
        try:
            async with asyncio.timeout(until - monotonic()):
                while len(connections) < number:
                    connections.append(await connect(where, self._route, self))
            self._records = [RequestRecord(start=0) for _ in connections]
            self._open = number
            for place, (connection, record) in enumerate(zip(connections, self._records, strict=True)):
                connection.send(self._bodies.request(POINT, self._name, place), record)
            with suppress(TimeoutError):
                async with asyncio.timeout(until - monotonic()):
                    await self._over.wait()
            return self._count()
        finally:
            for connection in connections:
                connection.close()

    def _count(self) -> int | None:
        """What was read in the same moment as the first end is counted, too: the event was waited for."""
        farthest = max(self._records, key=lambda record: record.events)
        self.seconds = (farthest.last - farthest.first) / 1e9
        if farthest.events < LONG_ENOUGH:
            return None
        return sum(record.events * A_GOOD_WAY >= farthest.events for record in self._records)

    def _end(self, *, well: bool) -> None:
        """A request that was refused waits for nobody; where all were, there is nothing to wait for."""
        self._open -= 1
        if well or not self._open:
            self._over.set()

    # Listener

    def served_by(self, model: str) -> None:
        """That was verified."""

    def ended(self, connection: Connection, record: RequestRecord) -> None:  # noqa: ARG002  # Listener's signature
        self._end(well=not record.error)

    def lost(self, connection: Connection, record: RequestRecord | None, why: str) -> None:  # noqa: ARG002  # ditto
        self._end(well=False)
