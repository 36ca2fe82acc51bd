"""How a run's state and end are put into words."""

from typing import Any

import pytest

from demo.outcome import Outcome, moment, outcome, status_of

SINCE = "2026-11-23T12:00:00Z"


def a_condition(kind: str, status: str, reason: str = "Because", message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE}


def a_run(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "r", "generation": 1}, "status": status}


def test_run_without_status_is_pending() -> None:
    now = moment(status_of({"metadata": {"name": "r"}}))
    assert (now.phase, now.message, now.points_total) == ("Pending", "waiting for the operator", 0)


def test_moment_tells_every_target_and_marks_the_simulated() -> None:
    now = moment(
        status_of(
            a_run(
                phase="Running",
                message="vllm-sim: 4 users, load point 3 of 7",
                progress={"pointsDone": 2, "pointsTotal": 14},
                targets=[
                    {"name": "vllm-sim", "simulated": True, "phase": "Loading", "message": "4 users"},
                    {"name": "ollama", "phase": "Waiting"},
                ],
            )
        )
    )
    assert now.targets == ("vllm-sim SIMULATED Loading 4 users", "ollama   Waiting")
    assert (now.points_done, now.points_total) == (2, 14)


@pytest.mark.parametrize("conditions", [[], [a_condition("Finished", "False")]])
def test_run_that_has_not_finished_has_no_outcome(conditions: list[dict[str, Any]]) -> None:
    assert outcome(status_of(a_run(conditions=conditions))) is None


def test_success_is_told_by_the_summary() -> None:
    run = a_run(
        message="Completed",
        conditions=[a_condition("Finished", "True"), a_condition("Succeeded", "True")],
        summary={"target": "vllm-sim", "text": "vllm-sim (SIMULATED) is best."},
    )
    assert outcome(status_of(run)) == Outcome(True, "vllm-sim (SIMULATED) is best.")


def test_failure_is_told_with_its_reason_and_the_runs_message() -> None:
    run = a_run(
        message="ollama-tuned: image docker.io/x cannot be pulled",
        conditions=[a_condition("Finished", "True"), a_condition("Succeeded", "False", "TargetsFailed", "see targets")],
    )
    told = Outcome(False, "TargetsFailed: ollama-tuned: image docker.io/x cannot be pulled")
    assert outcome(status_of(run)) == told


def test_finished_without_a_verdict_is_no_success() -> None:
    run = a_run(message="ended", conditions=[a_condition("Finished", "True")])
    assert outcome(status_of(run)) == Outcome(False, "ended")
