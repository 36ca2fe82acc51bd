"""Kubernetes quantities, as far as two of them must be compared."""

import re
from decimal import Decimal

_SUFFIXES = {
    "": Decimal(1),
    **{suffix: Decimal(10) ** power for suffix, power in zip("num", (-9, -6, -3), strict=True)},
    **{suffix: Decimal(1000) ** (i + 1) for i, suffix in enumerate("kMGTPE")},
    **{suffix + "i": Decimal(1024) ** (i + 1) for i, suffix in enumerate("KMGTPE")},
}
_QUANTITY = re.compile(r"([0-9]+(?:[.][0-9]*)?|[.][0-9]+)(?:[eE]([-+]?[0-9]+)|([A-Za-z]*))")


def amount(quantity: str) -> Decimal:
    """The number a quantity means; `ValueError` where it is none."""
    parts = _QUANTITY.fullmatch(quantity)
    if parts is None or (parts[3] or "") not in _SUFFIXES:
        raise ValueError(f"{quantity!r} is no quantity")
    number = Decimal(parts[1])
    return number.scaleb(int(parts[2])) if parts[2] else number * _SUFFIXES[parts[3] or ""]


def exceeds(left: str, right: str) -> bool:
    """Whether `left` is more than `right`."""
    return amount(left) > amount(right)


def least(*quantities: str) -> str:
    """The smallest of them, as it is written."""
    return min(quantities, key=amount)
