"""The tiny model's vocabulary: byte-level BPE with a token for every pair of letters, alone and after a blank."""

from itertools import product
from string import ascii_lowercase

SPECIAL = ("<s>", "</s>", "<unk>")
BEGIN, END, UNKNOWN = range(len(SPECIAL))
BLANK = "Ġ"
"""How byte-level BPE writes a blank."""


def byte_symbols() -> list[str]:
    """One printable character for each byte: GPT-2's table (bytes_to_unicode in its encoder.py)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = (byte for byte in range(256) if byte not in printable)
    symbols = {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}
    return [symbols[byte] for byte in range(256)]


def pairs() -> list[str]:
    """aa to zz."""
    return ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]


def vocabulary() -> list[str]:
    """Specials, the bytes, every pair of letters, and every pair after a blank: 1,611 tokens."""
    return [*SPECIAL, *byte_symbols(), *pairs(), *(BLANK + pair for pair in pairs())]


def merges() -> list[str]:
    """The BPE merges that make the pairs."""
    return [*(f"{pair[0]} {pair[1]}" for pair in pairs()), *(f"{BLANK} {pair}" for pair in pairs())]


def successors() -> list[int]:
    """Which token follows each token. A pair after a blank is followed by the next one; all else leads to them."""
    tokens = vocabulary()
    circle = [number for number, token in enumerate(tokens) if token[0] == BLANK and len(token) > 1]
    follows = [circle[number % len(circle)] for number in range(len(tokens))]
    for number, following in zip(circle, circle[1:] + circle[:1], strict=True):
        follows[number] = following
    return follows
