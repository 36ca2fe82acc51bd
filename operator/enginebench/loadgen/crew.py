"""The followers, as the leader sees them; and a load point that all of them carry together."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from time import monotonic_ns

from enginebench.api.loadplan import PointPlan, Row
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.channel import (
    BEAT_SECONDS,
    REPORTS,
    Alive,
    Beat,
    Channel,
    Close,
    Drained,
    Full,
    Lost,
    Model,
    Open,
    Order,
    Ping,
    Pong,
    Prepare,
    Prepared,
    Refusal,
    Report,
    Rows,
    Share,
    Start,
    Stop,
    Tick,
    Warm,
    packed,
)
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.history import Asked
from enginebench.loadgen.load import Load
from enginebench.loadgen.shard import Shard
from enginebench.results import shares
from enginebench.results.records import Records
from enginebench.results.seen import Seen

PINGS, PING_PAUSE = 20, 0.005
"""Before and after a point, of each process of another pod; seconds between them."""
SHARE_SECONDS = 60.0
"""A follower that has not handed over its share by then is lost."""


class Remote:
    """One follower. A lost one is never waited for."""

    def __init__(self, name: str, channel: Channel, *, distant: bool = False) -> None:
        """`distant`: in another pod, whose clock is not ours."""
        self.name = name
        """For people: which process it is."""
        self.distant = distant
        self.lost = ""
        """Why it is gone, in words."""
        self.refusal: Refusal | None = None
        self.progress = 0
        self.prepared = asyncio.Event()
        self.warm, self.full, self.drained = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.handed_over = asyncio.Event()
        self.seen: Seen | None = None
        self.asked = Asked()
        self.on_loss: Callable[[], None] = lambda: None
        self._readings: list[shares.Offset] = []
        self._pings = 0
        self._pong: asyncio.Future[int | None] | None = None
        self._channel = channel
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]

    def tell(self, order: Order) -> None:
        self.send(packed(order))

    def send(self, data: bytes) -> None:
        if not self.lost:
            self._channel.send(data)

    def prepare(self, point: PointPlan, shard: Shard) -> None:
        """A new point: what was told of the last one is forgotten."""
        self.progress, self.seen = 0, None
        self._readings.clear()
        self.asked = Asked()
        for event in self._of_a_point():
            event.clear()
        self.tell(Prepare(point, shard.number, shard.count))
        if self.lost:
            self._release()

    @property
    def offset(self) -> shares.Offset:
        """Of its clock, by all that was read since the point was prepared."""
        return shares.spanning(self._readings) if self._readings else shares.SAME_CLOCK

    async def compare_clocks(self) -> None:
        """Read its clock: of several pings the one that took the least time tells the most."""
        if not self.distant:
            return
        best: shares.Offset | None = None
        for _ in range(PINGS):
            if (reading := await self._ping()) is None:
                return  # lost: its share is, too
            if best is None or reading.uncertainty < best.uncertainty:
                best = reading
            await asyncio.sleep(PING_PAUSE)
        if best is not None:
            self._readings.append(best)

    async def _ping(self) -> shares.Offset | None:
        if self.lost:
            return None
        self._pings += 1
        self._pong = asyncio.get_running_loop().create_future()
        asked = monotonic_ns()
        self.tell(Ping(self._pings))
        clock = await self._pong
        answered = monotonic_ns()
        return None if clock is None else shares.reading(asked, clock, answered)

    def lose(self, why: str) -> None:
        """It is gone: whoever waits for it waits no longer."""
        self.lost = self.lost or why
        self._release()
        self.on_loss()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._channel.close()

    def _of_a_point(self) -> tuple[asyncio.Event, ...]:
        return self.prepared, self.warm, self.full, self.drained, self.handed_over

    def _release(self) -> None:
        for event in self._of_a_point():
            event.set()
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(None)

    async def _listen(self) -> None:
        try:
            while True:
                self._hear(REPORTS.decode(await self._channel.hear()))
        except Lost as error:
            self.lose(str(error))
        except Exception as error:  # whatever it is, nobody may wait for this follower any longer
            self.lose(f"what it says is not understood: {type(error).__name__}: {error}")

    def _hear(self, report: Report) -> None:
        match report:
            case Prepared():
                self.prepared.set()
            case Warm():
                self.warm.set()
            case Full():
                self.full.set()
            case Drained():
                self.drained.set()
            case Alive(progress):
                self.progress = progress
            case Pong(number, clock):
                if number == self._pings and self._pong is not None and not self._pong.done():
                    self._pong.set_result(clock)
            case Share():
                self.seen = shares.from_bytes(report.seen)
                self.asked = report.asked
                self.handed_over.set()
            case Refusal():
                self.refusal = report
                self.lose(report.message)

    async def _beat(self) -> None:
        while True:
            self.tell(Beat())
            await asyncio.sleep(BEAT_SECONDS)


class Crew:
    """All followers of a leader, in the order in which shares are dealt out; the leader's own comes first."""

    def __init__(self, remotes: Sequence[Remote] = ()) -> None:
        self.remotes = tuple(remotes)
        self.broken = asyncio.Event()
        """One of them is lost: what is being measured is worth nothing."""
        for remote in self.remotes:
            remote.on_loss = self.broken.set
            if remote.lost:
                self.broken.set()

    def hand_out(self, rows: Sequence[Row]) -> None:
        """The data set, to all."""
        if self.remotes:
            data = packed(Rows(tuple(rows)))
            for remote in self.remotes:
                remote.send(data)

    def ask_for(self, model: str) -> None:
        """The model that was found, to all."""
        for remote in self.remotes:
            remote.tell(Model(model))

    def raise_refusals(self) -> None:
        """GaveUp for all where one of them has given up."""
        for remote in self.remotes:
            if remote.refusal is not None:
                raise GaveUp(remote.refusal.reason, remote.refusal.message)

    def raise_lost(self) -> None:
        """GaveUp where one of them is gone: the load cannot be had any more."""
        for remote in self.remotes:
            if remote.lost:
                raise GaveUp("LoadPodLost", f"The load generator's {remote.name} is lost: {remote.lost}.")

    async def end(self) -> None:
        """Let all of them go."""
        await asyncio.gather(*(remote.end() for remote in self.remotes))


