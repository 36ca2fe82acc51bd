"""What may change of a run, by the models; `tests/cluster/test_contract.py` makes the same edits on a server."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from enginebench.api.changes import MUTABLE, refused_changes
from enginebench.api.crd import schema
from enginebench.api.v1alpha1 import BenchmarkRun
from tests.support.documents import walk
from tests.support.edits import edits, runs, schema_at

SCHEMA = schema()
RUNS = runs()


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run["metadata"]["name"])
def test_every_edit_is_refused_but_the_mutable(run: dict[str, Any]) -> None:
    before = BenchmarkRun.model_validate(run).spec
    checked = 0
    for edit in edits(run, SCHEMA):
        try:
            after = BenchmarkRun.model_validate(edit.after).spec
        except ValidationError:
            continue  # refused for what it is, before what it was comes into question
        refused = refused_changes(before, after)
        expected = [] if edit.allowed else [f"{edit.field}: cannot be changed"]
        assert [line[: len(f"{edit.field}: cannot be changed")] for line in refused] == expected, edit.what
        checked += 1
    assert checked


def test_cancel_goes_one_way() -> None:
    running = BenchmarkRun.model_validate(RUNS[0]).spec
    cancelled = running.model_copy(update={"cancel": True})
    assert refused_changes(running, cancelled) == []
    assert refused_changes(cancelled, running) == [
        "spec.cancel: cannot be taken back: a cancelled run is over, create another"
    ]


def test_the_runs_hold_every_property() -> None:
    """A property that no run sets would be edited by no test."""
    held = {_generic(place) for run in RUNS for place, _ in walk(run)}
    # engineDefaults and targets[].pod are one type: what is tried in one need not be in the other.
    missing = {p for p in _properties(SCHEMA["properties"]["spec"], "spec") if p not in held}
    missing = {p for p in missing if p.replace("spec.engineDefaults", "spec.targets[].pod") not in held}
    assert not missing


def test_mutable_ones_exist() -> None:
    assert set(SCHEMA["properties"]["spec"]["properties"]) >= MUTABLE


def _generic(place: tuple[str | int, ...]) -> str:
    parts: list[str] = []
    node: tuple[str | int, ...] = ()
    for step in place:
        keyed = node and "properties" not in schema_at(SCHEMA, node) and not isinstance(step, int)
        parts.append("[]" if isinstance(step, int) else "{}" if keyed else f".{step}")
        node = (*node, step)
        if node[0] != "spec":
            break
    return "".join(parts).removeprefix(".")


def _properties(node: dict[str, Any], path: str) -> Iterator[str]:
    yield path
    for name, child in node.get("properties", {}).items():
        yield from _properties(child, f"{path}.{name}")
    if "items" in node:
        yield from _properties(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from _properties(node["additionalProperties"], path + "{}")
