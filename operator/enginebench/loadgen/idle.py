"""Before a load point: wait until the engine has nothing left to do, be it of the point before or of somebody else.

vLLM and llama.cpp tell in their /metrics how many requests run and wait. Any other engine is asked for one token,
twice: both times the first token must come as it does when the engine is idle, within the greater of twice that time
and 20 ms more. How that is, is seen before the first load: the quickest of three such requests, and of all that follow.
"""

import asyncio
import re
from collections import Counter

from enginebench.api.loadplan import LoadPlan, PointPlan
from enginebench.loadgen.address import Address
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.connection import NO_CONTENT, SocketAddress, connect
from enginebench.loadgen.errors import in_words
from enginebench.loadgen.plain import UNREACHABLE, fetch
from enginebench.loadgen.point import first_of
from enginebench.loadgen.routes import ROUTES
from enginebench.loadgen.verify import Once
from enginebench.results.record import RequestRecord

PAUSE_SECONDS = 0.25
"""Between two looks at an engine that is busy."""
PROBE_POINT = PointPlan(index=-2, concurrency=1)
REFERENCE_PROBES = 3
AGAIN = 2
"""A probe may slip into a gap between two others' requests; two in a row seldom do."""
_FULL = ("HTTP 429", "HTTP 503")
"""Too many requests; service unavailable, which vLLM and Ollama say when their queue is full."""
SLOWER, SLACK_SECONDS = 2.0, 0.02
_RUNNING_OR_WAITING = re.compile(
    rb"^(?:vllm:num_requests|llamacpp:requests)_(running|waiting|processing|deferred)(?:\{[^}]*\})? ([0-9.eE+]+)\r?$",
    re.MULTILINE,
)
_KINDS = {b"running": "running", b"processing": "running", b"waiting": "waiting", b"deferred": "waiting"}


class Idle:
    """Waits for one engine, again and again."""

    def __init__(
        self, plan: LoadPlan, address: Address, where: SocketAddress, bodies: Bodies, interrupt: asyncio.Event
    ) -> None:
        """`bodies` ask for one token."""
        self._address = address
        self._where = where
        self._bodies = bodies
        self._route = ROUTES[plan.request.api]
        self._interrupt = interrupt
        self._patience = plan.idle_seconds
        self._has_metrics = plan.dialect in ("vllm", "llamacpp")
        self._quickest: float | None = None
        self._probes = 0
        self._busy_with = ""

    async def __call__(self) -> str:
        """What the engine was still busy with after the plan's `idle_seconds`.

        Empty if it is idle, if it cannot be told (who fails now will fail under load, and that is told then), or if we
        were told to stop.
        """
        self._busy_with = "it did not answer a request for one token"
        await first_of(self._settled(), self._interrupt.wait(), seconds=self._patience)
        return "" if self._interrupt.is_set() else self._busy_with

    async def _settled(self) -> None:
        while busy_with := await self._look():
            self._busy_with = busy_with
            await asyncio.sleep(PAUSE_SECONDS)
        self._busy_with = ""

    async def _look(self) -> str:
        try:
            if self._has_metrics and (told := await self._told()) is not None:
                return told
            return await self._tried()
        except UNREACHABLE as error:
            why = in_words(error)
            return f"it refused a request: {why}" if why.startswith(_FULL) else ""

    async def _told(self) -> str | None:
        """By /metrics; None where they do not say."""
        response = await fetch(self._address, "/metrics")
        found = _RUNNING_OR_WAITING.findall(response.body) if response.ok else []
        if not found:
            self._has_metrics = False
            return None
        counts: Counter[str] = Counter()
        for name, count in found:
            counts[_KINDS[name]] += round(float(count))
        return ", ".join(f"{counts[kind]} requests {kind}" for kind in ("running", "waiting") if counts[kind])

    async def _tried(self) -> str:
        """By probes."""
        if self._quickest is None:
            self._quickest = min([await self._probe() for _ in range(REFERENCE_PROBES)])
        for _ in range(AGAIN):
            took, idle = await self._probe(), self._quickest
            if took > max(SLOWER * idle, idle + SLACK_SECONDS):
                return f"a first token took {1000 * took:.0f} ms, {1000 * idle:.0f} ms when it was idle"
            self._quickest = min(took, idle)
        return ""

    async def _probe(self) -> float:
        """Seconds to the first of one token; one of UNREACHABLE where it does not come."""
        self._probes += 1
        request = self._bodies.request(PROBE_POINT, f"idle{self._probes}", 0)  # one row, a salt of its own
        once, record = Once(), RequestRecord(start=0)
        connection = await connect(self._where, self._route, once)
        try:
            connection.send(request, record)
            why = await once.over
        finally:
            connection.close()
        if why and why != NO_CONTENT:  # the only token may have been one that has no text
            raise OSError(why)
        return ((record.first or record.end) - record.start) / 1e9
