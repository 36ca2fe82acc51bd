"""Messages as lines of a log, and back: the channel from a load pod to the operator.

A log is a hostile medium: lines are split and mixed with others, files are rotated away, a reader starts over. So
a message is cut into short lines, each checked by a CRC, the whole by a SHA-256; what is not a frame is noise.

    EB1 <seq> <stream> <i>/<n> <crc32> <base64>

`seq` numbers the messages of one pod from 0, `i` the frames of one message from 1 to `n`. The CRC is over the line
without it (`<seq> <stream> <i>/<n> <base64>`). The joined frames are the payload's SHA-256 and the payload, zlib.
"""

import base64
import hashlib
import re
import zlib
from dataclasses import dataclass

import msgspec

from enginebench.results import messages
from enginebench.results.lines import MAX_FRAMES, crc, lines
from enginebench.results.messages import SpokenMessage

MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
"""Of one message, unpacked; a decoder unpacks no more."""

_DIGEST_BYTES = hashlib.sha256().digest_size
# Not anchored: a line that another writer left without its newline, or a time stamp, may stand before the frame.
_FRAME = re.compile(rb"EB1 (\d{1,9}) ([a-z]{1,16}) (\d{1,4})/(\d{1,4}) ([0-9a-f]{8}) ([A-Za-z0-9+/]+=*)")


@dataclass(frozen=True, slots=True)
class Spoken:
    """A whole message as it came off the wire; `payload` is its JSON, byte for byte as it was framed."""

    seq: int
    stream: str
    message: SpokenMessage
    payload: bytes


class Encoder:
    """Frames the messages of one pod; it holds the next message's number and nothing else."""

    def __init__(self) -> None:
        self._seq = 0

    def message(self, message: SpokenMessage) -> list[bytes]:
        """The lines of a message, on its own stream."""
        return self.lines(messages.stream_of(message), messages.encode(message))

    def lines(self, stream: str, payload: bytes) -> list[bytes]:
        """The lines of a payload, each with its newline; write each with one write(2), in this order."""
        framed = lines(self._seq, stream, payload)
        self._seq += 1
        return framed


class Decoder:
    """Puts one pod's messages together again from the lines of its log, in any order, each message once.

    It never raises: noise, torn, doubled and damaged lines give None. After a reconnect the log may be read from
    its start into the same decoder; what was delivered stays delivered.
    """

    def __init__(self) -> None:
        self._delivered: set[int] = set()
        self._open: dict[int, tuple[bytes, dict[int, bytes], int]] = {}

    def feed(self, line: str | bytes) -> Spoken | None:
        """The message that this line completes, if it does."""
        raw = line.encode("utf-8", "replace") if isinstance(line, str) else line
        found = _FRAME.search(raw)
        if found is None:
            return None
        seq, count = int(found[1]), int(found[4])
        if seq in self._delivered or not 1 <= int(found[3]) <= count <= MAX_FRAMES:
            return None
        if crc(raw[found.start(1) : found.end(4)], found[6]) != int(found[5], 16):
            return None
        return self._take(seq, found[2], int(found[3]), count, found[6])

    def _take(self, seq: int, stream: bytes, i: int, count: int, text: bytes) -> Spoken | None:
        known_stream, chunks, known_count = self._open.setdefault(seq, (stream, {}, count))
        if (known_stream, known_count) != (stream, count):
            return None
        try:
            chunks[i] = base64.b64decode(text, validate=True)
        except ValueError:
            return None
        if len(chunks) < count:
            return None
        del self._open[seq]  # whole but damaged: a second reading of the log may do better
        payload = _unpack(b"".join(chunks[k] for k in range(1, count + 1)))
        if payload is None:
            return None
        try:
            message = messages.decode(stream.decode(), payload)
        except (KeyError, msgspec.MsgspecError):
            return None
        self._delivered.add(seq)
        return Spoken(seq, stream.decode(), message, payload)


def is_frame(line: str | bytes) -> bool:
    """Whether the line holds (or looks like) a frame; every other line is what the pod's programs said in words."""
    return _FRAME.search(line.encode("utf-8", "replace") if isinstance(line, str) else line) is not None


def _unpack(body: bytes) -> bytes | None:
    unzip = zlib.decompressobj()
    try:
        payload = unzip.decompress(body[_DIGEST_BYTES:], MAX_PAYLOAD_BYTES)
    except zlib.error:
        return None
    return payload if hashlib.sha256(payload).digest() == body[:_DIGEST_BYTES] else None
