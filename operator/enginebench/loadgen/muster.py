"""How the processes of several load pods come together: the leader listens, all others dial it until it answers."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.channel import Channel, Lost
from enginebench.loadgen.crew import Crew, Remote
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.handshake import SECONDS, Place, admit, introduce

AGAIN_SECONDS = 1.0
"""A leader that has no address yet, or does not listen, is dialled again after this."""


class Muster:
    """The leader's: who has come so far."""

    def __init__(self, plan: LoadPlan, secret: bytes, own: Sequence[Remote]) -> None:
        """`own` are the other processes of the leader's pod."""
        self._plan = plan
        self._secret = secret
        self._expected = {Place(pod, process) for pod in range(1, plan.pods) for process in range(plan.processes)}
        self._own = {Place(0, process): remote for process, remote in enumerate(own, 1)}
        self._there: dict[Place, Remote] = {}
        self._changed = asyncio.Event()
        self._open = True

    async def complete(self, say: Callable[[str], None]) -> Crew:
        """All followers, those of this pod among them. `GaveUp` where some stay away.

        Shares go round the pods: every pod has a user as soon as there are as many users as pods.
        """
        try:
            server = await asyncio.start_server(self._meet, port=self._plan.leader_port)
            try:
                await self._all_there(say)
            finally:
                self._open = False
                server.close()
        except BaseException:
            await asyncio.gather(*(remote.end() for remote in self._there.values()))
            raise
        everybody = self._own | self._there
        return Crew([everybody[place] for place in sorted(everybody, key=lambda p: (p.process, p.pod))])

    async def _all_there(self, say: Callable[[str], None]) -> None:
        plan = self._plan
        try:
            async with asyncio.timeout(plan.startup_seconds):
                while missing := self._missing():
                    say(f"waiting for {len(missing)} of {plan.pods} load pods")
                    await self._changed.wait()
                    self._changed.clear()
                    await self._dismiss_lost()
        except TimeoutError:
            raise GaveUp(
                "LoadPodsApart",
                f"{len(self._missing())} of {plan.pods} load pods have not reached the first one within "
                f"{plan.startup_seconds} s. Look for NetworkPolicies that keep pods of this namespace from port "
                f"{plan.leader_port} of each other.",
            ) from None

    def _missing(self) -> set[int]:
        """Pods of which a process is not there yet."""
        return {place.pod for place in self._expected - self._there.keys()}

    async def _dismiss_lost(self) -> None:
        """One that is lost before the crew is complete may dial again; one that has given up will not."""
        for place, remote in list(self._there.items()):
            if remote.refusal is not None:
                raise GaveUp(remote.refusal.reason, remote.refusal.message)
            if remote.lost:
                del self._there[place]
                await remote.end()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(Lost):
            place = await admit(reader, writer, self._secret)
            if self._open and place in self._expected:
                before = self._there.get(place)
                name = f"load pod {place.pod}" + (f", process {place.process + 1}" if self._plan.processes > 1 else "")
                remote = self._there[place] = Remote(name, Channel(reader, writer), distant=True)
                remote.on_loss = self._changed.set
                self._changed.set()
                if before is not None:  # it did not hear that it was admitted
                    await before.end()
                return
        writer.close()


async def reach(plan: LoadPlan, place: Place, secret: bytes, stop: asyncio.Event) -> Channel | None:
    """The follower's connection to its leader; None where that is not to be had in time, or `stop` came before."""
    told = asyncio.ensure_future(stop.wait())
    try:
        async with asyncio.timeout(plan.startup_seconds):
            while not told.done():
                if (channel := await _dialled(plan, place, secret)) is not None:
                    return channel
                await asyncio.wait((told,), timeout=AGAIN_SECONDS)
    except TimeoutError:
        pass
    finally:
        told.cancel()
    return None


async def _dialled(plan: LoadPlan, place: Place, secret: bytes) -> Channel | None:
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(plan.leader, plan.leader_port)
    except OSError:  # its name is not known before it has an address
        return None
    try:
        await introduce(reader, writer, secret, place)
    except Lost:
        writer.close()
        return None
    return Channel(reader, writer)
