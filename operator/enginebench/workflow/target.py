"""One target of a run as its newest attempt shows it: what the rules of the attempt look at."""

from datetime import datetime, timedelta
from functools import cached_property

import msgspec

from enginebench.api.loadplan import PointPlan
from enginebench.api.resolve import ResolvedTimeouts
from enginebench.api.v1alpha1 import Attempt, PointStatus, Target, TargetStatus
from enginebench.workflow.observed import SILENCE, Child, Heard, Observed, PodView, Reference, Role
from enginebench.workflow.terms import Terms

TOLD = (Role.LOAD_PLAN, Role.LOAD)
"""Where one of these is there, its load pod has its plan, or will."""


class TargetView(msgspec.Struct, frozen=True, dict=True):
    """A target, its status, and the children of its newest attempt. `rows` are all its points, collected or not
    yet told of; `planned` is what it must measure, in all its turns."""

    spec: Target
    status: TargetStatus
    timeouts: ResolvedTimeouts
    planned: tuple[PointPlan, ...]
    rows: tuple[PointStatus, ...]
    attempt: Attempt | None
    engine: PodView | None
    load: PodView | None
    """The load pod that leads."""
    load_job: Child | None
    heard: Heard
    active_since: datetime | None = None
    """When the run's clock last began to tick."""
    longest_point: int | None = None
    """Seconds that no load point exceeds; None: nothing bounds it but its requests."""
    longest_step: int = 0
    """Seconds that no part of a load point exceeds but its window and its drain."""
    followers: tuple[PodView, ...] = ()
    """The other load pods."""
    load_pods: int = 1
    """How many there should be, the leading one among them."""
    told: bool = False
    """The load pod has its plan: what an endpoint refers to is no longer waited for."""
    reference: Reference | None = None
    """What an endpoint refers to; None: by URL, not looked at yet, or no longer needed."""
    taken: str = ""
    """Who took the newest attempt's engine away, and why, where its pod is gone; empty: not known."""
    refused: str = ""
    """What the API server last said when it refused to create a child of the newest attempt."""

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def has_engine(self) -> bool:
        """An endpoint is not ours: it has no pod, and nothing there is changed or deleted."""
        return self.spec.endpoint is None

    @property
    def waits_for_reference(self) -> bool:
        """Where the endpoint answers is yet to be said by the object that it refers to."""
        endpoint = self.spec.endpoint
        return endpoint is not None and endpoint.url is None and not self.told

    @property
    def url(self) -> str:
        """Where an endpoint answers, as far as that is known now."""
        given = self.spec.endpoint.url if self.spec.endpoint is not None else None
        return given or (self.reference.url if self.reference is not None else "")

    @property
    def open(self) -> bool:
        """An attempt is under way."""
        return self.attempt is not None and self.attempt.end_time is None

    @property
    def gone(self) -> bool:
        """Its newest attempt has ended, and of its pods nothing is left: no more becomes known of it."""
        return not self.open and self.engine is None and self.load is None

    @property
    def verified(self) -> bool:
        """The engine of the newest attempt has served, by word of the load pod or by what an earlier pass wrote."""
        written = self.attempt is not None and self.attempt.fingerprint is not None
        return self.heard.engine is not None or written or self.rows_of_attempt

    @property
    def rows_of_attempt(self) -> bool:
        """The newest attempt has measured something."""
        return self.attempt is not None and any(row.attempt == self.attempt.number for row in self.rows)

    @property
    def all_load_pods(self) -> tuple[PodView, ...]:
        """Those that are there, the leading one first."""
        return (*((self.load,) if self.load is not None else ()), *self.followers)

    @property
    def data_read_at(self) -> datetime | None:
        """When the load pods had their data set, or should have had it: no engine is waited for before."""
        started = [pod.started_at for pod in self.all_load_pods if pod.started_at is not None]
        if self.load is None or len(started) < self.load_pods:
            return None
        latest = max(started) + timedelta(seconds=self.timeouts.dataset_seconds)
        return min(self.heard.dataset_at or latest, latest)

    @cached_property
    def missing(self) -> tuple[int, ...]:
        """Indices of the points in the newest attempt's turn that no attempt has measured yet."""
        return self.missing_in(self.attempt.repeat if self.attempt is not None else None)

    @cached_property
    def left(self) -> tuple[PointPlan, ...]:
        """Points of all turns that no attempt has measured yet, and that are not skipped either."""
        measured = {row.index for row in self.rows if row.validity != "Superseded"}
        return tuple(point for point in self.planned if point.index not in measured)

    def missing_in(self, repeat: int | None) -> tuple[int, ...]:
        """Indices of the points of a repeat (None: of all) that no attempt has measured yet."""
        return tuple(point.index for point in self.left if repeat in (None, point.repeat))

    def rows_in(self, repeat: int | None) -> tuple[PointStatus, ...]:
        """The rows of a repeat (None: all)."""
        return self.rows if repeat is None else tuple(row for row in self.rows if row.repeat == repeat)


def view(
    seen: Observed, spec: Target, rows: tuple[PointStatus, ...], alike: Terms, active_since: datetime | None
) -> TargetView:
    """The target's part of what was observed."""
    status = next((t for t in seen.status.targets or () if t.name == spec.name), None) or TargetStatus(name=spec.name)
    attempt = status.attempts[-1] if status.attempts else None
    number = attempt.number if attempt is not None else 0
    engine = load = job = None
    followers: tuple[PodView, ...] = ()
    for pod in seen.pods:
        if pod.target != spec.name or pod.attempt != number:
            continue
        if pod.role is Role.ENGINE:
            engine = engine or pod
        elif pod.leads:
            load = load or pod
        elif pod.role is Role.LOAD:
            followers += (pod,)
    told = False
    for child in seen.children:
        if child.target == spec.name and child.attempt == number:
            if child.role is Role.LOAD:
                job = job or child
            told = told or child.role in TOLD
    return TargetView(
        spec=spec,
        status=status,
        timeouts=alike.timeouts,
        planned=alike.planned,
        rows=rows,
        attempt=attempt,
        engine=engine,
        load=load,
        load_job=job,
        heard=seen.heard.get(load.uid, SILENCE) if load is not None else SILENCE,
        active_since=active_since,
        longest_point=alike.longest_point,
        longest_step=alike.longest_step,
        followers=followers,
        load_pods=alike.load_pods,
        told=told,
        reference=seen.references.get(spec.name),
        taken=seen.taken.get(attempt.pod_uid or "", "") if attempt is not None else "",
        refused=next((said for key, said in seen.created_errors.items() if key[:2] == (spec.name, number)), ""),
    )
