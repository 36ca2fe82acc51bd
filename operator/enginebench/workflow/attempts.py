"""A target's attempts in one pass: what has become known of the newest one, whether it ends, whether one begins."""

from collections.abc import Sequence
from functools import cached_property

import msgspec
from msgspec.structs import replace

from enginebench.api.loadplan import StopPlan
from enginebench.api.v1alpha1 import (
    ActiveTime,
    Attempt,
    BenchmarkRunSpec,
    EngineStatus,
    ModelFetch,
    PointStatus,
    Target,
)
from enginebench.workflow import readback
from enginebench.workflow.moment import Moment
from enginebench.workflow.names import child_name
from enginebench.workflow.observed import KIND_OF, Observed
from enginebench.workflow.problem import (
    AGAIN,
    COMPLETED,
    DISRUPTIONS,
    MOST_DISRUPTIONS,
    REFUSAL_GRACE,
    SUSPENDED,
    Problem,
)
from enginebench.workflow.rules import children
from enginebench.workflow.rules.attempt_end import end_of_attempt
from enginebench.workflow.rules.collect import in_order, supersede
from enginebench.workflow.skipped import measured, skipped
from enginebench.workflow.target import TargetView, view
from enginebench.workflow.terms import Terms
from enginebench.workflow.turns import Turn, turns
from enginebench.workflow.verdicts import outcome_of_points

ATTEMPTS_KEPT = 5


