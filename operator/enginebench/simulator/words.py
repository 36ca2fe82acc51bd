"""The texts of simulated answers. A token is a word: a blank and four letters, five bytes, never escaped in JSON."""

_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va")

WORDS = tuple(f" {first}{second}".encode() for first in _SYLLABLES for second in _SYLLABLES)
"""256 words."""

WORD_BYTES = 5


def word(key: int, position: int) -> bytes:
    """Word number `position` of the answer to the request `key`; neighbours always differ."""
    return WORDS[(key + position * (key >> 8 | 1)) & 255]


def text(key: int, count: int) -> str:
    """The first `count` words of that answer."""
    return b"".join(word(key, position) for position in range(count)).decode()


def count_tokens(prompt: str) -> int:
    """Tokens of a prompt: its words, at least one; chat templates add none."""
    return max(1, len(prompt.split()))
