"""The decision: one observation and the time in, one plan out. Read `decide` as a checklist.

Nothing is remembered between passes but what the status and the children say, so that an operator killed between
any two calls of the API changes nothing in the outcome.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from enginebench.api import conditions as c
from enginebench.api.invalid import invalid_reasons
from enginebench.api.v1alpha1 import ActiveTime, BenchmarkRunSpec, PointStatus, TargetStatus
from enginebench.workflow import settings
from enginebench.workflow.attempts import Draft, conflict, draft, ended, next_turn, start_next, told
from enginebench.workflow.events import happenings
from enginebench.workflow.fetches import fetches, fetches_left
from enginebench.workflow.moment import Moment
from enginebench.workflow.observed import KIND_OF, SILENCE, Child, Heard, Observed, PodView, Role
from enginebench.workflow.outcome import outcome_of_run
from enginebench.workflow.plan import Delete, Plan
from enginebench.workflow.problem import CANCELLED, COMPLETED, DEADLINE_EXCEEDED, Problem
from enginebench.workflow.rules.actions import actions
from enginebench.workflow.rules.after_the_end import after_the_end
from enginebench.workflow.rules.clock import tick, used_up
from enginebench.workflow.rules.collect import collect
from enginebench.workflow.rules.dataset import ATTEMPT, RUN, DatasetState, dataset_state
from enginebench.workflow.skipped import measured
from enginebench.workflow.status import Facts, compose
from enginebench.workflow.target_status import target_status
from enginebench.workflow.terms import Terms

LOOK_SOON = timedelta(seconds=2)
"""After deletes: of ConfigMaps nobody tells when they are gone; and where the next pass reads more."""
LOOK_AGAIN = timedelta(seconds=10)
"""After creations, and where each pass looks for what nobody tells."""
LOOK_RARELY = timedelta(seconds=60)
"""For an event that was lost."""
NEVER = datetime.max.replace(tzinfo=UTC)
HOLDS = (Role.ENGINE, Role.FETCH)
"""While a pod of these waits for admission the run's clock stands still."""


def decide(seen: Observed, at: datetime) -> Plan:
    """What follows from `seen` at that time: results to keep, the status, actions, Events, when to look again."""
    if seen.deleting is not None:
        return Plan()
    if c.is_true(seen.status.conditions, c.FINISHED):
        return after_the_end(seen, at)
    now = Moment(at)
    if seen.spec is None or seen.terms is None:
        return _refused(seen, now.stamp)

    rows, keep = collect(seen)
    active = tick(seen.status.active, counting=_counting(seen, seen.spec), now=now)
    alike = seen.terms
    dataset = dataset_state(seen, alike.timeouts, active, now)
    stop = _why_stop(seen, seen.spec, dataset, active, now)

    drafts = [draft(seen, target, rows, alike, active) for target in seen.spec.targets]
    rows, drafts = _told(seen, settings.judged(seen, rows, drafts), drafts, alike)
    closed = [ended(seen, d, stop, now) for d in drafts]
    if closed != drafts:  # what the end of an attempt makes of its rows
        rows, drafts = told(rows, closed, alike.stop_when)
    drafts = fetches(seen, seen.spec, dataset.ready, drafts, stop, alike, active, now)
    ready = dataset.ready and not fetches_left(alike, drafts)
    drafts = start_next(seen, seen.spec, ready, drafts, stop, now)

    outcome = outcome_of_run(seen, drafts, stop, now)
    as_told = rows == (seen.status.points or [])
    targets = [target_status(seen, d, stop, now.stamp, as_told=as_told) for d in drafts]
    facts = Facts(
        targets=targets,
        rows=rows,
        as_told=as_told,
        points_total=sum(len(d.view.planned) for d in drafts),
        active=tick(active, counting=False, now=now) if outcome is not None else active,
        dataset=dataset.read,
        suspended=seen.spec.suspend and stop is None,
        outcome=outcome,
        doing=_doing(targets, _current(seen.spec, drafts), dataset, stop),
        waiting=_waiting(drafts),
    )
    status = compose(seen, facts, now.stamp)
    changed = status != seen.status
    plan = Plan(
        keep=keep,
        status=status if changed else None,
        actions=tuple(actions(seen, dataset, drafts, stop, now)),
        events=happenings(seen.status, status) if changed else (),
    )
    if outcome is not None:  # no event tells of what is to be done next
        after = after_the_end(replace(seen, status=status), at)
        return replace(plan, wake_after=LOOK_SOON if after.actions else after.wake_after)
    fresh = any(d.open and d.fresh for d in drafts)
    look = _look(seen, plan, drafts, fresh=fresh)
    wake = look if now.next is None else min(look, now.next - at)
    return replace(plan, wake_after=wake, stands_until=None if fresh else now.next or NEVER)


def _told(
    seen: Observed, rows: list[PointStatus], drafts: list[Draft], alike: Terms
) -> tuple[list[PointStatus], list[Draft]]:
    """What the status tells of rows and attempts that are those of the status has been found before."""
    known = seen.status.points or []
    if rows != measured(known) or not all(d.as_told for d in drafts):
        return told(rows, drafts, alike.stop_when)
    return known, [d.with_rows(known) for d in drafts] if len(known) > len(rows) else drafts


