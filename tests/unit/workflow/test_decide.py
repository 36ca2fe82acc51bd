"""Whole passes: what is kept, what the status says, what is done, in the situations that a run meets."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from enginebench.api import conditions as c
from enginebench.api.loadplan import Measured
from enginebench.api.v1alpha1 import BenchmarkRunStatus
from enginebench.results.point_report import Censored, Evidence, Figure, RequestCounts
from enginebench.workflow.decide import decide
from enginebench.workflow.observed import Observed, Role, StoredPoint
from enginebench.workflow.plan import Create, DeleteRun, Plan
from enginebench.workflow.terms import terms
from tests.unit.workflow.build import (
    at,
    carried_out,
    child,
    created,
    deleted,
    engine,
    heard,
    load,
    observed,
    reasons,
    received,
    row,
    spec,
    step,
    terminated,
)

FACTS = {"maxModelLen": 8192, "kvCacheTokens": 100_000}


def says(seen: Observed, *points: Any, target: str = "a-sim", attempt: int = 1, **changes: Any) -> Observed:
    """The load pod of `target` has said this."""
    pod = next(p for p in seen.pods if p.role is Role.LOAD and p.target == target and p.attempt == attempt)
    return replace(seen, heard={**seen.heard, pod.uid: heard(*points, **changes)})


def running(**changes: Any) -> Observed:
    """The first target's engine and load pod run; nothing was said yet."""
    seen, _ = step(observed(**changes), 0)
    return seen


def measured(**changes: Any) -> Observed:
    """The first target has one point in the status, and its load pod goes on."""
    seen, _ = step(replace(says(running(**changes), received(0)), engine_facts={engine().uid: FACTS}), 11)
    return seen


def finished(seen: Observed, seconds: float) -> BenchmarkRunStatus:
    """The status at the end, which must come within a few passes."""
    for i in range(8):
        seen, _ = step(seen, seconds + 40 * i)
        if c.is_true(seen.status.conditions, c.FINISHED):
            return seen.status
    raise AssertionError(f"never finished: {seen.status.message}")


def test_the_first_pass_writes_every_condition_and_starts_the_first_target() -> None:
    plan = decide(observed(), at(0))
    assert plan.status is not None
    assert list(reasons(plan.status)) == list(c.RUN_CONDITIONS)
    assert plan.status.targets is not None
    assert [a.number for a in plan.status.targets[0].attempts or ()] == [1]
    assert created(plan) == [(role, "a-sim") for role in ("SERVICE", "LOAD_PLAN", "ENGINE", "LOAD")]


def test_a_second_look_at_the_same_things_changes_nothing() -> None:
    seen, _ = step(running(), 2)
    plan = decide(seen, at(2.5))
    assert (plan.status, plan.actions, plan.keep, plan.events) == (None, (), (), ())


def test_an_engine_that_was_not_created_before_a_crash_is_created_now() -> None:
    seen = running()
    seen = replace(seen, children=tuple(ch for ch in seen.children if ch.role is not Role.ENGINE), pods=())
    assert created(decide(seen, at(1))) == [("ENGINE", "a-sim")]


def test_a_point_is_kept_once_and_told_at_once() -> None:
    seen = says(running(), received(0))
    plan = decide(seen, at(11))
    assert [(k.target, k.attempt, k.point.report.index) for k in plan.keep] == [("a-sim", 1, 0)]
    assert plan.status is not None
    assert plan.status.progress is not None
    assert (plan.status.progress.points_done, plan.status.progress.percent) == (1, 25)
    assert reasons(plan.status)[c.RESULTS_AVAILABLE][0] == "True"
    assert decide(carried_out(seen, plan, at(11)), at(12)).keep == ()


def test_the_gpu_is_freed_in_the_pass_that_keeps_the_last_point() -> None:
    seen = says(measured(), received(0), received(1, ended=12), ended=True)
    plan = decide(seen, at(13))
    assert len(plan.keep) == 1
    assert deleted(plan) == {(role, "a-sim") for role in ("SERVICE", "LOAD_PLAN", "ENGINE", "LOAD")}
    assert created(plan) == []


def test_the_next_engine_waits_until_the_gpu_is_free() -> None:
    seen = says(measured(), received(0), received(1, ended=12), ended=True)
    plan = decide(seen, at(13))
    held = replace(carried_out(seen, plan, at(13)), pods=(engine(deleting=at(20)),))
    assert created(decide(held, at(14))) == []
    assert ("ENGINE", "b-sim") in created(decide(replace(held, pods=()), at(14)))