async def gathered(sockets: Sequence[socket.socket]) -> Crew:
    """The other processes of this pod, by the leader's ends of their sockets."""
    channels = [Channel(*await asyncio.open_unix_connection(sock=sock)) for sock in sockets]
    return Crew([Remote(f"process {number}", channel) for number, channel in enumerate(channels, 2)])


class SharedLoad:
    """A point's load in the hands of several processes, driven like that of one."""

    def __init__(self, point: PointPlan, own: Load, bodies: Bodies, remotes: Sequence[Remote]) -> None:
        """`own` is the leader's share, which takes its requests from `bodies`."""
        self.warm, self.full, self.drained = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._point = point
        self._own = own
        self._bodies = bodies
        self._remotes = remotes
        self._over = False
        self._watchers: list[asyncio.Task[None]] = []

    @property
    def progress(self) -> int:
        return self._own.progress + sum(remote.progress for remote in self._remotes)

    @property
    def records(self) -> Records:
        """The leader's share of them."""
        return self._own.records

    @property
    def lost_shards(self) -> int:
        """Shares that nobody will hand over."""
        return sum(remote.seen is None for remote in self._remotes)

    @property
    def clock_uncertainty(self) -> float | None:
        """Of the clocks of all pods against ours, seconds; None where there is only one clock."""
        distant = [remote.offset.uncertainty for remote in self._remotes if remote.distant]
        return max(distant) / 1e9 if distant else None

    def prompts_repeated(self) -> float:
        """Share of the window's requests whose prompt, unsalted, this engine had been sent before by any of them. Once,
        after `gathered`."""
        return self._bodies.repeated([remote.asked for remote in self._remotes])

    async def connect(self) -> None:
        for number, remote in enumerate(self._remotes, 1):
            remote.prepare(self._point, Shard(number, len(self._remotes) + 1))
        await asyncio.gather(self._own.connect(), *(remote.prepared.wait() for remote in self._remotes))
        await self._compare_clocks()
        own, remotes = self._own, self._remotes
        self._watchers = [
            asyncio.create_task(_together(self.warm, [own.warm, *(remote.warm for remote in remotes)])),
            asyncio.create_task(_together(self.full, [own.full, *(remote.full for remote in remotes)])),
            asyncio.create_task(_together(self.drained, [own.drained, *(remote.drained for remote in remotes)])),
        ]

    def start(self, ramp_seconds: float) -> None:
        self._own.begin_at = monotonic_ns()
        for remote in self._remotes:
            remote.tell(Start(ramp_seconds, self._own.begin_at + remote.offset.ahead))
        self._own.start(ramp_seconds)

    def open_window(self) -> None:
        self._tell(Open())
        self._own.open_window()

    def tick(self) -> None:
        self._tell(Tick())
        self._own.tick()

    def close_window(self) -> None:
        self._tell(Close())
        self._own.close_window()

    def stop(self) -> None:
        if self._over:
            return
        self._over = True
        for watcher in self._watchers:
            watcher.cancel()
        self._tell(Stop())
        self._own.stop()

    async def gathered(self) -> Seen:
        """All that was handed over, merged, once the load is stopped."""
        waits = [asyncio.create_task(remote.handed_over.wait()) for remote in self._remotes]
        if waits:
            await asyncio.wait(waits, timeout=SHARE_SECONDS)
        for remote in self._remotes:
            if not remote.handed_over.is_set():
                remote.lose(f"it has not handed over its share within {SHARE_SECONDS:.0f} s")
        await self._compare_clocks()
        theirs = [(remote.seen, remote.offset) for remote in self._remotes if remote.seen is not None]
        return shares.merged([(self._own.seen(), shares.SAME_CLOCK), *theirs])

    async def _compare_clocks(self) -> None:
        await asyncio.gather(*(remote.compare_clocks() for remote in self._remotes))

    def _tell(self, order: Order) -> None:
        for remote in self._remotes:
            remote.tell(order)


async def _together(event: asyncio.Event, parts: Iterable[asyncio.Event]) -> None:
    """Set once all the parts are."""
    await asyncio.gather(*(part.wait() for part in parts))
    event.set()
