"""The bad specs of `tests/fixtures/badspecs`: what a user may get wrong, and the words that must come back."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.documents import drop, path_of, put

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "badspecs"
FILES = ("targets", "pods", "workload", "run", "generator")


@dataclass(frozen=True)
class BadSpec:
    """One fault: the run that has it, and what its refusal must hold."""

    name: str
    run: dict[str, Any]
    field: str
    says: str
    server_field: str
    server_says: str


def base() -> dict[str, Any]:
    """The good run that each case changes."""
    run: dict[str, Any] = yaml.safe_load((FOLDER / "base.yaml").read_text(encoding="utf-8"))
    return run


def bad_specs() -> list[BadSpec]:
    """Every case, in the order of the files."""
    return [
        _case(entry)
        for name in FILES
        for entry in yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    ]


def _case(entry: dict[str, Any]) -> BadSpec:
    unknown = entry.keys() - {"name", "set", "fill", "remove", "field", "says", "server"}
    server = entry.get("server", {})
    if unknown or (server and "because" not in server):
        raise ValueError(f"{entry['name']}: {unknown or 'say because why the server differs'}")
    run = base()
    for path, value in entry.get("set", {}).items():
        put(run, path_of(path), value)
    for path, many in entry.get("fill", {}).items():
        put(run, path_of(path), _filled(**many))
    for path in entry.get("remove", []):
        drop(run, path_of(path))
    return BadSpec(
        name=entry["name"],
        run=run,
        field=entry["field"],
        says=entry["says"],
        server_field=server.get("field", entry["field"]),
        server_says=server.get("says", entry["says"]),
    )


def _filled(times: int, value: Any) -> Any:
    if isinstance(value, str) and "#" not in value:
        return value * times
    return [_numbered(value, number) for number in range(1, times + 1)]


def _numbered(value: Any, number: int) -> Any:
    if value == "#":
        return number
    if isinstance(value, str):
        return value.replace("#", str(number))
    if isinstance(value, dict):
        return {key: _numbered(child, number) for key, child in value.items()}
    return deepcopy(value)
