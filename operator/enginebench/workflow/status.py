"""Observed facts to the status that people, pipelines and dashboards read."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from enginebench.api import conditions as c
from enginebench.api.v1alpha1 import (
    ActiveTime,
    BenchmarkRunStatus,
    Comparison,
    Condition,
    DataRef,
    PlacementStatus,
    PointStatus,
    Progress,
    Resolved,
    ResolvedDataset,
    Results,
    Summary,
    TargetStatus,
)
from enginebench.workflow.comparisons import MANY_POINTS, Truth, comparisons, verdict
from enginebench.workflow.names import child_name, data_selector
from enginebench.workflow.observed import Observed, Role
from enginebench.workflow.problem import CANCELLED, COMPLETED, Problem
from enginebench.workflow.skipped import measured
from enginebench.workflow.summary import summarize
from enginebench.workflow.terms import DETAILED_POINTS


class Facts(msgspec.Struct, frozen=True):
    """What one pass found out; the status follows from it and from what it said before."""

    targets: Sequence[TargetStatus]
    rows: Sequence[PointStatus]
    as_told: bool
    """The rows are those of the status as it stands."""
    points_total: int
    active: ActiveTime
    dataset: ResolvedDataset | None = None
    suspended: bool = False
    outcome: Problem | None = None
    """Set when the run is over: Completed, or why it did not succeed."""
    doing: str = ""
    """What is happening now, for the message."""
    waiting: bool = False
    """The engine waits for a node or for admission."""


def compose(seen: Observed, facts: Facts, now: datetime) -> BenchmarkRunStatus:
    """The whole status, from the first write on with all conditions."""
    old = seen.status
    over = facts.outcome is not None
    told = facts.points_total <= DETAILED_POINTS
    summary, found = _summary(old, facts, told)
    return BenchmarkRunStatus(
        observed_generation=seen.generation,
        phase=_phase(facts),
        message=_message(facts),
        start_time=old.start_time or now,
        completion_time=(old.completion_time or now) if over else None,
        active=facts.active,
        progress=_progress(facts),
        conditions=_conditions(seen, facts, verdict(found) if told else MANY_POINTS, now),
        placement=_placement(seen, facts),
        targets=list(facts.targets),
        points=list(facts.rows) or None,
        summary=summary,
        results=_results(seen, facts),
        resolved=_resolved(old, facts),
    )


def _summary(old: BenchmarkRunStatus, facts: Facts, told: bool) -> tuple[Summary | None, Sequence[Comparison]]:
    """With the comparisons, which it holds where they are told."""
    if facts.as_told and old.summary is not None and _summed_up(facts.targets) == _summed_up(old.targets or ()):
        return old.summary, old.summary.comparisons or ()
    summary = summarize(facts.targets)
    best = summary.target if summary is not None else None
    found = comparisons([t.name for t in facts.targets], facts.rows, best) if told else []
    if summary is not None:
        summary.comparisons = found or None
    return summary, found


def _summed_up(targets: Sequence[TargetStatus]) -> list[object]:
    """What a summary is made of, besides rows."""
    return [(t.name, t.simulated, t.peak, t.repeats, t.load_generator) for t in targets]


def _phase(facts: Facts) -> str:
    if facts.outcome is not None:
        return {COMPLETED: "Completed", CANCELLED: "Cancelled"}.get(facts.outcome.reason, "Failed")
    if facts.suspended:
        return "Suspended"
    if facts.waiting:
        return "Queued"
    started = any(target.attempts or target.model_fetch for target in facts.targets)
    return "Running" if started else "Pending"


def _message(facts: Facts) -> str:
    if facts.outcome is not None:
        return facts.outcome.message
    if facts.suspended:
        return f"suspended; set spec.suspend to false to go on. {facts.doing}".strip()
    return facts.doing


def _progress(facts: Facts) -> Progress:
    done = len({(row.target, row.index) for row in facts.rows if row.validity != "Superseded"})
    ended = sum(1 for target in facts.targets if target.phase in ("Succeeded", "Failed", "Skipped", "Cancelled"))
    return Progress(
        targets_done=ended,
        targets_total=len(facts.targets),
        points_done=done,
        points_total=facts.points_total,
        percent=100 * done // facts.points_total if facts.points_total else 0,
    )


def _conditions(seen: Observed, facts: Facts, comparable: Truth, now: datetime) -> list[Condition]:
    said = (*_truths(facts), (c.COMPARABLE, *comparable))
    return c.set_conditions(seen.status.conditions, said, now=now, generation=seen.generation)


def _truths(facts: Facts) -> Sequence[c.Said]:
    """Of every condition but Comparable, always all of them."""
    outcome = facts.outcome
    results = (
        ("True", "PointsStored", f"{len(measured(facts.rows))} load points are stored.")
        if facts.rows
        else ("False", "NoPointYet", "No load point has been measured.")
    )
    if outcome is None:
        doing = facts.doing or "starting"
        reason = "Suspended" if facts.suspended else "Running"
        return (
            (c.FINISHED, "False", reason, _message(facts) or doing),
            (c.SUCCEEDED, "Unknown", reason, "The run has not ended."),
            (c.RECONCILING, "True", reason, _message(facts) or doing),
            (c.STALLED, "False", reason, ""),
            (c.RESULTS_AVAILABLE, *results),
        )
    succeeded = outcome.reason == COMPLETED
    stalled = not succeeded and outcome.reason != CANCELLED
    return (
        (c.FINISHED, "True", outcome.reason, outcome.message),
        (c.SUCCEEDED, "True" if succeeded else "False", outcome.reason, outcome.message),
        (c.RECONCILING, "False", outcome.reason, ""),
        (c.STALLED, "True" if stalled else "False", outcome.reason, outcome.message if stalled else ""),
        (c.RESULTS_AVAILABLE, *results),
    )


def _placement(seen: Observed, facts: Facts) -> PlacementStatus | None:
    """The first engine's node and GPU product, kept: the later engines are bound to them."""
    if seen.status.placement is not None:
        return seen.status.placement
    for target in facts.targets:
        if target.engine is not None and target.engine.node:
            product = target.engine.gpu.product if target.engine.gpu is not None else None
            return PlacementStatus(node=target.engine.node, gpu_product=product)
    return None


def _resolved(old: BenchmarkRunStatus, facts: Facts) -> Resolved | None:
    if old.resolved is not None and old.resolved.dataset is facts.dataset:
        return old.resolved
    return Resolved(dataset=facts.dataset) if facts.dataset is not None else None


def _results(seen: Observed, facts: Facts) -> Results | None:
    if not facts.rows:
        return None
    rows = measured(facts.rows)
    if len(rows) == len(measured(seen.status.points or ())) and seen.status.results is not None:
        return seen.status.results  # rows only ever join: as many as before are the same
    refs = [
        DataRef(config_map=child_name(seen.name, seen.uid, Role.DATA, row.target, row.attempt, row.index))
        for row in rows
    ]
    return Results(selector=data_selector(seen.uid), data=refs if facts.points_total <= DETAILED_POINTS else None)
