"""A finished run: what is left is cleared, the object goes when its time has come, and edits are observed."""

from datetime import datetime, timedelta

from enginebench.api.v1alpha1 import BenchmarkRunStatus
from enginebench.workflow.observed import Observed, Role
from enginebench.workflow.plan import Action, Delete, DeleteRun, Plan

LOOK_AGAIN = timedelta(seconds=5)


def after_the_end(seen: Observed, now: datetime) -> Plan:
    """Nothing of the outcome changes any more."""
    actions: list[Action] = [
        Delete(child) for child in seen.children if child.role is not Role.DATA and child.deleting is None
    ]
    wake = LOOK_AGAIN if actions else None
    ttl = seen.spec.ttl_seconds_after_finished if seen.spec is not None else None
    done = seen.status.completion_time
    if ttl is not None and done is not None:
        left = done + timedelta(seconds=ttl) - now
        if left <= timedelta():
            actions.append(DeleteRun())
        else:
            wake = min(left, wake or left)
    return Plan(status=_observed(seen), actions=tuple(actions), wake_after=wake)


def _observed(seen: Observed) -> BenchmarkRunStatus | None:
    """observedGeneration follows on the status and on every condition: `kubectl wait` ignores those that lag."""
    if seen.status.observed_generation == seen.generation:
        return None
    conditions = [c.model_copy(update={"observed_generation": seen.generation}) for c in seen.status.conditions or ()]
    return seen.status.model_copy(update={"observed_generation": seen.generation, "conditions": conditions})
