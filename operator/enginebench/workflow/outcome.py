"""How the run ends: when every target has ended or something stopped it, and nothing is left on the cluster."""

from collections.abc import Sequence
from datetime import timedelta

from enginebench.workflow.attempts import Draft
from enginebench.workflow.moment import Moment
from enginebench.workflow.observed import Observed, Role
from enginebench.workflow.problem import CANCELLED, COMPLETED, DEADLINE_EXCEEDED, Problem
from enginebench.workflow.rules import children
from enginebench.workflow.skipped import SKIPPED
from enginebench.workflow.verdicts import usable

CLEARING_LIMIT = timedelta(seconds=120)
"""Children that will not go (a node that does not answer) hold the end of the run no longer than this."""


def outcome_of_run(seen: Observed, drafts: Sequence[Draft], stop: Problem | None, now: Moment) -> Problem | None:
    """The run's end: every target has one, or something stopped it, and what it held is free again."""
    ends = [d.end for d in drafts]
    all_ended = all(end is not None for end in ends)
    if (not all_ended and stop is None) or any(d.open or d.fetching for d in drafts):
        return None
    if stop is not None and not any(d.attempts for d in drafts):
        return stop  # no engine ever was; what stopped the run may go with the pod that told of it
    if not _cleared(seen, drafts, now):
        return None
    if not all_ended and stop is not None:
        return stop
    stopped = next((e for e in ends if e is not None and e.reason in (CANCELLED, DEADLINE_EXCEEDED)), None)
    if stopped is not None:
        return stopped
    failed = [(d.view.name, e) for d, e in zip(drafts, ends, strict=True) if e is not None and e.reason != COMPLETED]
    if not failed:
        points = sum(len(d.view.planned) for d in drafts)
        skipped = sum(row.validity == SKIPPED for d in drafts for row in d.view.rows)
        words = f"; {skipped} more skipped, as stopWhen asks" if skipped else ""
        done = f"{_many(points - skipped, 'load point')} of {_many(len(drafts), 'target')}"
        return Problem(COMPLETED, f"Measured: {done}{words}.")
    told = " ".join(f"{name}: {end.reason}: {end.message}" for name, end in failed)
    nothing = not any(usable(row) for d in drafts for row in d.view.rows)
    if nothing and all(end.reason in ("EveryRequestFailed", "NoUsablePoint") for _, end in failed):
        return Problem("NoUsablePoint", f"No usable load point was measured. {told}")
    return Problem("TargetsFailed", f"{len(failed)} of {len(drafts)} targets failed. {told}")


def _cleared(seen: Observed, drafts: Sequence[Draft], now: Moment) -> bool:
    """Nothing is left on the cluster but the results; what will not go is waited for only so long."""
    if not any(child.role is not Role.DATA for child in seen.children) and not children.busy(seen, now):
        return True
    ends = [d.newest.end_time for d in drafts if d.newest is not None and d.newest.end_time is not None]
    ends += [d.fetch.end_time for d in drafts if d.fetch is not None and d.fetch.end_time is not None]
    since = max(ends, default=seen.status.start_time or now.stamp)
    return not any(d.open for d in drafts) and now.reached(since + CLEARING_LIMIT)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
