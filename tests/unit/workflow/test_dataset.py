"""The data set is read before any engine exists; a run whose data set is bad, or never read, ends without one."""

from dataclasses import replace
from typing import Any

import pytest

from enginebench.api import conditions as c
from enginebench.results.messages import DatasetReport, Failure
from enginebench.workflow.decide import decide
from enginebench.workflow.observed import Heard, Role
from enginebench.workflow.plan import Create
from tests.unit.workflow.build import at, child, created, deleted, heard, load, observed, reasons, spec, step

CONFIG_MAP = spec().workload.model_dump(by_alias=True, exclude_none=True) | {
    "dataset": {"configMap": {"name": "prompts", "key": "p.jsonl"}}
}


def test_a_data_set_is_checked_before_any_engine_exists() -> None:
    seen, plan = step(observed(spec=spec(workload=CONFIG_MAP)), 0)
    assert created(plan) == [("LOAD_PLAN", ""), ("LOAD", "")]
    good = replace(seen, heard={load("").uid: heard(verified=False, dataset=DatasetReport(rows=7, digest="sha256:7"))})
    _, plan = step(good, 3)
    assert {a.dataset_digest for a in plan.actions if isinstance(a, Create)} == {"sha256:7"}
    assert ("LOAD", "") in deleted(plan)


@pytest.mark.parametrize(
    ("said", "want_reason", "want_words"),
    [
        (
            {"dataset": DatasetReport(rows=0, digest="", errors=("line 3: not JSON",))},
            "DatasetInvalid",
            "line 3: not JSON",
        ),
        ({"failure": Failure(reason="DatasetInvalid", message="empty")}, "DatasetInvalid", "empty"),
    ],
)
def test_a_bad_data_set_ends_the_run_and_no_gpu_was_taken(said: Any, want_reason: str, want_words: str) -> None:
    seen, _ = step(observed(spec=spec(workload=CONFIG_MAP)), 0)
    seen, plan = step(replace(seen, heard={load("").uid: heard(verified=False, **said)}), 3)
    assert reasons(seen.status)[c.STALLED] == ("True", want_reason)
    assert want_words in (seen.status.message or "")
    assert created(plan) == []
    assert [t.phase for t in seen.status.targets or ()] == ["Skipped", "Skipped"]


@pytest.mark.parametrize(
    ("changes", "last", "first", "want_reason", "want_words"),
    [
        ({"created_errors": {("", 1, "l"): "exceeded quota: jobs"}, "pods": ()}, 59, 60, "CreationRefused", "jobs"),
        (
            {"pods": (), "children": (child(Role.LOAD, "", trouble="no room for pods"),)},
            119,
            120,
            "LoadPodNotCreated",
            "no room for pods",
        ),
        ({"heard": {load("").uid: Heard(since=at(2))}}, 181, 182, "PrepareFailed", "has not told of the data set"),
        ({"heard": {load("").uid: Heard(deaf_since=at(9))}}, 188, 189, "PrepareFailed", "has not told of the data set"),
    ],
)
def test_a_data_set_that_is_never_read_ends_the_run(
    changes: dict[str, Any], last: float, first: float, want_reason: str, want_words: str
) -> None:
    seen, _ = step(observed(spec=spec(workload=CONFIG_MAP)), 0)
    seen = replace(seen, **changes)
    plan = decide(seen, at(last))
    assert plan.status is None or reasons(plan.status)[c.FINISHED][0] == "False"
    plan = decide(seen, at(first))
    assert plan.status is not None
    assert reasons(plan.status)[c.STALLED] == ("True", want_reason)
    assert want_words in (plan.status.message or "")
