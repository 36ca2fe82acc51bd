"""Runs in Kueue's queue on the virtual cluster: what they come to, and that the judges see where one goes wrong."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from enginebench.cluster import observe
from enginebench.workflow import attempts, decide
from enginebench.workflow.kueue import queue_ignored
from enginebench.workflow.problem import AGAIN
from enginebench.workflow.rules import actions, attempt_end
from tests.simulation.faults.base import Fault
from tests.simulation.faults.pods import QueueEvicts, QueueIgnored, QueueLong
from tests.simulation.scenario import Scenario
from tests.simulation.simulate import play
from tests.simulation.test_mutants import found_by, two_targets

Patch = pytest.MonkeyPatch
EVICTED = QueueEvicts(role="engine", target="first", state="running", after=30.0)


def queued(*faults: Fault) -> Scenario:
    return replace(two_targets(*faults), queue="gpu-queue")


def test_hours_in_the_queue_are_not_counted() -> None:
    scenario = queued(QueueLong())
    scenario.spec.update({"activeDeadlineSeconds": 1000, "timeouts": {"schedulingSeconds": 60, "startupSeconds": 60}})
    result = play(scenario)
    assert result.violations == []
    assert result.world.ended is not None
    status = result.world.ended["status"]
    assert status["phase"] == "Completed"
    assert status["active"]["seconds"] < 1000 < result.world.timeline.now


def test_who_is_evicted_queues_anew() -> None:
    result = play(queued(EVICTED))
    assert result.violations == []
    assert result.world.ended is not None
    first = result.world.ended["status"]["targets"][0]
    assert [attempt["reason"] for attempt in first["attempts"]] == ["EngineEvicted", "Completed"]
    assert "Preempted to accommodate a workload" in first["attempts"][0]["message"]
    assert len(result.world.cluster.kueue.waited) == 3


def loads_before_the_admission(patch: Patch) -> None:
    patch.setattr(actions, "_queued", lambda *_: False)


def lets_the_clock_run(patch: Patch) -> None:
    patch.setattr(decide, "_counting", lambda *_: True)


def forgets_the_label(patch: Patch) -> None:
    patch.setattr(observe, "COPIED", ())


def runs_beside_the_queue(patch: Patch) -> None:
    patch.setattr(attempt_end, "RULES", tuple(rule for rule in attempt_end.RULES if rule is not queue_ignored))


def takes_an_eviction_for_a_failure(patch: Patch) -> None:
    patch.setattr(attempts, "AGAIN", AGAIN - {"EngineEvicted"})


@pytest.mark.parametrize(
    ("defect", "faults", "want"),
    [
        (loads_before_the_admission, (), "a_load_job_comes_when_its_engine_is_admitted"),
        (lets_the_clock_run, (), "the_deadline_stands_still_while_an_engine_is_queued"),
        (forgets_the_label, (), "engines_bear_the_label_and_load_pods_do_not"),
        (runs_beside_the_queue, (QueueIgnored(),), "the_verdict_is_right"),
        (takes_an_eviction_for_a_failure, (EVICTED,), "the_verdict_is_right"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_defect_is_found(
    monkeypatch: Patch, defect: Callable[[Patch], None], faults: tuple[Fault, ...], want: str
) -> None:
    found_by(monkeypatch, defect, queued(*faults), want)
