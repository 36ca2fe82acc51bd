"""The generator: what it writes, and what it refuses to write."""

import json
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import Field

from enginebench.api import crd
from enginebench.api.base import SpecObject
from enginebench.api.schema import Converter, NotStructuralError
from enginebench.api.v1alpha1 import BenchmarkRunStatus

ROOT = Path(__file__).resolve().parents[3]
TREE = crd.schema()
Bounded = Annotated[str, Field(max_length=10)]


def nodes(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every schema in a schema."""
    found = [(path, schema)]
    for name, child in schema.get("properties", {}).items():
        found += nodes(child, f"{path}.{name}")
    for below in ("items", "additionalProperties"):
        if below in schema:
            found += nodes(schema[below], f"{path}[]")
    return found


def convert(model: type[SpecObject]) -> dict[str, Any]:
    document = model.model_json_schema(by_alias=True)
    return Converter(document.pop("$defs", {}), strict=True).convert(document, "spec")


def test_file_is_what_the_models_say() -> None:
    assert (ROOT / crd.FILE).read_text(encoding="utf-8") == crd.text()


def test_check_tells_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "crds" / "run.yaml"
    assert crd.main(["--check", str(file)]) == 1
    assert "run `python -m enginebench crd --write`" in capsys.readouterr().err
    assert crd.main(["--write", str(file)]) == 0
    assert crd.main(["--check", str(file)]) == 0
    file.write_text(file.read_text() + "x: y\n")
    assert crd.main(["--check", str(file)]) == 1


def test_prints_the_definition(capsys: pytest.CaptureFixture[str]) -> None:
    assert crd.main([]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == crd.definition()


def test_short_enough_to_be_applied() -> None:
    """`kubectl apply` keeps a copy in an annotation of at most 256 KiB: JSON without blanks."""
    kept = json.dumps(crd.definition(), separators=(",", ":"), ensure_ascii=False)
    assert len(kept.encode()) < 256 * 1024


def test_everything_is_described() -> None:
    assert [path for path, node in nodes(TREE) if not path.endswith("[]") and "description" not in node] == [
        ".metadata",
        ".metadata.name",
    ]


def test_no_enum_and_no_default_in_status() -> None:
    inside = nodes(TREE["properties"]["status"])
    assert [path for path, node in inside if "enum" in node] == []
    assert [path for path, node in inside if "default" in node] == [""]


def test_columns_point_at_what_there_is() -> None:
    for name, _, path, _, _ in crd.COLUMNS:
        node = TREE
        for step in path.removeprefix(".").split(".")[: 2 if "[?" in path else None]:
            if step == "metadata":
                break
            assert step.split("[")[0] in node["properties"], name
            node = node["properties"][step.split("[")[0]]


class Unbounded(SpecObject):
    """A text without a bound."""

    text: str
    """Any."""


class UnboundedList(SpecObject):
    """A list without a bound."""

    texts: list[Bounded]
    """Any."""


class UnboundedMap(SpecObject):
    """A map without a bound."""

    texts: dict[str, Bounded]
    """Any."""


class Union(SpecObject):
    """Two types in one."""

    value: Bounded | int
    """Any."""


class Anything(SpecObject):
    """An object of any content."""

    value: dict[str, Any]
    """Any."""


class Pair(SpecObject):
    """A tuple."""

    pair: tuple[int, int]
    """Any."""


class Silent(SpecObject):
    """A property that nobody described."""

    count: int


class Multiple(SpecObject):
    """A constraint that is not in the table."""

    count: Annotated[int, Field(multiple_of=2)]
    """Any."""


class Inner(SpecObject):
    """Has a default."""

    count: int = 1
    """Any."""


class DefaultBelowList(SpecObject):
    """A default where it shows as drift."""

    inner: Annotated[list[Inner], Field(max_length=2)]
    """Any."""


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Unbounded, "spec.text: has no maxLength"),
        (UnboundedList, "spec.texts: has no maxItems"),
        (UnboundedMap, "spec.texts: has no maxProperties"),
        (Union, "spec.value: a union of 2"),
        (Anything, "spec.value: an object that may hold anything"),
        (Pair, "spec.pair: prefixItems is not structural"),
        (Silent, "spec.count: has no description"),
        (Multiple, "spec.count: multipleOf is not structural"),
        (DefaultBelowList, r"spec.inner\[\].count: a default at or below a list"),
    ],
)
def test_refuses_what_it_does_not_know(model: type[SpecObject], words: str) -> None:
    with pytest.raises(NotStructuralError, match=words):
        convert(model)


def test_a_default_outside_of_lists_is_kept_and_told() -> None:
    assert convert(Inner)["properties"]["count"] == {
        "type": "integer",
        "default": 1,
        "description": "Any. Default: 1.",
    }


def test_a_list_whose_order_could_change_unseen() -> None:
    tree = {"type": "object", "properties": {"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {}}}}
    with pytest.raises(NotStructuralError, match="make it atomic"):
        crd._order_compared(tree, "spec")


def test_status_schema_knows_every_field() -> None:
    known = TREE["properties"]["status"]["properties"]
    assert set(known) == {field.alias for field in BenchmarkRunStatus.model_fields.values()}
