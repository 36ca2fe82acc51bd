"""Which events mean one thing only, so that the parser and the plain reader must agree on them.

The parser takes a content event by two byte searches and does not decode it. That is right for every event of the
dialects and for none of its mutations for sure: `"content":"` may stand where no dialect has it.
"""

import json
from collections import Counter
from typing import Any

from tests.support.plainreader import OPENAI

MOST_DEPTH = 50
MOST_TOKENS = 10**15
_AT_TOP = {"model", "choices", "usage", "error"}
_IN_CHOICE = {"delta", "text", "finish_reason"}
_IN_DELTA = {"content", "reasoning", "reasoning_content", "tool_calls"}
_IN_USAGE = {"prompt_tokens", "completion_tokens"}
_AT_OLLAMAS_TOP = {
    "model", "message", "response", "thinking", "done", "done_reason", "prompt_eval_count", "eval_count", "error",
}  # fmt: skip
_IN_MESSAGE = {"content", "thinking", "tool_calls"}
_KEYS = _AT_TOP | _IN_CHOICE | _IN_DELTA | _IN_USAGE | _AT_OLLAMAS_TOP | _IN_MESSAGE


def plain(api: str, event: bytes) -> bool:
    """It is JSON, what the dialect knows stands once, at its place and with its type, and nothing is beside an error."""
    if api in OPENAI and event == b"[DONE]":
        return True
    keys: list[str] = []
    try:
        document = json.loads(
            event.decode(), object_pairs_hook=lambda pairs: _noted(pairs, keys), parse_constant=_refused
        )
        json.dumps(document, ensure_ascii=False).encode()  # no half of a surrogate pair
    except (ValueError, RecursionError):
        return False
    if not isinstance(document, dict) or event.count(b"[") + event.count(b"{") > MOST_DEPTH:
        return False
    counts = Counter(key for key in keys if key in _KEYS)
    if any(count > 1 for count in counts.values()):
        return False
    if document.get("error"):
        return set(counts) <= {"error", "message"}
    placed = _openai(document) if api in OPENAI else _ollama(document)
    return placed is not None and set(counts) <= placed


def _openai(document: dict[str, Any]) -> set[str] | None:
    """The keys that stand where they belong; None where one has another type."""
    choices, usage = document.get("choices"), document.get("usage")
    ok = _typed(document, {"model": str, "error": str}) and isinstance(choices, list | None)
    ok = ok and len(choices or []) <= 1 and isinstance(usage, dict | None) and _counts(usage or {})
    if not ok:
        return None
    placed = _AT_TOP & set(document) | _IN_USAGE & set(usage or {})
    for choice in choices or []:
        if not isinstance(choice, dict) or not isinstance(choice.get("delta"), dict | None):
            return None
        delta = choice.get("delta") or {}
        words = {"content": str | None, "reasoning": str | None, "reasoning_content": str | None}
        if not (_typed(choice, {"text": str | None, "finish_reason": str | None}) and _typed(delta, words)):
            return None
        if not _tools(delta):
            return None
        placed |= _IN_CHOICE & set(choice) | _IN_DELTA & set(delta)
    return placed


def _ollama(document: dict[str, Any]) -> set[str] | None:
    message = document.get("message")
    words = {"model": str, "response": str, "thinking": str, "done": bool, "done_reason": str, "error": str}
    if not (_typed(document, words) and _counts(document) and isinstance(message, dict | None)):
        return None
    if not (_typed(message or {}, {"content": str, "thinking": str}) and _tools(message or {})):
        return None
    return _AT_OLLAMAS_TOP & set(document) | _IN_MESSAGE & set(message or {})


def _typed(members: dict[str, Any], types: dict[str, Any]) -> bool:
    return all(isinstance(members[name], wanted) for name, wanted in types.items() if name in members)


def _counts(members: dict[str, Any]) -> bool:
    names = ("prompt_tokens", "completion_tokens", "prompt_eval_count", "eval_count")
    numbers = [members[name] for name in names if members.get(name) is not None]
    return all(type(number) is int and 0 <= number < MOST_TOKENS for number in numbers)


def _tools(members: dict[str, Any]) -> bool:
    calls = members.get("tool_calls")
    if not isinstance(calls, list | None):
        return False
    functions = [call.get("function") for call in calls or [] if isinstance(call, dict)]
    return len(functions) == len(calls or []) and all(
        f is None or (isinstance(f, dict) and isinstance(f.get("name"), str | None)) for f in functions
    )


def _noted(pairs: list[tuple[str, Any]], keys: list[str]) -> dict[str, Any]:
    keys.extend(name for name, _ in pairs)
    return dict(pairs)


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
