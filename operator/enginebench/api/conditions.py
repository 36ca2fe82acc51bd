"""Conditions: their types, and how one is set without losing when it last changed."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from enginebench.api.base import StatusObject, Time


class Condition(StatusObject):
    """As metav1.Condition."""

    type: str
    """CamelCase name of what is true or not."""
    status: str
    """True, False or Unknown."""
    observed_generation: int | None = None
    """metadata.generation that this was decided for."""
    last_transition_time: Time
    """When `status` last changed."""
    reason: str
    """A stable CamelCase word that a pipeline may match."""
    message: str
    """What to know, and what to do, in words."""


FINISHED = "Finished"
"""True on every outcome: `kubectl wait --for=condition=Finished` never hangs."""
SUCCEEDED = "Succeeded"
"""True only if every target succeeded; Unknown until the run is finished."""
RECONCILING = "Reconciling"
"""kstatus: True while the run is at work."""
STALLED = "Stalled"
"""kstatus: True when the run ended without success and was not cancelled."""
RESULTS_AVAILABLE = "ResultsAvailable"
"""True from the first stored point."""
COMPARABLE = "Comparable"
"""True where any two targets did the same work at each load that they have in common; Unknown until there are two."""
READY = "Ready"
"""Of a target: the engine serves the right model and has answered."""
SETTINGS_IN_FORCE = "SettingsInForce"
"""Of a target: the engine runs with the settings that were asked for; Unknown as long as it does not tell."""

RUN_CONDITIONS = (FINISHED, SUCCEEDED, RECONCILING, STALLED, RESULTS_AVAILABLE, COMPARABLE)
"""All of a run's conditions, present from the first write."""

TRUE = "True"


def get_condition(conditions: Sequence[Condition] | None, type_: str) -> Condition | None:
    """The condition of this type, if there."""
    for condition in conditions or ():
        if condition.type == type_:
            return condition
    return None


def is_true(conditions: Sequence[Condition] | None, type_: str) -> bool:
    """The condition is there, and True."""
    condition = get_condition(conditions, type_)
    return condition is not None and condition.status == TRUE


Said = tuple[str, str, str, str]
"""(type, status, reason, message)"""


def set_conditions(
    conditions: Sequence[Condition] | None, said: Iterable[Said], *, now: datetime, generation: int
) -> list[Condition]:
    """The conditions with those set of which something is said, in their order, new ones last.

    lastTransitionTime moves only with `status`.
    """
    found = {condition.type: condition for condition in conditions or ()}
    for type_, status, reason, message in said:
        old = found.get(type_)
        words = (status, reason, message, generation)
        if old is not None and words == (old.status, old.reason, old.message, old.observed_generation):
            continue
        found[type_] = Condition(
            type=type_,
            status=status,
            observed_generation=generation,
            last_transition_time=old.last_transition_time if old is not None and old.status == status else now,
            reason=reason,
            message=message,
        )
    return list(found.values())
