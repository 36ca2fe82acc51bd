"""Runs in a queue: no clock runs, no load pod waits along, and a queue that nobody keeps is told."""

from typing import Any

import pytest
from msgspec.structs import replace

from enginebench.workflow.kueue import QUEUE, queue_ignored
from enginebench.workflow.observed import Heard, Observed, PodView, Role
from enginebench.workflow.rules.attempt_end import end_of_attempt
from tests.unit.workflow.build import at, child, created, engine, load, moment, observed, spec, step, target

GATES = ("kueue.x-k8s.io/admission",)
LABELS = {QUEUE: "gpu-queue"}
UNSCHEDULED: dict[str, Any] = {"phase": "Pending", "scheduled_at": None, "started_at": None, "node": "", "image_id": ""}
WAITING = engine(**UNSCHEDULED, gates=GATES, queue="gpu-queue", managed=True, queued="Pending: no quota")


def queued(pod: PodView = WAITING, **changes: Any) -> Observed:
    """The first attempt's engine has been created, in a queue."""
    seen, plan = step(observed(queue_labels=LABELS, **changes), 0)
    assert created(plan) == [("SERVICE", "a-sim"), ("LOAD_PLAN", "a-sim"), ("ENGINE", "a-sim")]
    return replace(seen, pods=(pod,))


def test_load_pods_come_when_the_engine_is_admitted() -> None:
    seen, plan = step(queued(), 5000)
    assert created(plan) == []
    admitted = replace(WAITING, gates=())
    _, plan = step(replace(seen, pods=(admitted,)), 5010)
    assert created(plan) == [("LOAD", "a-sim")]


def test_a_label_of_the_pod_alone_does_as_well() -> None:
    run = spec(engineDefaults={"labels": {QUEUE: "gpu-queue"}})
    _, plan = step(observed(spec=run), 0)
    assert ("LOAD", "a-sim") not in created(plan)


def test_who_waits_says_where_and_why_and_no_clock_runs() -> None:
    seen, plan = step(queued(), 5000)
    status = plan.status
    assert status is not None
    assert (status.phase, status.active and status.active.since) == ("Queued", None)
    assert status.message == f"a-sim: pod {WAITING.name} waits in queue gpu-queue: Pending: no quota"
    assert status.targets is not None
    assert status.targets[0].phase == "Queued"
    other = replace(WAITING, queue="", gates=("example.com/approval",))
    _, plan = step(replace(seen, pods=(other,)), 5010)
    assert plan.status is not None
    assert "waits to be admitted (scheduling gates: example.com/approval)" in (plan.status.message or "")


def test_a_refusal_gets_its_grace_from_the_admission_on() -> None:
    seen, _ = step(queued(), 5000)
    refused = replace(
        seen, pods=(replace(WAITING, gates=()),), created_errors={("a-sim", 1, Role.LOAD.value): "exceeded quota"}
    )
    seen, _ = step(refused, 5010)
    seen, plan = step(replace(seen, created_errors=refused.created_errors), 5069)
    assert plan.status is None or next(t.phase for t in plan.status.targets or ()) != "Failed"
    _, plan = step(seen, 5070)
    assert plan.status is not None
    assert plan.status.targets is not None
    assert (plan.status.targets[0].message or "").startswith("CreationRefused: ")


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        ({"queue": "q", "managed": True}, None),
        ({"queue": "q", "managed": True, "gates": GATES}, None),
        ({"queue": "q", "gates": ("example.com/approval",)}, None),  # nothing is taken from anybody yet
        ({"queue": "q"}, "KueuePodIntegrationDisabled"),
        ({}, None),
    ],
)
def test_a_queue_that_nobody_keeps_is_told(pod: dict[str, Any], want: str | None) -> None:
    problem = queue_ignored(target(engine=engine(**pod)), moment(5))
    assert (problem.reason if problem else None) == want


def test_an_endpoint_needs_no_queue() -> None:
    targets = [{"name": "e", "endpoint": {"url": "http://e", "model": "m"}}]
    _, plan = step(observed(spec=spec(targets=targets), queue_labels=LABELS), 0)
    assert created(plan) == [("LOAD_PLAN", "e"), ("LOAD", "e")]


@pytest.mark.parametrize("alone", [True, False], ids=["of an endpoint", "beside an engine"])
def test_the_clock_stands_still_for_a_gated_load_pod_that_no_engine_waits_for(alone: bool) -> None:
    targets = [{"name": "e", "endpoint": {"url": "http://e", "model": "m"}}]
    run = spec(targets=targets) if alone else spec()
    seen, _ = step(observed(spec=run), 0)
    name = run.targets[0].name
    gated = load(name, **UNSCHEDULED | {"image_id": ""}, gates=GATES)
    pods = (gated,) if alone else (engine(), gated)
    _, plan = step(replace(seen, pods=pods), 10)
    assert plan.status is not None
    assert plan.status.active is not None
    assert (plan.status.active.since is None) is alone


@pytest.mark.parametrize(
    ("taken", "want"),
    [
        ({"disrupted": "WorkloadEvictedDueToPreempted: for another."}, "was taken from node gpu-1: Work"),
        ({"disrupted": "WorkloadEvicted", "node": ""}, "was taken away: WorkloadEvicted."),
    ],
)
def test_an_eviction_is_no_failure(taken: dict[str, Any], want: str) -> None:
    problem = end_of_attempt(target(engine=engine(**taken, queue="q", managed=True, deleting=at(5))), moment(6))
    assert problem is not None
    assert problem.reason == "EngineEvicted"
    assert want in problem.message
    assert not problem.message.endswith("..")


def test_a_job_that_is_suspended_is_queued_and_not_broken() -> None:
    """A namespace whose default queue takes every Job. While an engine runs it is waited for as for a node."""
    held = {"load": None, "load_job": child(Role.LOAD, suspended=True), "heard": Heard()}
    assert end_of_attempt(target(**held), moment(3601)) is None
    problem = end_of_attempt(target(**held), moment(3602))
    assert problem is not None
    assert problem.reason == "Unschedulable"
    assert "which somebody has suspended, was not admitted within 3600 s" in problem.message
