"""A token that nobody may read: taken out of whatever leaves the pod, for servers repeat it in their errors."""

from collections.abc import Callable
from typing import Any

import msgspec

HIDDEN = "[token]"
SHORTEST_PART = 8
"""Of a longer token also its beginning is hidden, from so many characters on: texts are cut."""


def without_token(text: str, token: str) -> str:
    """The text with the token, and what a cut has left of its beginning, hidden."""
    start = token[:SHORTEST_PART]
    if not start:
        return text
    at = text.find(start)
    while at >= 0:
        end = at + len(start)
        while end < len(text) and end - at < len(token) and text[end] == token[end - at]:
            end += 1
        text = text[:at] + HIDDEN + text[end:]
        at = text.find(start, at + len(HIDDEN))
    return text


def clean(value: Any, token: str) -> Any:
    """The same struct, tuple or dictionary with the token hidden in every text of it."""
    return changed(value, lambda text: without_token(text, token))


def changed(value: Any, change: Callable[[str], str]) -> Any:
    """The same struct, tuple or dictionary with every text of it changed; counts whose keys become equal are added up."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, msgspec.Struct):
        fields = {name: changed(getattr(value, name), change) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    if isinstance(value, tuple | list):
        return type(value)(changed(member, change) for member in value)
    if isinstance(value, dict):
        made: dict[Any, Any] = {}
        for key, member in value.items():
            name, new = changed(key, change), changed(member, change)
            both = name in made and isinstance(new, int) and isinstance(made[name], int)
            made[name] = made[name] + new if both else new
        return made
    return value
