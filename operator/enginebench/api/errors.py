"""What a model refuses, in the API server's words: the same sentence wherever a user meets the same fault."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

_Context = Mapping[str, Any]


def _type(name: str) -> Callable[[_Context], str]:
    return lambda _: f"must be of type {name}"


_WORDS: dict[str, Callable[[_Context], str]] = {
    "missing": lambda _: "Required value",
    "extra_forbidden": lambda _: "unknown field",
    "string_type": _type("string"),
    "int_type": _type("integer"),
    "bool_type": _type("boolean"),
    "list_type": _type("array"),
    "dict_type": _type("object"),
    "model_type": _type("object"),
    "literal_error": lambda c: f"supported values: {c['expected'].replace(chr(39), chr(34)).replace(' or ', ', ')}",
    "greater_than_equal": lambda c: f"should be greater than or equal to {c['ge']}",
    "less_than_equal": lambda c: f"should be less than or equal to {c['le']}",
    "string_too_short": lambda c: f"should be at least {c['min_length']} chars long",
    "string_too_long": lambda c: f"may not be more than {c['max_length']} bytes",
    "too_short": lambda c: f"should have at least {c['min_length']} items",
    "too_long": lambda c: f"must have at most {c['max_length']} items",
}


def sentences(error: ValidationError, root: str = "spec") -> list[str]:
    """`field: what is wrong and what to do`, one for each fault; `root` is the field that was validated."""
    found = []
    for fault in error.errors(include_url=False, include_input=False):
        place = _path(root, fault["loc"])
        context = fault.get("ctx", {})
        if fault["type"] == "rule":
            found += [f"{_joined(place, field)}: {sentence}" for field, sentence in context["broken"]]
        else:
            words = _WORDS.get(fault["type"])
            found.append(f"{place}: {words(context) if words is not None else fault['msg']}")
    return found


def _path(root: str, place: tuple[int | str, ...]) -> str:
    """As the API server writes it: `spec.targets[0].vllm.model`."""
    return _joined(root, "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place))


def _joined(place: str, below: str) -> str:
    return f"{place}{below}" if place else below.removeprefix(".")