def test_later_engines_go_to_the_first_ones_node() -> None:
    seen = says(measured(), received(0), received(1, ended=12), ended=True)
    seen, _ = step(seen, 13)
    plan = decide(seen, at(14))
    assert {a.node for a in plan.actions if isinstance(a, Create)} == {"gpu-1"}


def test_one_failed_target_does_not_stop_the_next() -> None:
    seen = running()
    seen = replace(seen, pods=(engine(**terminated(1, "ValueError: no such model")), load()))
    seen, plan = step(says(seen, verified=False), 10)
    assert plan.status is not None
    assert plan.status.targets is not None
    assert plan.status.targets[0].phase == "Failed"
    assert "ValueError: no such model" in (plan.status.targets[0].message or "")
    _, plan = step(seen, 12)
    assert ("ENGINE", "b-sim") in created(plan)


def test_a_run_without_a_usable_point_never_succeeds() -> None:
    failed = RequestCounts(errored=9)
    bad = [received(i, requests=failed, evidence=Evidence(errors={"HTTP 404": 9})) for i in (0, 1)]
    seen = running(spec=spec(targets=[{"name": "a-sim", "simulated": {"api": "vLLM", "model": "m"}}]))
    status = finished(says(seen, *bad, ended=True), 20)
    assert reasons(status) == {
        c.FINISHED: ("True", "NoUsablePoint"),
        c.SUCCEEDED: ("False", "NoUsablePoint"),
        c.RECONCILING: ("False", "NoUsablePoint"),
        c.STALLED: ("True", "NoUsablePoint"),
        c.RESULTS_AVAILABLE: ("True", "PointsStored"),
        c.COMPARABLE: ("Unknown", "NothingToCompare"),
    }
    assert "HTTP 404" in (status.message or "")


def test_cancel_lets_the_load_pod_close_its_point_then_frees_the_gpu() -> None:
    seen = replace(measured(), spec=spec(cancel=True))
    seen, plan = step(seen, 12)
    assert deleted(plan) == {("LOAD", "a-sim")}
    closing = replace(seen, pods=(engine(), load(deleting=at(47))))
    assert deleted(decide(closing, at(20))) == set()
    late = says(closing, received(0), received(1, evidence=Evidence(interrupted=True)), ended=True)
    plan = decide(late, at(21))
    assert ("ENGINE", "a-sim") in deleted(plan)
    status = finished(carried_out(late, plan, at(21)), 22)
    assert status.phase == "Cancelled"
    assert reasons(status)[c.STALLED][0] == "False"
    assert [p.validity for p in status.points or ()] == ["Valid", "Limited"]
    assert [t.phase for t in status.targets or ()] == ["Cancelled", "Cancelled"]


def test_an_engine_is_not_held_by_a_load_pod_that_never_ends() -> None:
    seen, _ = step(replace(measured(), spec=spec(cancel=True)), 12)
    stuck = replace(seen, pods=(engine(), load(deleting=at(47))), heard={load().uid: heard(received(0))})
    assert deleted(decide(stuck, at(41))) == set()
    assert ("ENGINE", "a-sim") in deleted(decide(stuck, at(42)))


def test_suspend_frees_the_gpu_and_resume_measures_only_what_is_missing() -> None:
    seen = replace(measured(), spec=spec(suspend=True))
    seen, plan = step(seen, 12)
    assert plan.status is not None
    assert plan.status.phase == "Suspended"
    closing = replace(seen, pods=(engine(), load(deleting=at(47))))
    seen = says(closing, received(0), received(1, evidence=Evidence(interrupted=True)), ended=True)
    seen, plan = step(seen, 13)
    assert [p.validity for p in (plan.status or seen.status).points or ()] == ["Valid", "Superseded"]
    seen, plan = step(seen, 100)
    assert created(plan) == []
    _, plan = step(replace(seen, spec=spec()), 200)
    begun = [a for a in plan.actions if isinstance(a, Create) and a.role is Role.LOAD_PLAN]
    assert [(a.attempt, a.points) for a in begun] == [(2, (1,))]


def test_a_sweep_that_goes_on_is_told_what_was_measured() -> None:
    swept = spec().workload.document() | {"load": {"sweep": {"points": 3, "concurrency": {"max": 64}}}}
    seen = replace(measured(), spec=spec(suspend=True, workload=swept), terms=terms(spec(workload=swept)))
    seen, _ = step(seen, 20)
    seen, _ = step(replace(seen, pods=()), 60)
    _, plan = step(replace(seen, spec=spec(workload=swept), children=(), pods=()), 100)
    [begun] = [a for a in plan.actions if isinstance(a, Create) and a.role is Role.LOAD_PLAN]
    assert begun.points == (1, 2)
    assert begun.measured == (Measured(load=1, output_tokens_per_second=1000.0, ttft_p50=1.0),)


