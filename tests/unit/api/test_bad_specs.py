"""Each bad spec against the models; `tests/cluster/test_contract.py` runs the same against a real API server."""

import pytest
from pydantic import ValidationError

from enginebench.api.errors import sentences
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