def _refused(seen: Observed, at: datetime) -> Plan:
    """The object fits no model: an older or laxer CRD let it in. Nothing was or will be created."""
    problem = Problem(
        "InvalidSpec",
        f"The spec is not valid: {seen.spec_error} Delete the run, correct it, and apply it again.",
    )
    facts = Facts(
        targets=(), rows=seen.status.points or (), as_told=True, points_total=0, active=ActiveTime(), outcome=problem
    )
    status = compose(seen, facts, at)
    return Plan(status=status, events=happenings(seen.status, status))


def _why_stop(
    seen: Observed, spec: BenchmarkRunSpec, dataset: DatasetState, active: ActiveTime, now: Moment
) -> Problem | None:
    """What ends the whole run before its targets have ended."""
    if not seen.status.targets and (wrong := invalid_reasons(spec)):  # what it judges cannot be edited later
        return Problem("InvalidSpec", " ".join(wrong) + " Delete the run, correct it, and apply it again.")
    if spec.cancel:
        return Problem(CANCELLED, "The run was cancelled by spec.cancel; what was measured is kept.")
    if dataset.problem is not None:
        return dataset.problem
    if dataset.prepare and (taken := conflict(seen, RUN, ATTEMPT)) is not None:
        return taken
    if used_up(active, timedelta(seconds=spec.active_deadline_seconds), now):
        return Problem(
            DEADLINE_EXCEEDED,
            f"The run was active for spec.activeDeadlineSeconds ({spec.active_deadline_seconds} s); "
            "what was measured is kept.",
        )
    return None


def _counting(seen: Observed, spec: BenchmarkRunSpec) -> bool:
    """The deadline's clock stands still while the run is suspended, or its engine waits for admission, or a load pod
    for which no engine waits."""
    alone = {RUN, *(target.name for target in spec.targets if target.endpoint is not None)}
    gated = any(pod.gated for pod in seen.pods if pod.role in HOLDS or pod.target in alone)
    return not spec.suspend and not gated and not any(job.suspended for job in seen.children if job.target in alone)


def _current(spec: BenchmarkRunSpec, drafts: Sequence[Draft]) -> int | None:
    """The place of the target that is at work, or else of the next one."""
    for place, d in enumerate(drafts):
        if d.open or d.fetching:
            return place
    turn = next_turn(spec, drafts)
    return turn[0] if turn is not None else None


def _doing(targets: Sequence[TargetStatus], place: int | None, dataset: DatasetState, stop: Problem | None) -> str:
    """The run's message while it lasts: `target: what it does`."""
    if stop is not None:
        return f"ending: {stop.message}"
    if dataset.prepare and not dataset.ready:
        return dataset.doing
    if place is None:
        return "freeing the GPU and clearing up"
    current = targets[place]
    between = current.attempts is not None and current.attempts[-1].reason == COMPLETED
    if current.phase == "Waiting" and (between or not current.message):
        return f"{current.name}: waits for the engine before it to be gone"
    return f"{current.name}: {current.message or current.phase}"


def _waiting(drafts: Sequence[Draft]) -> bool:
    """The open attempt's engine, or an endpoint's load pod, has no node yet."""
    for d in drafts:
        pod = d.view.engine if d.view.has_engine else d.view.load
        if d.open and pod is not None and pod.scheduled_at is None and not pod.over:
            return pod.gated or bool(pod.unschedulable)
    return False


def _look(seen: Observed, plan: Plan, drafts: Sequence[Draft], *, fresh: bool) -> timedelta:
    """When the next pass is due at the latest. What is watched (the run, its pods, Jobs and Services, what they say)
    wakes by itself: this is for the rest."""
    if any(isinstance(action, Delete) for action in plan.actions) or any(_unwatched(child) for child in seen.children):
        return LOOK_SOON
    if not plan.actions and fresh:
        return LOOK_SOON  # what its endpoint refers to is read now that the attempt is there
    return LOOK_AGAIN if plan.actions or _asks(seen, drafts) else LOOK_RARELY


def _unwatched(child: Child) -> bool:
    """It is going, and nothing will tell when it is gone."""
    return child.deleting is not None and KIND_OF[child.role] == "ConfigMap"


def _asks(seen: Observed, drafts: Sequence[Draft]) -> bool:
    """Each pass looks for what nobody tells: Events of what does not get going, whether a queue admits a pod, whether
    a node still answers, whether a log is read again, how far the object is that an endpoint refers to."""
    there = {(pod.role, pod.target, pod.attempt) for pod in seen.pods}
    return (
        any(_needs_care(pod, seen.heard.get(pod.uid, SILENCE)) for pod in seen.pods)
        or any(KIND_OF[c.role] == "Job" and (c.role, c.target, c.attempt) not in there for c in seen.children)
        or any(d.open and d.view.waits_for_reference for d in drafts)
    )


def _needs_care(pod: PodView, heard: Heard) -> bool:
    unheard = pod.speaks and heard.since is None and not heard.ended and not heard.exhausted
    return pod.deleting is not None or unheard or (pod.started_at is None and not pod.over)
