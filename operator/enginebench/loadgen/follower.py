"""A process that carries a share of the load, as the leader commands: it decides nothing and writes no frames."""

import asyncio
import os
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from time import monotonic_ns
from typing import Any

import msgspec

from enginebench.api.loadplan import LoadPlan, PointPlan, Row
from enginebench.loadgen.access import address_of
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.channel import (
    BEAT_SECONDS,
    ORDERS,
    Alive,
    Beat,
    Channel,
    Close,
    Drained,
    Full,
    Lost,
    Model,
    Open,
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
)
from enginebench.loadgen.connection import SocketAddress
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.history import Asked
from enginebench.loadgen.load import Load
from enginebench.loadgen.point import load_of, quiet_collector
from enginebench.loadgen.shard import Shard
from enginebench.loadgen.verify import asked, resolved
from enginebench.results import shares


class Follower:
    """One process's work until its leader has gone."""

    def __init__(self, plan: LoadPlan, channel: Channel, complain: Callable[[str], None]) -> None:
        """`complain` takes what is noise to the operator, and helps to find a bug."""
        self._plan = plan
        self._complain = complain
        self._channel = channel
        self._load: Load | None = None
        self._address: SocketAddress | None = None
        self._bodies: Bodies | None = None
        self._rows: Sequence[Row] = ()
        self._quiet = ExitStack()
        self._watchers: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Obey. Whatever goes wrong is told to the leader, who gives up for all."""
        asyncio.get_running_loop().set_exception_handler(self._callback_failed)
        heart = asyncio.create_task(self._beat())
        try:
            while True:
                await self._obey(ORDERS.decode(await self._channel.hear()))
        except Lost:
            pass  # the leader has ended
        except GaveUp as reason:
            self._channel.say(Refusal(reason.reason, str(reason)))
        except Exception as error:  # whatever it is, the leader must hear of it
            self._complain("".join(traceback.format_exception(error)))
            self._channel.say(Refusal("LoadGeneratorError", f"{type(error).__name__}: {error}"))
        finally:
            heart.cancel()
            await self._channel.close()
            self._end()

    async def _obey(self, order: object) -> None:
        match order:
            case Rows(rows):
                self._rows = rows
            case Model(name):
                self._plan = msgspec.structs.replace(self._plan, model=name)
            case Prepare(point, number, count):
                self._end()
                self._load = await self._prepared(point, Shard(number, count))
                self._quiet.enter_context(quiet_collector())
                await self._load.connect()
                self._channel.say(Prepared())
            case Start(ramp_seconds, at):
                load = self._there()
                load.begin_at = at
                events = ((load.warm, Warm()), (load.full, Full()), (load.drained, Drained()))
                self._watchers = [asyncio.create_task(self._tell(event, news)) for event, news in events]
                load.start(ramp_seconds)
            case Open():
                self._there().open_window()
            case Tick():
                self._there().tick()
            case Close():
                self._there().close_window()
            case Stop():
                load = self._there()
                load.stop()
                self._channel.say(Share(shares.to_bytes(load.seen()), self._asked))
                self._end()
            case Ping(number):
                self._channel.say(Pong(number, monotonic_ns()))
            case Beat():
                pass

    async def _tell(self, event: asyncio.Event, news: Report) -> None:
        await event.wait()
        self._channel.say(news)

    async def _beat(self) -> None:
        while True:
            self._channel.say(Alive(self._load.progress if self._load is not None else 0))
            await asyncio.sleep(BEAT_SECONDS)

    async def _prepared(self, point: PointPlan, shard: Shard) -> Load:
        """The share of a point. At the first one the engine is known to answer: it is looked up then."""
        if self._bodies is None or self._address is None:
            address = address_of(self._plan, os.environ)
            self._address = await asked(resolved(address))
            self._bodies = Bodies(self._plan, address, self._rows)
        self._bodies.warm(point, shard)
        return load_of(self._plan, self._address, point, self._bodies, self._plan.max_requests, shard)

    @property
    def _asked(self) -> Asked:
        return self._bodies.asked if self._bodies is not None else Asked()

    def _there(self) -> Load:
        if self._load is None:
            raise Lost("an order without a point")
        return self._load

    def _end(self) -> None:
        """Nothing of a point goes on."""
        for watcher in self._watchers:
            watcher.cancel()
        if self._load is not None:
            self._load.stop()
        self._load, self._watchers = None, []
        self._quiet.close()

    def _callback_failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of the hot path raised: what was measured since is not to be trusted."""
        error = context.get("exception")
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        self._complain(f"{context.get('message')}\n{trace}")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            with suppress(OSError):
                self._channel.say(Refusal("LoadGeneratorError", f"{type(error).__name__}: {error}"))
