"""Text for synthetic prompts: short English words, most of which a tokenizer counts as one token."""

import hashlib

_TEXT = """
the of and to in is you that it he was for on are as with his they at be this have from or one had by word but
not what all were we when your can said there use an each which she do how their if will up other about out many
then them these so some her would make like him into time has look two more write go see number no way could
people my than first water been call who oil its now find long down day did get come made may part over new
sound take only little work know place year live me back give most very after thing our just name good sentence
man think say great where help through
"""

VOCABULARY = tuple(_TEXT.split())
"""128 of them, so that a random byte names each alike."""


def words(seed: int, row: int, count: int) -> str:
    """`count` words that depend on nothing but `seed` and `row`."""
    drawn = hashlib.shake_256(f"enginebench/{seed}/{row}".encode()).digest(count)
    return " ".join([VOCABULARY[byte % len(VOCABULARY)] for byte in drawn])
