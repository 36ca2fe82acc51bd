"""The clock of activeDeadlineSeconds: it does not tick while the run is suspended or waits to be admitted."""

from datetime import datetime, timedelta

from enginebench.api.v1alpha1 import ActiveTime


def tick(active: ActiveTime | None, *, counting: bool, now: datetime) -> ActiveTime:
    """The clock after this pass; it is written only when it starts or stops, never to tell the time."""
    active = active or ActiveTime()
    if counting and active.since is None:
        return ActiveTime(seconds=active.seconds, since=now)
    if not counting and active.since is not None:
        return ActiveTime(seconds=int(used(active, now).total_seconds()))
    return active


def used(active: ActiveTime, now: datetime) -> timedelta:
    """How much time has counted by `now`."""
    running = now - active.since if active.since is not None else timedelta()
    return timedelta(seconds=active.seconds) + running
