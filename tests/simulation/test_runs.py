"""Whole runs: seeds at random, each fault by itself, and calm ones. `SIMULATION_RUNS` sets how many seeds."""

import os
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import msgspec
import pytest

from enginebench.api import conditions
from enginebench.api.v1alpha1 import BenchmarkRunStatus
from enginebench.workflow.decide import LOOK_SOON, decide
from enginebench.workflow.observed import Observed
from enginebench.workflow.plan import Plan
from tests.simulation.faults import FAULTS
from tests.simulation.faults.base import Fault
from tests.simulation.scenario import calm, draw
from tests.simulation.simulate import Result, play, shrink

RUNS = int(os.environ.get("SIMULATION_RUNS", "1500"))
FIRST = int(os.environ.get("SIMULATION_FIRST_SEED", "0"))
CHUNK = 50
CALM_RUNS = 100
FREED_SECONDS = 2.0
"""From the last point of a target to the deletion of its engine: a pass a second."""
SETTLE_SECONDS = 5.0
"""More where a target was stopped for its errors: the engine may have died of them."""
NEXT_ENGINE_SECONDS = 6.0
"""From there to the next engine: the old one ends, its kubelet tells."""
LAST_CALLS = 24
"""Of a run: its end, the Event, and a look at each of its last pods that goes; in minutes there is no other."""
TIMES = 4
"""Each fault is played so often by itself."""


def hold(result: Result) -> None:
    """Fail with the transcript of the run, shrunk to the faults that it takes."""
    if result.violations:
        shrunk = play(shrink(result.scenario))
        pytest.fail((shrunk if shrunk.violations else result).report(verbose=True), pytrace=False)


@pytest.mark.parametrize("first", range(FIRST, FIRST + RUNS, CHUNK))
def test_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, min(first + CHUNK, FIRST + RUNS)):
        hold(play(draw(seed)))


def test_what_is_not_done_again_would_come_out_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has not changed is not decided again before the time that an idle plan tells; what follows from the rows
    alone is not found again while they stay; a status that was written is not read again, nor looked at soon where
    nothing else was done."""
    looked = 0

    def checked(seen: Observed, at: datetime) -> Plan:
        nonlocal looked
        plan = decide(seen, at)
        if not conditions.is_true(seen.status.conditions, conditions.FINISHED):
            afresh = seen.status.model_copy(update={"points": list(reversed(seen.status.points or ())) or None})
            assert (decide(msgspec.structs.replace(seen, status=afresh), at).status or seen.status) == (
                plan.status or seen.status
            )
        if plan.idle and plan.stands_until is not None:
            looked += 1
            assert decide(seen, max(at, plan.stands_until - timedelta(microseconds=1))).idle
        if plan.status is not None:
            assert BenchmarkRunStatus.model_validate(plan.status.document()) == plan.status
            written = msgspec.structs.replace(seen, status=plan.status)
            if not plan.actions and plan.wake_after != LOOK_SOON:
                assert decide(written, at).status is None
            if not plan.actions and plan.stands_until is not None:
                assert decide(written, at).idle
                assert decide(written, max(at, plan.stands_until - timedelta(microseconds=1))).idle
        return plan

    monkeypatch.setattr("enginebench.cluster.reconcile.decide", checked)
    for seed in range(CALM_RUNS):
        hold(play(draw(seed)))
    assert looked > CALM_RUNS


def test_where_nothing_goes_wrong_every_point_is_measured() -> None:
    for seed in range(CALM_RUNS):
        result = play(draw(seed, faults=0))
        hold(result)
        run = result.world.ended
        assert run is not None
        assert run["status"]["phase"] == "Completed"
        points = run["status"]["points"]
        scenario = result.scenario
        assert len(points) == len(scenario.targets) * scenario.points_of_target
        numbers = [target["attempts"][-1]["number"] for target in run["status"]["targets"]]
        assert numbers == [scenario.engine_starts] * len(scenario.targets)


def test_an_idle_gpu_is_freed_at_once_and_the_next_engine_comes_at_once() -> None:
    for seed in range(CALM_RUNS):
        result = play(draw(seed, faults=0))
        if result.scenario.engines != result.scenario.targets:
            continue  # an endpoint is loaded between two engines
        # Whether an engine that fails is dead, its kubelet says a moment later.
        settles = SETTLE_SECONDS if "errorRatePercent" in result.scenario.stop_when else 0.0
        spoken = result.world.cluster.spoken
        last = {f"-{point.target}-e{point.attempt}-": point.at for point in spoken}
        final = f"-{spoken[-1].target}-e{spoken[-1].attempt}-"
        freed = -1.0
        for at, call in result.world.transcript.timed_calls:
            if call.kind == "Pod" and call.verb == "create" and freed >= 0.0:
                assert at - freed <= NEXT_ENGINE_SECONDS, f"seed {seed}: {call.name} waited {at - freed:.1f} s"
            elif call.kind == "Pod" and call.verb == "delete":
                engine = next(name for name in last if name in call.name)
                held = at - last[engine]
                assert 0.0 <= held <= FREED_SECONDS + settles, f"seed {seed}: {call.name} {held:.1f} s"
                freed = at if engine != final else -1.0


def test_a_finished_run_costs_nothing() -> None:
    for seed in range(CALM_RUNS // 2):
        scenario = draw(seed, faults=0)
        scenario.spec.pop("ttlSecondsAfterFinished", None)
        calls = play(replace(scenario, after_the_end="")).world.transcript.calls
        written = max(place for place, call in enumerate(calls) if call.verb == "replace_status")
        assert len(calls) - written <= LAST_CALLS, f"seed {seed}"


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_each_fault_by_itself(kind: type[Fault]) -> None:
    played = 0
    for seed in range(1000):
        random = Random(f"{kind.__name__} {seed}")  # noqa: S311 - reproducible on purpose
        scenario = calm(seed, random)
        if (fault := kind.draw(random, scenario)) is not None:
            hold(play(scenario.with_faults(fault)))
            played += 1
        if played == TIMES:
            return
    pytest.fail(f"{kind.__name__} was drawn {played} times only")