def test_the_deadline_does_not_tick_while_suspended() -> None:
    limits = {"activeDeadlineSeconds": 60}
    seen = replace(running(spec=spec(**limits)), spec=spec(suspend=True, **limits))
    for seconds in (10, 12, 5000):
        seen, _ = step(seen, seconds)
    seen, plan = step(replace(seen, spec=spec(**limits)), 5001)
    assert ("ENGINE", "a-sim") in created(plan)
    status = finished(seen, 5001 + 51)
    assert status.phase == "Failed"
    assert reasons(status)[c.SUCCEEDED] == ("False", "DeadlineExceeded")


def test_the_deadline_waits_for_an_engine_to_be_admitted_but_not_for_a_load_pod() -> None:
    """Else a load pod that nobody admits would keep an engine, and its GPU, for ever."""
    limits = spec(activeDeadlineSeconds=60)
    waiting: dict[str, Any] = {
        "gates": ("kueue.x-k8s.io/admission",),
        "phase": "Pending",
        "node": "",
        "scheduled_at": None,
        "started_at": None,
    }
    seen = running(spec=limits)
    queued, _ = step(replace(seen, pods=(engine(**waiting), load(**waiting))), 1)
    plan = decide(queued, at(5000))
    assert plan.status is None or reasons(plan.status)[c.FINISHED] == ("False", "Running")
    assert not deleted(plan)
    kept, _ = step(replace(seen, pods=(engine(), load(**waiting))), 1)
    assert ("ENGINE", "a-sim") in deleted(decide(kept, at(100)))


@pytest.mark.parametrize(
    ("changes", "facts"),
    [({"image_id": "engine@sha256:2"}, FACTS), ({"node": "gpu-2"}, FACTS), ({}, FACTS | {"maxModelLen": 4096})],
)
def test_points_of_an_engine_that_was_another_are_measured_again(
    changes: dict[str, Any], facts: dict[str, int]
) -> None:
    seen, _ = step(replace(measured(), pods=(load(),)), 12)
    assert seen.status.targets is not None
    assert [a.reason for a in seen.status.targets[0].attempts or ()] == ["EngineDeleted"]
    seen = replace(seen, pods=(), children=())
    seen, plan = step(seen, 14)
    assert [(a.attempt, a.points) for a in plan.actions if isinstance(a, Create) and a.role is Role.LOAD] == [(2, (1,))]
    other = engine(attempt=2, **changes)
    moved = replace(seen, pods=(other, load(attempt=2)), engine_facts={other.uid: facts})
    moved, _ = step(says(moved, received(1, ended=20), attempt=2, ended=True), 21)
    assert [(p.index, p.attempt, p.validity) for p in moved.status.points or ()] == [
        (0, 1, "Superseded"),
        (1, 2, "Valid"),
    ]
    _, plan = step(replace(moved, pods=(), children=()), 23)
    assert [(a.attempt, a.points) for a in plan.actions if isinstance(a, Create) and a.role is Role.LOAD] == [(3, (0,))]


def test_points_of_the_same_engine_count_whatever_it_measured_of_itself() -> None:
    seen, _ = step(replace(measured(), pods=(load(),)), 12)
    seen, _ = step(replace(seen, pods=(), children=()), 14)
    again = engine(attempt=2)
    seen = replace(seen, pods=(again, load(attempt=2)), engine_facts={again.uid: FACTS | {"kvCacheTokens": 99_000}})
    seen, _ = step(says(seen, received(1, ended=20), attempt=2, ended=True), 21)
    assert [(p.index, p.attempt, p.validity) for p in seen.status.points or ()] == [(0, 1, "Valid"), (1, 2, "Valid")]


def test_a_new_operator_says_what_the_old_one_said_until_it_has_read_the_log() -> None:
    seen, _ = step(measured(), 12)
    deaf = replace(seen, heard={})
    assert decide(deaf, at(13)).status is None


def test_a_refused_child_is_told_of_at_once_and_fails_the_target_after_its_grace() -> None:
    seen = replace(running(), pods=(), children=(), created_errors={("a-sim", 1, "e"): "exceeded quota: gpus"})
    seen, plan = step(seen, 2)
    assert plan.status is not None
    assert "exceeded quota: gpus" in (plan.status.message or "")
    assert ("ENGINE", "a-sim") in created(plan)
    seen, plan = step(replace(seen, pods=(), children=()), 60)
    assert seen.status.targets is not None
    assert [a.reason for a in seen.status.targets[0].attempts or ()] == ["CreationRefused"]


