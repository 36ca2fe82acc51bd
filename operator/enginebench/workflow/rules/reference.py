"""An endpoint by reference: for how long what it refers to is waited for."""

from datetime import timedelta

from enginebench.workflow.moment import Moment
from enginebench.workflow.observed import ReferenceState
from enginebench.workflow.problem import Problem
from enginebench.workflow.target import TargetView

GRACE = timedelta(seconds=30)
"""The object, or the right to read it, may be applied just after the run."""


def reference_not_usable(target: TargetView, now: Moment) -> Problem | None:
    """What the endpoint refers to is not there, not ready in time, or says nothing that can be used."""
    found, attempt = target.reference, target.attempt
    if not target.waits_for_reference or found is None or attempt is None or attempt.start_time is None:
        return None
    since, limit = max(attempt.start_time, target.active_since or attempt.start_time), timedelta()
    match found.state:
        case ReferenceState.READY:
            return None
        case ReferenceState.UNUSABLE:
            problem = Problem("EndpointUnusable", found.words)
        case ReferenceState.FORBIDDEN:
            limit = GRACE
            problem = Problem("EndpointForbidden", found.words)
        case ReferenceState.NOT_FOUND:
            limit = GRACE
            problem = Problem("EndpointNotFound", found.words)
        case ReferenceState.NOT_READY:
            limit = timedelta(seconds=target.timeouts.startup_seconds)
            problem = Problem(
                "EndpointNotReady",
                f"Not ready within {target.timeouts.startup_seconds} s: {found.words} Look at it, or raise "
                "spec.timeouts.startupSeconds.",
            )
    return problem if now.reached(since + limit) else None
