"""Before a leader and a follower of another pod say anything, each proves that it knows the run's secret.

Challenge and response with HMAC-SHA256: both send 32 random bytes, each answers with the digest over its own part's
name, both challenges and the follower's place. The secret itself never goes over the wire, and an answer that was
overheard is good for no other connection. What is said afterwards is neither hidden nor signed: it is of the kind that
goes to the engine over plain HTTP as well.
"""

import asyncio
import hmac
import secrets
import struct
from typing import NamedTuple

from enginebench.loadgen.channel import Lost

SECONDS = 10.0
"""Who has not proved itself by then is refused."""
_CHALLENGE = 32
_PLACE = struct.Struct(">HH")
_PROOF = 32


class Place(NamedTuple):
    """Which process of which pod; both count from 0, and (0, 0) leads."""

    pod: int
    process: int


async def admit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: bytes) -> Place:
    """The leader's part: who calls. `Lost` for a stranger."""
    ours = secrets.token_bytes(_CHALLENGE)
    try:
        async with asyncio.timeout(SECONDS):
            writer.write(ours)
            told = await reader.readexactly(_CHALLENGE + _PLACE.size + _PROOF)
            theirs, place, proof = told[:_CHALLENGE], told[_CHALLENGE:-_PROOF], told[-_PROOF:]
            if not hmac.compare_digest(proof, _proof(secret, b"follower", ours + theirs + place)):
                raise Lost("it does not know the run's secret")
            writer.write(_proof(secret, b"leader", ours + theirs + place))
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise Lost("it has not proved that it belongs to the run") from error
    return Place(*_PLACE.unpack(place))


async def introduce(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: bytes, place: Place) -> None:
    """The follower's part. `Lost` where the other side is not the leader of the run."""
    ours, packed = secrets.token_bytes(_CHALLENGE), _PLACE.pack(*place)
    try:
        async with asyncio.timeout(SECONDS):
            theirs = await reader.readexactly(_CHALLENGE)
            both = theirs + ours + packed
            writer.write(ours + packed + _proof(secret, b"follower", both))
            if not hmac.compare_digest(await reader.readexactly(_PROOF), _proof(secret, b"leader", both)):
                raise Lost("it does not know the run's secret")
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise Lost("it has not proved that it leads the run") from error


def _proof(secret: bytes, part: bytes, both: bytes) -> bytes:
    return hmac.digest(secret, part + both, "sha256")
