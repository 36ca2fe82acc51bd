"""Changing plain JSON documents by path: `spec.targets[0].vllm.model`."""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

Path = tuple[str | int, ...]

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def path_of(text: str) -> Path:
    """The steps of a written path."""
    return tuple(name or int(number) for name, number in _STEP.findall(text))


def written(path: Path) -> str:
    """The path as the API server writes it."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def get(document: Any, path: Path) -> Any:
    """What stands there; KeyError or IndexError where nothing does."""
    for step in path:
        document = document[step]
    return document


def put(document: Any, path: Path, value: Any) -> None:
    """Set it; objects on the way are made, list entries must be there."""
    for step in path[:-1]:
        document = document[step] if isinstance(step, int) else document.setdefault(step, {})
    document[path[-1]] = deepcopy(value)


def drop(document: Any, path: Path) -> None:
    """Take it away; KeyError where nothing is."""
    del get(document, path[:-1])[path[-1]]


def changed(document: Any, path: Path, value: Any) -> Any:
    """A copy with this value there."""
    copy = deepcopy(document)
    put(copy, path, value)
    return copy


def without(document: Any, path: Path) -> Any:
    """A copy without it."""
    copy = deepcopy(document)
    drop(copy, path)
    return copy


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Everything in the document with its path, containers before what is in them."""
    yield path, value
    if isinstance(value, dict):
        for name, child in value.items():
            yield from walk(child, (*path, name))
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from walk(child, (*path, i))
