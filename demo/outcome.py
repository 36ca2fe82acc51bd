"""How far a run is, and how it ended, in words: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enginebench.api.conditions import FINISHED, SUCCEEDED, get_condition, is_true
from enginebench.api.v1alpha1 import BenchmarkRunStatus, TargetStatus

SIMULATED = "SIMULATED"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a run."""

    succeeded: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a run stands."""

    phase: str
    message: str
    points_done: int
    points_total: int
    targets: tuple[str, ...]
    """One line a target."""


def status_of(run: Mapping[str, Any]) -> BenchmarkRunStatus:
    """The status of a run as the API server sent it; empty before the operator has looked at the run."""
    return BenchmarkRunStatus.model_validate(run.get("status") or {})


def moment(status: BenchmarkRunStatus) -> Moment:
    """Where the run stands."""
    progress = status.progress
    return Moment(
        phase=status.phase or "Pending",
        message=status.message or "waiting for the operator",
        points_done=progress.points_done if progress else 0,
        points_total=progress.points_total if progress else 0,
        targets=target_lines(status.targets or ()),
    )


def target_lines(targets: Sequence[TargetStatus]) -> tuple[str, ...]:
    """One line a target: its name, whether it is simulated, its phase and message."""
    width = max((len(target.name) for target in targets), default=0)
    return tuple(" ".join(filter(None, (f"{t.name:<{width}}", simulated(t), t.phase, t.message))) for t in targets)


def simulated(target: TargetStatus) -> str:
    """SIMULATED, where no real engine ran."""
    return SIMULATED if target.simulated else ""


def outcome(status: BenchmarkRunStatus) -> Outcome | None:
    """How the run ended; None while it has not."""
    if not is_true(status.conditions, FINISHED):
        return None
    succeeded = get_condition(status.conditions, SUCCEEDED)
    said = status.message or (succeeded.message if succeeded else "")
    if succeeded is not None and succeeded.status == "True":
        return Outcome(True, (status.summary.text if status.summary else None) or said)
    return Outcome(False, f"{succeeded.reason}: {said}" if succeeded else said)