def test_a_target_that_is_disrupted_again_and_again_fails() -> None:
    seen, reasons_seen = running(), []
    for i in range(40):
        seen, _ = step(
            replace(seen, pods=tuple(replace(p, disrupted="PreemptionByScheduler") for p in seen.pods)), 10 * i
        )
        reasons_seen.append(seen.status.targets[0].phase if seen.status.targets else "")
        if reasons_seen[-1] == "Failed":
            break
    assert reasons_seen[-1] == "Failed"
    assert seen.status.targets is not None
    assert "TooManyDisruptions" in (seen.status.targets[0].message or "")


def test_a_point_that_was_made_durable_without_being_told_of_is_told_of() -> None:
    seen = replace(running(), stored=(StoredPoint("a-sim", 1, received(0)),))
    plan = decide(seen, at(5))
    assert plan.keep == ()
    assert plan.status is not None
    assert [p.index for p in plan.status.points or ()] == [0]


def test_a_spec_that_fits_no_model_ends_the_run() -> None:
    plan = decide(observed(spec=None, spec_error="spec.targets: Field required."), at(0))
    assert plan.status is not None
    assert reasons(plan.status)[c.STALLED] == ("True", "InvalidSpec")
    assert "spec.targets: Field required." in (plan.status.message or "")


def done(**changes: Any) -> Observed:
    status = finished(replace(running(), spec=spec(cancel=True)), 5)
    return observed(status=BenchmarkRunStatus.model_validate(status.document()), spec=spec(cancel=True, **changes))


def test_a_finished_run_observes_edits_on_every_condition() -> None:
    plan = decide(replace(done(), generation=4), at(900))
    assert plan.status is not None
    assert plan.status.observed_generation == 4
    assert {condition.observed_generation for condition in plan.status.conditions or ()} == {4}
    assert decide(done(), at(900)).status is None


def test_a_finished_run_clears_what_was_left_but_not_its_results() -> None:
    left = replace(done(), children=(child(Role.ENGINE), child(Role.DATA, point=0)))
    assert deleted(decide(left, at(900))) == {("ENGINE", "a-sim")}


def test_the_run_goes_when_its_ttl_is_over() -> None:
    seen = done(ttlSecondsAfterFinished=60)
    assert seen.status.completion_time is not None
    end = (seen.status.completion_time - at(0)).total_seconds()
    plan = decide(seen, at(end + 59))
    assert (plan.actions, plan.wake_after) == ((), at(60) - at(59))
    assert decide(seen, at(end + 60)).actions == (DeleteRun(),)


def test_a_run_that_is_being_deleted_is_left_alone() -> None:
    assert decide(observed(deleting=at(1)), at(2)) == Plan()


def replace_figure(value: Censored) -> Figure:
    return Figure(count=12468, p50=12345.678, p90=value, p95=value, p99=value, censored=123)


def test_the_status_stays_under_its_bound_at_512_points() -> None:
    names = [f"{'t' * 11}{i}-sim" for i in range(8)]
    big = spec(
        targets=[{"name": name, "simulated": {"api": "vLLM", "model": "m"}} for name in names],
        workload=spec().workload.model_dump(by_alias=True, exclude_none=True)
        | {"load": {"concurrency": {"levels": list(range(1, 65))}}},
    )
    limited = RequestCounts(succeeded=12345, errored=1, incomplete=123)
    censored = replace_figure(Censored(at_least=123456.789))
    points = tuple(
        StoredPoint(name, 1, received(i, requests=limited, output_tokens_per_second=12345.678, ttft=censored))
        for name in names
        for i in range(64)
    )
    plan = decide(observed(spec=big, name="r" * 40, stored=points), at(0))
    assert plan.status is not None
    assert len(plan.status.points or ()) == 512
    assert reasons(plan.status)[c.COMPARABLE] == ("Unknown", "TooManyPoints")
    assert len(json.dumps(plan.status.document(), separators=(",", ":"))) < 256 * 1024


def test_rows_stand_in_the_order_of_targets_and_levels() -> None:
    status = BenchmarkRunStatus(observed_generation=1, points=[row(1, target="b-sim"), row(1), row(0)])
    plan = decide(observed(status=status), at(0))
    assert plan.status is not None
    assert [(p.target, p.index) for p in plan.status.points or ()] == [("a-sim", 0), ("a-sim", 1), ("b-sim", 1)]
