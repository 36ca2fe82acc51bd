"""Unsigned integers of any size as bytes, small ones short: seven bits a byte, the low ones first (LEB128)."""

from collections.abc import Iterable, Iterator

_MORE = 0x80
"""The bit of a byte that says: another one follows."""


def pack(numbers: Iterable[int]) -> bytes:
    """The numbers, one after another; a negative one is a ValueError."""
    out = bytearray()
    for number in numbers:
        if number < 0:
            raise ValueError(f"{number} is negative")
        rest = number
        while rest >= _MORE:
            out.append(rest & (_MORE - 1) | _MORE)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def unpack(data: bytes) -> Iterator[int]:
    """The numbers again; ValueError where the last one is cut off."""
    number = shift = 0
    for byte in data:
        number |= (byte & (_MORE - 1)) << shift
        shift += 7
        if byte < _MORE:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("the last number is cut off")
