"""A token that nobody may read: taken out of whatever leaves the pod, for servers repeat it in their errors."""

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
    """The same struct, tuple or dictionary with the token hidden in every text of it; equal keys are added up."""
    if isinstance(value, str):
        return without_token(value, token)
    if isinstance(value, msgspec.Struct):
        fields = {name: clean(getattr(value, name), token) for name in value.__struct_fields__}
        return msgspec.structs.replace(value, **fields)
    if isinstance(value, tuple | list):
        return type(value)(clean(member, token) for member in value)
    if isinstance(value, dict):
        cleaned: dict[Any, Any] = {}
        for key, member in value.items():
            name, new = clean(key, token), clean(member, token)
            both = name in cleaned and isinstance(new, int) and isinstance(cleaned[name], int)
            cleaned[name] = cleaned[name] + new if both else new
        return cleaned
    return value
