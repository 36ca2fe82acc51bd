"""The fuzzer's inputs: bytes that stand for a route, an answer and where it is cut; good ones, and mutations of them."""

import re
from collections.abc import Iterator
from random import Random

from tests.support import streams

MOST_BYTES = 4096
SHAPES = 60
WORDS = (
    b"data: ", b"data:", b"\r\n\r\n", b"\n\n", b": ping\n\n", b"[DONE]", b"0\r\n\r\n", b'"content":"', b'"text":"',
    b'"response":"', b'"finish_reason":null', b'"finish_reason":"stop"', b'"done":false', b'"done":true', b'"usage":',
    b'"delta":', b'"message":', b'"error":', b'"thinking":"', b'"reasoning_content":"', b'"tool_calls":', b"null",
    b"HTTP/1.1 ", b"100 Continue", b"Content-Length: ", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip",
)  # fmt: skip
HEADER_BYTES = 2
"""Of an input: how the rest is to be taken (route, framing), and a seed for the cuts."""
_START = b"HTTP/1.1 200 OK\r\n"
_RAW = 0


def input_of(api: str, framing: int, seed: int, rest: bytes) -> bytes:
    """The fuzzer's input for a response (framing 0) or a body (1 chunked, 2 with its length, 3 until the end)."""
    return bytes([streams.APIS.index(api) | framing << 2, seed]) + rest


def response_of(data: bytes) -> tuple[str, bytes]:
    """(route, response) that an input of at least `HEADER_BYTES` stands for."""
    how, rest = data[0], data[HEADER_BYTES:]
    framing = how >> 2 & 3
    if framing == _RAW:
        response = rest
    elif framing == 1:
        pieces = list(cuts(rest, data[1] ^ 0x55))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        response = _START + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    elif framing == 2:  # see input_of
        response = _START + b"Content-Length: %d\r\n\r\n" % len(rest) + rest
    else:
        response = _START + b"\r\n" + rest
    return streams.APIS[how & 3], response


def cuts(whole: bytes, seed: int) -> list[bytes]:
    """The bytes in pieces, none empty, that the seed decides."""
    random = Random(seed)  # noqa: S311  # no secret
    places = sorted(random.sample(range(1, len(whole)), min(len(whole) - 1, random.randrange(12)))) if whole else []
    return [piece for a, b in zip([0, *places], [*places, len(whole)], strict=True) if (piece := whole[a:b])]


def as_written(whole: bytes) -> list[bytes]:
    """The bytes in pieces as a server writes them that sends each event as a chunk of its own."""
    return [piece for piece in re.split(rb"(?<=\n\r\n)", whole) if piece]


def seeds() -> Iterator[bytes]:
    """Good answers of every kind: whole responses, and bodies to be framed."""
    for number, api in enumerate(streams.APIS):
        for shape in streams.some(api, number, SHAPES):
            head, pieces, end = streams.response(shape)
            yield input_of(api, 0, number, b"".join((head, *pieces, end)))
            for framing in (1, 2, 3):
                yield input_of(api, framing, number, b"".join(streams.events(shape)))


def mutations(random: Random) -> Iterator[bytes]:
    """Seeds with bytes cut out, overwritten and put in, without end."""
    corpus = list(seeds())
    while True:
        data = bytearray(random.choice(corpus))
        for _ in range(random.randrange(1, 8)):
            at, many = random.randrange(len(data) + 1), random.randrange(20)
            other = random.choice(corpus)
            begin = random.randrange(len(other))
            data[at : at + random.choice((0, many))] = random.choice(
                (b"", random.randbytes(many), random.choice(WORDS), other[begin : begin + 10 * many])
            )
        yield bytes(data[:MOST_BYTES])
