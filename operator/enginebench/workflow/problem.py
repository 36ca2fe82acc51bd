"""Why an attempt ended: one word that a pipeline may match, one sentence that a person can act on."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason (stable, CamelCase) and a message that says what is wrong, where, and what to do."""

    reason: str
    message: str


COMPLETED = "Completed"
"""Every point was measured. Whether that is a success is the target's verdict."""

SUSPENDED = "Suspended"
CANCELLED = "Cancelled"
DEADLINE_EXCEEDED = "DeadlineExceeded"

DISRUPTIONS = frozenset(
    {
        *("EngineDeleted", "EngineEvicted", "LoadPodDeleted", "LoadPodEvicted", "LoadPodLost", "EngineChanged"),
        *("FetchPodDeleted", "FetchPodEvicted"),
    }
)
"""A pod was taken away, or another engine came back: nothing failed, so the target goes on in a new attempt."""

AGAIN = DISRUPTIONS | {SUSPENDED}
"""After these the target's missing points are measured in a new attempt."""

REFUSAL_GRACE = timedelta(seconds=60)
"""A child that the API server refuses is given up after this: a quota may be freed, a webhook may come back."""
POD_GRACE = timedelta(seconds=120)
"""A Job whose pod cannot be created (quota, admission) is given up after this."""

MOST_DISRUPTIONS = 5
"""As many attempts in a row as the status keeps; then the target fails rather than try for ever."""
