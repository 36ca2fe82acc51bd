"""What the processes of one load generator say to each other: the leader commands, the followers obey and report.

On the wire: four bytes of length, big-endian, then MessagePack. Both sides say every second that they are there.
"""

import asyncio
from contextlib import suppress

import msgspec

from enginebench.api.loadplan import PointPlan, Row
from enginebench.loadgen.history import Asked

BEAT_SECONDS = 1.0
SILENCE_SECONDS = 20.0
"""Who has said nothing for so long is lost: its process is stopped, its node or the network between is gone."""
MOST_BYTES = 1 << 30
"""Of one message; a share of a point is some hundred bytes a request."""
_LENGTH = 4
_PART_BYTES = 256 * 1024
"""Of a long message: what arrives in parts is no silence."""


class Lost(Exception):  # noqa: N818  # named for what happened
    """The other side is gone, or is not what it should be."""


class Order(msgspec.Struct, frozen=True, tag=True):
    """What the leader says."""


class Rows(Order, frozen=True):
    """The data set, as the leader has read it: the same for all, and fetched once."""

    rows: tuple[Row, ...]


class Model(Order, frozen=True):
    """The model to ask for, where the plan leaves it to what the endpoint lists."""

    name: str


class Prepare(Order, frozen=True):
    """Connect the users of the share `number` of `count` of a point."""

    point: PointPlan
    number: int
    count: int


class Start(Order, frozen=True):
    ramp_seconds: float
    at: int
    """The moment that schedules count from, by the follower's own monotonic clock."""


class Open(Order, frozen=True):
    """The window opens."""


class Tick(Order, frozen=True):
    """A second of the window is over."""


class Close(Order, frozen=True):
    """The window closes; what was started in it is followed on."""


class Ping(Order, frozen=True):
    """Say what your clock shows."""

    number: int


class Stop(Order, frozen=True):
    """Cancel everything, and hand over what was seen."""


class Beat(Order, frozen=True):
    """Still there."""


class Report(msgspec.Struct, frozen=True, tag=True):
    """What a follower says."""


class Prepared(Report, frozen=True):
    pass


class Warm(Report, frozen=True):
    pass


class Full(Report, frozen=True):
    pass


class Drained(Report, frozen=True):
    pass


class Alive(Report, frozen=True):
    """Said every second, with how many requests of the point have ended."""

    progress: int


class Pong(Report, frozen=True):
    """The answer to the ping of that number."""

    number: int
    clock: int
    """The follower's monotonic clock, nanoseconds."""


class Share(Report, frozen=True):
    """What was seen of the point: `results.shares`' bytes; and which prompts were asked."""

    seen: bytes
    asked: Asked


class Refusal(Report, frozen=True):
    """It gives up: reason and message as of a `Failure`."""

    reason: str
    message: str


ORDERS: msgspec.msgpack.Decoder[Order] = msgspec.msgpack.Decoder(
    Rows | Model | Prepare | Start | Open | Tick | Close | Ping | Stop | Beat
)
REPORTS: msgspec.msgpack.Decoder[Report] = msgspec.msgpack.Decoder(
    Prepared | Warm | Full | Drained | Alive | Pong | Share | Refusal
)


class Channel:
    """A connection between the leader and one follower."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def say(self, message: Order | Report) -> None:
        """At once, as far as the socket takes it; nothing happens on one that is closed."""
        self.send(packed(message))

    def send(self, data: bytes) -> None:
        """What `packed` has made."""
        self._writer.write(data)

    async def hear(self) -> bytes:
        """The next message. `Lost` where none comes, be it for silence."""
        size = int.from_bytes(await self._read(_LENGTH), "big")
        if size > MOST_BYTES:
            raise Lost(f"it sends a message of {size} bytes")
        parts = []
        while size:
            parts.append(await self._read(min(size, _PART_BYTES)))
            size -= len(parts[-1])
        return b"".join(parts)

    async def _read(self, size: int) -> bytes:
        try:
            async with asyncio.timeout(SILENCE_SECONDS):
                return await self._reader.readexactly(size)
        except TimeoutError as error:
            raise Lost(f"it has said nothing for {SILENCE_SECONDS:.0f} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Lost("its connection is closed") from error

    async def close(self) -> None:
        """Send what is left, and close."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def packed(message: Order | Report) -> bytes:
    """As it goes over the wire."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(_LENGTH, "big") + data
