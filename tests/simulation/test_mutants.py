"""The judges are awake: each of these defects, put into the operator, is found by the invariant that it breaks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from enginebench.cluster import execute
from enginebench.workflow import attempts, decide, skipped
from enginebench.workflow.attempts import Draft
from enginebench.workflow.observed import KIND_OF, Role
from enginebench.workflow.plan import Delete
from enginebench.workflow.problem import COMPLETED, Problem
from enginebench.workflow.rules import after_the_end, attempt_end, children
from tests.simulation.faults.base import Fault
from tests.simulation.faults.calls import OperatorCrash
from tests.simulation.faults.engines import EveryRequestFails, LoadPodStuck
from tests.simulation.faults.plane import StatusRefused
from tests.simulation.faults.pods import PodDeleted
from tests.simulation.faults.users import SuspendAndResume
from tests.simulation.scenario import Scenario, calm_scenario
from tests.simulation.simulate import play

Patch = pytest.MonkeyPatch


def two_targets(*faults: Fault, repeats: int = 1) -> Scenario:
    targets = [{"name": name, "ollama": {"model": "tiny"}} for name in ("first", "second")]
    dataset = {"synthetic": {"promptTokens": 8, "outputTokens": 8}}
    scenario = calm_scenario(targets=targets, dataset=dataset, levels=[1, 2], seconds=30, repeats={"count": repeats})
    return scenario.with_faults(*faults)


def stopping(*faults: Fault) -> Scenario:
    """Sixteen slots: 32 and 64 users wait longer than 16, and bring no more."""
    dataset = {"synthetic": {"promptTokens": 8, "outputTokens": 8}}
    targets = [{"name": "first", "ollama": {"model": "tiny"}}]
    scenario = calm_scenario(targets=targets, dataset=dataset, levels=[8, 16, 32, 64, 96], seconds=30)
    scenario.spec["workload"]["stopWhen"] = {"saturated": True}
    return scenario.with_faults(*faults)


def does_not_wait_for_the_gpu(patch: Patch) -> None:
    patch.setattr(children, "busy", lambda *_: False)


def keeps_no_results(patch: Patch) -> None:
    async def nothing(*_: Any) -> None:
        return

    patch.setattr(execute, "_keep", nothing)


def forgets_a_point(patch: Patch) -> None:
    from enginebench.workflow.status import compose as real

    def compose(*arguments: Any) -> Any:
        status = real(*arguments)
        points = status.points or []
        return status.model_copy(update={"points": points[1:]}) if len(points) > 1 else status

    patch.setattr(decide, "compose", compose)


def measures_everything_again(patch: Patch) -> None:
    patch.setattr(Draft, "missing", property(lambda self: tuple(point.index for point in self.view.planned)))


def skips_nothing(patch: Patch) -> None:
    patch.setattr(attempts, "skipped", lambda *_: [])


def skips_for_no_reason(patch: Patch) -> None:
    patch.setattr(skipped, "why_skipped", lambda _, __, measured: "StoppedSaturated" if list(measured) else "")


def skips_without_a_word(patch: Patch) -> None:
    real = skipped._row

    def row(*arguments: Any) -> Any:
        return real(*arguments).model_copy(update={"reasons": ["StoppedErrorRate"]})

    patch.setattr(skipped, "_row", row)


def calls_everything_a_success(patch: Patch) -> None:
    patch.setattr(attempts, "outcome_of_points", lambda _: Problem(COMPLETED, ""))


def keeps_the_order_of_targets(patch: Patch) -> None:
    patch.setattr(attempts, "turns", lambda _: ((place, repeat) for repeat in range(3) for place in range(2)))


def keeps_the_engine(patch: Patch) -> None:
    patch.setattr(attempts, "turns", lambda _: ((place, None) for place in range(2)))


def takes_the_first_repeat_for_the_mean(patch: Patch) -> None:
    from enginebench.workflow import repeats

    patch.setattr(repeats, "_by_load", lambda rows: ([row] for row in rows if row.repeat == 0))


def does_not_observe_edits(patch: Patch) -> None:
    patch.setattr(after_the_end, "_observed", lambda _: None)


def leaves_everything(patch: Patch) -> None:
    def nothing(*_: Any) -> Iterator[Delete]:
        return iter(())

    patch.setattr(children, "leftovers", nothing)
    patch.setattr(after_the_end, "Delete", lambda child: Delete(child) if child.role is Role.DATA else None)


def takes_the_engine_from_under_the_load(patch: Patch) -> None:
    def engines(seen: Any, target: str, attempt: int, *_: Any) -> Iterator[Delete]:
        return (Delete(c) for c in seen.children if (c.role, c.target, c.attempt) == (Role.ENGINE, target, attempt))

    patch.setattr(children, "leftovers", engines)


def creates_what_it_does_not_own(patch: Patch) -> None:
    from enginebench.cluster import children as objects

    real = objects._dressed

    def naked(*arguments: Any) -> Any:
        body = real(*arguments)
        body["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = True
        return body

    patch.setattr(objects, "_dressed", naked)


def acts_before_it_writes(patch: Patch) -> None:
    real = execute.execute

    async def backwards(api: Any, sight: Any, plan: Any, *rest: Any) -> Any:
        from enginebench.workflow.plan import Plan

        await real(api, sight, Plan(actions=plan.actions), *rest)
        return await real(api, sight, plan, *rest)

    from enginebench.cluster import reconcile

    patch.setattr(reconcile, "execute", backwards)


IN_THE_SECOND_POINT = 85.0
"""Seconds after an engine has begun to run."""
DELETED = PodDeleted(role="engine", target="first", state="running", after=IN_THE_SECOND_POINT)
SUSPENDED = SuspendAndResume(at=100.0, seconds=5.0)


@pytest.mark.parametrize(
    ("defect", "faults", "want"),
    [
        (does_not_wait_for_the_gpu, (), "one_engine_at_a_time"),
        (keeps_no_results, (), "what_the_status_tells_is_durable"),
        (forgets_a_point, (), "no_point_is_lost"),
        (measures_everything_again, (DELETED,), "nothing_is_measured_again"),
        (calls_everything_a_success, (EveryRequestFails(target="first", after=1.0),), "the_verdict_is_right"),
        (does_not_observe_edits, (), "generation_is_observed_at_the_end"),
        (leaves_everything, (), "every_run_ends"),
        (takes_the_engine_from_under_the_load, (SUSPENDED,), "the_load_goes_before_its_engine"),
        (creates_what_it_does_not_own, (), "a_child_is_owned_and_labelled"),
        (acts_before_it_writes, (), "an_attempt_is_in_the_status_first"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_defect_is_found(
    monkeypatch: Patch, defect: Callable[[Patch], None], faults: tuple[Fault, ...], want: str
) -> None:
    found_by(monkeypatch, defect, replace(two_targets(*faults), after_the_end="ttl"), want)


@pytest.mark.parametrize(
    ("defect", "want"),
    [
        (keeps_the_order_of_targets, "a_plan_is_of_its_turn"),
        (keeps_the_engine, "an_engine_serves_one_repeat"),
        (takes_the_first_repeat_for_the_mean, "means_rest_on_the_usable_points"),
    ],
)
def test_a_defect_of_repeats_is_found(monkeypatch: Patch, defect: Callable[[Patch], None], want: str) -> None:
    found_by(monkeypatch, defect, two_targets(repeats=3), want)


@pytest.mark.parametrize(
    ("defect", "want"),
    [
        (skips_nothing, "the_verdict_is_right"),
        (skips_for_no_reason, "lower_loads_before_it_have_shown_enough"),
        (skips_without_a_word, "skipped_points_have_a_reason_and_no_figures"),
    ],
)
def test_a_defect_of_skipping_is_found(monkeypatch: Patch, defect: Callable[[Patch], None], want: str) -> None:
    found_by(monkeypatch, defect, stopping(), want)


@pytest.mark.parametrize("call", range(40, 120, 4))
def test_an_operator_that_dies_at_any_call_skips_the_same_points(call: int) -> None:
    plain, broken = play(stopping()), play(stopping(OperatorCrash(call=call, carried_out=call % 8 == 0)))
    assert broken.violations == []
    assert plain.world.ended is not None
    assert broken.world.ended is not None
    validities = [point["validity"] for point in plain.world.ended["status"]["points"]]
    assert [validity == "Skipped" for validity in validities] == [False, False, False, False, True]
    assert [point["validity"] for point in broken.world.ended["status"]["points"]] == validities


def found_by(patch: Patch, defect: Callable[[Patch], None], scenario: Scenario, want: str) -> None:
    """The run is sound, and with the defect in it `want` is not."""
    assert play(scenario).violations == []
    defect(patch)
    assert want in {sentence.partition(":")[0] for sentence in play(scenario).violations}


def test_a_gpu_that_a_refused_status_holds_is_found(monkeypatch: Patch) -> None:
    def is_patient(patch: Patch) -> None:
        patch.setattr(execute, "STATUS_PATIENCE", timedelta(days=1))

    refused = StatusRefused(call=StatusRefused.calls[0], target="first", state="running")
    found_by(monkeypatch, is_patient, two_targets(refused), "no_gpu_is_held")


def test_a_load_pod_that_only_seems_to_get_on_is_found(monkeypatch: Patch) -> None:
    def believes(patch: Patch) -> None:
        patch.setattr(attempt_end, "_gets_no_further", lambda *_: None)

    scenario = two_targets(LoadPodStuck(target="second", after=60.0))
    del scenario.spec["workload"]["durationSeconds"]
    scenario.spec["workload"]["maxRequests"] = 5000
    found_by(monkeypatch, believes, scenario, "every_run_ends")


def test_a_crash_is_no_defect() -> None:
    assert play(two_targets(OperatorCrash(call=30, carried_out=True))).violations == []


def test_every_kind_of_child_is_known() -> None:
    assert set(KIND_OF) == set(Role)
