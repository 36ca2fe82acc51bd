"""The lines of one framed message (`results.frames`). Standard library alone: a program of ours in an engine's image
writes them, too."""

import base64
import hashlib
import zlib

FRAME_BYTES = 4096
"""A line with its newline is at most this long: PIPE_BUF, so that one write(2) of it is never mixed with another."""
CHUNK_BYTES = 3000
"""Of a message in one frame: 4,000 characters of base64, and room for the longest head."""
MAX_FRAMES = 4096
"""Of one message; a decoder believes no larger count."""


def lines(seq: int, stream: str, payload: bytes) -> list[bytes]:
    """The frames of a payload, each with its newline; ValueError where it is too large."""
    bits = window_bits(len(payload))
    zipped = zlib.compressobj(wbits=bits, memLevel=bits - 7)
    body = hashlib.sha256(payload).digest() + zipped.compress(payload) + zipped.flush()
    chunks = [body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES)]
    if len(chunks) > MAX_FRAMES:
        raise ValueError(f"a message of {len(body)} bytes is over {MAX_FRAMES} frames of {CHUNK_BYTES} bytes")
    framed = []
    for i, chunk in enumerate(chunks, 1):
        place, text = f"{seq} {stream} {i}/{len(chunks)}".encode(), base64.b64encode(chunk)
        framed.append(b"EB1 %b %08x %b\n" % (place, crc(place, text), text))
    return framed


def window_bits(size: int) -> int:
    """Of zlib's window, which is to be no larger than what is compressed: to get the memory takes longer than the work."""
    return max(9, min(zlib.MAX_WBITS, size.bit_length()))


def crc(place: bytes, text: bytes) -> int:
    """Over a frame's place and text."""
    return zlib.crc32(text, zlib.crc32(place + b" "))
