"""The clock of activeDeadlineSeconds: it does not tick while the run is suspended or waits to be admitted."""

from datetime import timedelta

from enginebench.api.v1alpha1 import ActiveTime
from enginebench.workflow.moment import Moment


def tick(active: ActiveTime | None, *, counting: bool, now: Moment) -> ActiveTime:
    """The clock after this pass; it is written only when it starts or stops, never to tell the time."""
    active = active or ActiveTime()
    if counting and active.since is None:
        return ActiveTime(seconds=active.seconds, since=now.stamp)
    if not counting and active.since is not None:
        return ActiveTime(seconds=active.seconds + int((now.stamp - active.since).total_seconds()))
    return active


def used_up(active: ActiveTime, limit: timedelta, now: Moment) -> bool:
    """So much time has counted by now."""
    left = limit - timedelta(seconds=active.seconds)
    return now.reached(active.since + left) if active.since is not None else left <= timedelta()