class Draft(msgspec.Struct, frozen=True, dict=True):
    """A target and its attempts as this pass leaves them. What follows from them is asked often, and found once."""

    view: TargetView
    attempts: tuple[Attempt, ...]
    engine: EngineStatus | None = None
    """What really ran, read back."""
    fetch: ModelFetch | None = None
    """The newest fetch of its model."""

    @property
    def fetching(self) -> bool:
        return self.fetch is not None and self.fetch.end_time is None

    @property
    def newest(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def open(self) -> bool:
        return bool(self.attempts) and self.attempts[-1].end_time is None

    @property
    def as_told(self) -> bool:
        """Its attempts are those of the status as it stands."""
        return list(self.attempts) == (self.view.status.attempts or [])

    def with_rows(self, rows: Sequence[PointStatus]) -> "Draft":
        mine = tuple(r for r in rows if r.target == self.view.name)
        return self if mine == self.view.rows else replace(self, view=replace(self.view, rows=mine))

    @property
    def fresh(self) -> bool:
        """The newest attempt begins in this pass: what the view shows is of the one before it."""
        return self.newest is not None and (self.view.attempt is None or self.newest.number != self.view.attempt.number)

    @cached_property
    def missing(self) -> tuple[int, ...]:
        """Indices of the points that the newest attempt has to measure."""
        return self.view.missing_in(self.newest.repeat if self.newest is not None else None)

    @cached_property
    def end(self) -> Problem | None:
        """How the target ended: Completed, its failure, or what stopped it; None while there is more to do."""
        newest, fetch = self.newest, self.fetch
        if fetch is not None and fetch.reason is not None and fetch.reason not in (COMPLETED, *AGAIN):
            return Problem(fetch.reason, fetch.message or "")
        if newest is None or newest.end_time is None:
            return None
        reason = newest.reason or COMPLETED
        if reason != COMPLETED and reason not in AGAIN:
            return Problem(reason, newest.message or "")
        if not self.missing:
            turn = outcome_of_points(self.view.rows_in(newest.repeat))
            return turn if turn.reason != COMPLETED or not self.view.left else None
        tail = [a.reason for a in self.attempts[-MOST_DISRUPTIONS:]]
        if len(tail) == MOST_DISRUPTIONS and all(r in DISRUPTIONS for r in tail):
            return Problem(
                "TooManyDisruptions",
                f"{MOST_DISRUPTIONS} attempts in a row were disrupted, the last one so: {newest.message}",
            )
        return None


def draft(seen: Observed, spec: Target, rows: Sequence[PointStatus], alike: Terms, active: ActiveTime) -> Draft:
    """The target, with what has become known of its newest attempt."""
    target = view(seen, spec, tuple(row for row in rows if row.target == spec.name), alike, active.since)
    attempts, fetch = tuple(target.status.attempts or ()), target.status.model_fetch
    if target.attempt is None:
        return Draft(target, attempts, fetch=fetch)
    if target.gone:
        return Draft(target, attempts, target.status.engine, fetch)
    engine = readback.engine_status(seen, target)
    newest = readback.attempt_facts(seen, target, target.attempt, engine)
    return Draft(target, (*attempts[:-1], newest), engine, fetch)


def told(
    rows: Sequence[PointStatus], drafts: Sequence[Draft], stop_when: StopPlan | None
) -> tuple[list[PointStatus], list[Draft]]:
    """Rows that the attempts, as they stand now, measure again are marked; those of skipped points follow from the
    rest; and the targets see them so."""
    rows = supersede(measured(rows), {d.view.name: d.attempts for d in drafts})
    drafts = [d.with_rows(rows) for d in drafts]
    if stop_when is None:
        return rows, drafts
    more = [row for d in drafts for row in skipped(d.view.planned, d.view.rows, stop_when)]
    rows = in_order([d.view.name for d in drafts], [*rows, *more])
    return rows, [d.with_rows(rows) for d in drafts]


def ended(seen: Observed, d: Draft, stop: Problem | None, now: Moment) -> Draft:
    """The open attempt is ended if it has come to its end, or if the run stops."""
    newest = d.newest
    if newest is None or not d.open or (problem := _why_end(seen, d.view, now, stop)) is None:
        return d
    update = {"end_time": now.stamp, "reason": problem.reason, "message": problem.message or None}
    return replace(d, attempts=(*d.attempts[:-1], newest.model_copy(update=update)))


def _why_end(seen: Observed, target: TargetView, now: Moment, stop: Problem | None) -> Problem | None:
    assert seen.spec is not None
    assert target.attempt is not None  # only open attempts are asked about
    problem = end_of_attempt(target, now)
    if problem is not None and problem.reason == COMPLETED:
        return outcome_of_points(target.rows_in(target.attempt.repeat))
    if problem is not None:
        return problem
    if stop is not None:
        return stop
    if seen.spec.suspend:
        return Problem(SUSPENDED, "suspended by spec.suspend")
    return conflict(seen, target.name, target.attempt.number) or _creation_refused(seen, target, now)


def start_next(
    seen: Observed,
    spec: BenchmarkRunSpec,
    ready: bool,
    drafts: Sequence[Draft],
    stop: Problem | None,
    now: Moment,
) -> list[Draft]:
    """The target whose turn it is gets an attempt, once the GPU is free and nothing forbids it."""
    drafts = list(drafts)
    if stop is not None or spec.suspend or not ready or any(d.open for d in drafts):
        return drafts
    turn = next_turn(spec, drafts)
    if turn is not None and not children.busy(seen, now):
        place, repeat = turn
        d = drafts[place]
        number = d.newest.number + 1 if d.newest is not None else 1
        attempts = (*d.attempts, Attempt(number=number, start_time=now.stamp, repeat=repeat))[-ATTEMPTS_KEPT:]
        drafts[place] = replace(d, attempts=attempts)
    return drafts


def next_turn(spec: BenchmarkRunSpec, drafts: Sequence[Draft]) -> Turn | None:
    """The first turn in which something is missing, of a target that has not ended."""
    left = [d.view.left if d.end is None else () for d in drafts]
    for place, repeat in turns(spec):
        if any(repeat in (None, point.repeat) for point in left[place]):
            return place, repeat
    return None


def conflict(seen: Observed, target: str, attempt: int) -> Problem | None:
    """A child of the attempt cannot be created: an object of its name is somebody else's."""
    for role, kind in KIND_OF.items() if seen.name_conflicts else ():
        name = f"{kind}/{child_name(seen.name, seen.uid, role, target, attempt)}"
        if name in seen.name_conflicts:
            return Problem("NameConflict", f"{name} exists and does not belong to this run. Delete it, and run again.")
    return None


def _creation_refused(seen: Observed, target: TargetView, now: Moment) -> Problem | None:
    attempt = target.attempt
    if attempt is None or attempt.start_time is None or not seen.created_errors:
        return None
    since = max(attempt.start_time, target.active_since or attempt.start_time)
    for role, kind in KIND_OF.items():
        said = seen.created_errors.get((target.name, attempt.number, role.value))
        if said and now.reached(since + REFUSAL_GRACE):
            return Problem("CreationRefused", f"The API server refuses to create the {kind} of {target.name}: {said}")
    return None
