"""Each bad spec against the models; `tests/cluster/test_contract.py` runs the same against a real API server."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from enginebench.api.changes import change_rules
from enginebench.api.crd import schema
from enginebench.api.errors import sentences
from enginebench.api.rules import VALIDATIONS
from enginebench.api.v1alpha1 import BenchmarkRun
from tests.support.badspecs import BadSpec, bad_specs, base

CASES = bad_specs()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused_with_field_and_words(case: BadSpec) -> None:
    with pytest.raises(ValidationError) as refusal:
        BenchmarkRun.model_validate(case.run)
    said = sentences(refusal.value, root="")
    assert any(line.startswith(f"{case.field}: ") and case.says in line for line in said), said


def test_base_is_good() -> None:
    BenchmarkRun.model_validate(base())


def test_enough_cases_and_none_twice() -> None:
    names = [case.name for case in CASES]
    assert len(names) >= 60
    assert len(set(names)) == len(names)


def test_every_rule_has_a_case() -> None:
    """A sentence that no case provokes may be wrong on one of the two sides."""
    rules = {rule["message"] for node in _nodes(schema()) for rule in node.get(VALIDATIONS, ())}
    provoked = {line.partition(": ")[2] for case in CASES for line in _said(case)}
    assert rules - provoked - {rule.sentence for rule in change_rules()} == set()


def _said(case: BadSpec) -> list[str]:
    try:
        BenchmarkRun.model_validate(case.run)
    except ValidationError as refusal:
        return sentences(refusal, root="")
    return []


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    below = [*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")]
    for child in below:
        if child is not None:
            yield from _nodes(child)
