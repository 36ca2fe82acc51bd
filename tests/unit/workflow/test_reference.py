"""An endpoint by reference: its load pod comes once its object says where, and says in words why it does not."""

from typing import Any

import pytest
from msgspec.structs import replace

from enginebench.workflow.observed import Observed, Reference, ReferenceState, Role
from enginebench.workflow.plan import Create, Plan
from tests.unit.workflow.build import created, observed, reasons, spec, step

URL = "http://llm.ns.svc:80"
NAME = "llm"
READY = Reference(ReferenceState.READY, URL)
STATE = ReferenceState


def begun(**changes: Any) -> Observed:
    """The attempt has begun, and its object has not been looked at."""
    targets = [{"name": NAME, "endpoint": {"serviceRef": {"name": "llm"}}}]
    seen, plan = step(observed(spec=spec(targets=targets, **changes)), 0)
    assert created(plan) == []
    return seen


def told(plan: Plan) -> tuple[str | None, str | None]:
    """Phase and message of the target."""
    assert plan.status is not None
    assert plan.status.targets is not None
    return plan.status.targets[0].phase, plan.status.targets[0].message


def test_nothing_is_created_before_the_object_has_been_looked_at() -> None:
    _, plan = step(begun(), 1)
    assert created(plan) == []
    assert told(plan) == ("Starting", "looking where the endpoint answers")


def test_the_load_pod_is_told_where_it_answers_and_so_is_the_user() -> None:
    seen, plan = step(replace(begun(), references={NAME: READY}), 1)
    assert created(plan) == [("LOAD_PLAN", NAME), ("LOAD", NAME)]
    assert {a.url for a in plan.actions if isinstance(a, Create)} == {URL}
    engine = seen.status.targets[0].engine if seen.status.targets else None
    assert engine is not None
    assert engine.url == URL


def test_once_told_it_is_not_asked_again() -> None:
    """What becomes of the object afterwards the requests show; a plan that was lost is made as it was."""
    seen, _ = step(replace(begun(), references={NAME: READY}), 1)
    without_plan = tuple(c for c in seen.children if c.role is not Role.LOAD_PLAN)
    _, plan = step(replace(seen, references={}, children=without_plan), 2)
    assert [(a.role, a.url) for a in plan.actions if isinstance(a, Create)] == [(Role.LOAD_PLAN, URL)]


@pytest.mark.parametrize(
    ("state", "seconds", "want"),
    [
        (STATE.NOT_READY, 99, None),
        (STATE.NOT_READY, 100, "EndpointNotReady"),
        (STATE.NOT_FOUND, 29, None),
        (STATE.NOT_FOUND, 30, "EndpointNotFound"),
        (STATE.FORBIDDEN, 29, None),
        (STATE.FORBIDDEN, 30, "EndpointForbidden"),
        (STATE.UNUSABLE, 1, "EndpointUnusable"),
    ],
)
def test_how_long_it_is_waited_for(state: ReferenceState, seconds: float, want: str | None) -> None:
    seen = replace(begun(timeouts={"startupSeconds": 100}), references={NAME: Reference(state, words="Its own words.")})
    after, plan = step(seen, seconds)
    assert created(plan) == []
    assert plan.status is not None
    if want is None:
        assert told(plan) == ("Starting", "Its own words.")
        return
    phase, message = told(plan)
    assert phase == "Failed"
    assert (message or "").startswith(f"{want}: ")
    assert "Its own words." in (message or "")
    assert reasons(after.status)["Finished"] == ("True", "TargetsFailed")


def test_a_new_attempt_asks_anew() -> None:
    seen, _ = step(replace(begun(), references={NAME: READY}), 1)
    assert seen.spec is not None
    seen, _ = step(replace(seen, spec=seen.spec.model_copy(update={"suspend": True})), 2)
    seen, _ = step(seen, 3)
    assert seen.spec is not None
    resumed = replace(seen, spec=seen.spec.model_copy(update={"suspend": False}), references={NAME: READY})
    seen, plan = step(resumed, 60)
    assert created(plan) == []
    _, plan = step(replace(seen, references={NAME: Reference(STATE.READY, "http://llm.ns.svc:81")}), 61)
    assert {a.url for a in plan.actions if isinstance(a, Create)} == {"http://llm.ns.svc:81"}
