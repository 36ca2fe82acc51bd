"""Series as bytes, at the finest step that there is room for."""

import zlib
from collections.abc import Callable
from typing import TypeVar

import msgspec


class Formatted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is kept for long: whoever reads it asks for its format first."""

    format: int


S = TypeVar("S", bound=Formatted)


def finest(of: Callable[[int], Formatted], coarsest: int, fits: Callable[[bytes], bool]) -> bytes:
    """`of` steps of 1, 2, 4 …, the first that `fits`, as bytes; empty where not even the first from `coarsest` on does."""
    step = 1
    while True:
        data = pack(of(step))
        if fits(data):
            return data
        if step >= coarsest:
            return b""
        step *= 2


def pack(series: Formatted) -> bytes:
    """zlib over JSON."""
    return zlib.compress(msgspec.json.encode(series), 9)


def unpack(data: bytes, kind: type[S], known: int) -> S:
    """What `pack` made; ValueError for another format or what is none."""
    try:
        series = msgspec.json.decode(zlib.decompress(data), type=kind)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"not a series: {error}") from error
    if series.format != known:
        raise ValueError(f"a series of format {series.format}; this version reads format {known}")
    return series
