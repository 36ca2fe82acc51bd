"""Every edit that a user can make to a run: each property changed, removed and added, each list reordered.

The edits are made from the runs in `tests/fixtures/edits`; the schema tells what a property may become.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from enginebench.api.changes import MUTABLE
from enginebench.api.v1alpha1 import BenchmarkRun
from tests.support import documents
from tests.support.documents import Path as Place
from tests.support.documents import get, written

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "edits"


@dataclass(frozen=True)
class Edit:
    """One edit of `before`; `patch` is the same as a JSON patch."""

    what: str
    before: dict[str, Any]
    after: dict[str, Any]
    patch: list[dict[str, Any]]
    field: str
    """The property of the spec that changes: `spec.workload`."""
    to_default: bool = False
    """It leaves out, or writes, what is the default: nothing changes."""

    @property
    def allowed(self) -> bool:
        """Whether it may be made."""
        return self.to_default or self.field.removeprefix("spec.") in MUTABLE


def runs() -> list[dict[str, Any]]:
    """The runs to edit, as they are, and each again with all that can be left out left out."""
    full = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.yaml"))]
    return full + [sparse for run in full if (sparse := _sparse(run))["spec"] != run["spec"]]


def edits(run: dict[str, Any], schema: dict[str, Any]) -> list[Edit]:
    """Every edit of this run; `schema` is the CRD's, of the whole object."""
    full = next((r for r in runs() if r["metadata"]["name"] + "-sparse" == run["metadata"]["name"]), None)
    if full is not None:
        return list(_additions(run, full, schema))
    return [*_changes(run, schema), *_removals(run, schema), *_orders(run)]


def schema_at(schema: dict[str, Any], place: Place) -> dict[str, Any]:
    """The schema of what stands there."""
    for step in place:
        if isinstance(step, int):
            schema = schema["items"]
        else:
            schema = schema["properties"][step] if "properties" in schema else schema["additionalProperties"]
    return schema


def _changes(run: dict[str, Any], schema: dict[str, Any]) -> Iterator[Edit]:
    for place, value in _spec(run):
        if not isinstance(value, dict | list):
            other = _other(value, schema_at(schema, place))
            yield _edit("change", run, place, documents.changed(run, place, other), "replace", other)


def _removals(run: dict[str, Any], schema: dict[str, Any]) -> Iterator[Edit]:
    for place, value in _spec(run):
        edit = _edit("remove", run, place, documents.without(run, place), "remove")
        yield replace(edit, to_default=_is_default(schema, place, value))


def _additions(sparse: dict[str, Any], full: dict[str, Any], schema: dict[str, Any]) -> Iterator[Edit]:
    for place, value in _spec(full):
        if not _has(sparse, place) and _has(sparse, place[:-1]):
            edit = _edit("add", sparse, place, documents.changed(sparse, place, value), "add", value)
            yield replace(edit, to_default=_is_default(schema, place, value))


def _is_default(schema: dict[str, Any], place: Place, value: Any) -> bool:
    return bool(schema_at(schema, place).get("default") == value)


def _orders(run: dict[str, Any]) -> Iterator[Edit]:
    for place, value in _spec(run):
        if isinstance(value, list) and len(value) > 1:
            turned = value[::-1]
            yield _edit("reorder", run, place, documents.changed(run, place, turned), "replace", turned)
            longer = [*value, _another(value[-1])]
            yield _edit("lengthen", run, place, documents.changed(run, place, longer), "replace", longer)


def _edit(what: str, run: dict[str, Any], place: Place, after: dict[str, Any], op: str, *value: Any) -> Edit:
    pointer = "/" + "/".join(str(step).replace("~", "~0").replace("/", "~1") for step in place)
    patch = {"op": op, "path": pointer} | ({"value": value[0]} if value else {})
    return Edit(f"{what} {written(place)}", run, after, [patch], f"spec.{place[1]}")


def _spec(run: dict[str, Any]) -> Iterator[tuple[Place, Any]]:
    return ((place, value) for place, value in documents.walk(run) if place[:1] == ("spec",) and len(place) > 1)


def _has(run: dict[str, Any], place: Place) -> bool:
    try:
        get(run, place)
    except (KeyError, IndexError):
        return False
    return True


def _sparse(run: dict[str, Any]) -> dict[str, Any]:
    """The run without every value that it can do without, objects kept even if empty."""
    sparse = deepcopy(run)
    sparse["metadata"]["name"] += "-sparse"
    for place, value in reversed(list(_spec(run))):
        if isinstance(value, dict) or place[1] == "suspend" or isinstance(place[-1], int):
            continue
        fewer = documents.without(sparse, place)
        if _good(fewer):
            sparse = fewer
    for name in ("engineDefaults", "loadGenerator", "placement", "timeouts"):
        if len(sparse["spec"]["targets"]) == 1 and name in sparse["spec"]:
            del sparse["spec"][name]
    return sparse


def _good(run: dict[str, Any]) -> bool:
    try:
        BenchmarkRun.model_validate(run)
    except ValidationError:
        return False
    return True


def _other(value: Any, schema: dict[str, Any]) -> Any:
    """Another value of the same type, within its bounds."""
    if isinstance(value, bool):
        return not value
    if "enum" in schema:
        return next(word for word in schema["enum"] if word != value)
    if isinstance(value, int):
        return value + 1 if value < schema.get("maximum", value + 1) else value - 1
    if value[:1].isdigit():
        return "0.5" if value != "0.5" else "0.25"
    return value + "x"


def _another(value: Any) -> Any:
    if isinstance(value, dict):
        return value | {"name": value["name"] + "x"} if "name" in value else value
    return value + "x" if isinstance(value, str) else value + 1
