"""The data set is read and checked by a Job without a GPU before any engine is created."""

from datetime import datetime, timedelta

import msgspec

from enginebench.api.resolve import ResolvedTimeouts
from enginebench.api.v1alpha1 import ActiveTime, ResolvedDataset
from enginebench.workflow.moment import Moment
from enginebench.workflow.observed import KIND_OF, SILENCE, Heard, Observed, PodView, Role
from enginebench.workflow.problem import POD_GRACE, REFUSAL_GRACE, Problem
from enginebench.workflow.rules.pod_end import load_pod_died
from enginebench.workflow.rules.pod_start import stuck

RUN = ""
"""The target that the run's own children name."""
ATTEMPT = 1


class DatasetState(msgspec.Struct, frozen=True):
    """`ready`: engines may be created. `read`: what is known of the rows. `problem`: the run cannot go on."""

    ready: bool
    prepare: bool = False
    """A Job must read it first."""
    doing: str = "reading and checking the data set"
    """How far the Job is, in its own words where it has said any."""
    read: ResolvedDataset | None = None
    problem: Problem | None = None


def dataset_state(seen: Observed, timeouts: ResolvedTimeouts, active: ActiveTime, now: Moment) -> DatasetState:
    """Where the data set stands; inline and synthetic rows are read by the load pods themselves."""
    assert seen.spec is not None  # an object that fits no model never gets here
    known = seen.status.resolved.dataset if seen.status.resolved is not None else None
    if known is not None:
        return DatasetState(ready=True, read=known)
    said = next((h.dataset for h in seen.heard.values() if h.dataset is not None), None)
    read = (
        ResolvedDataset(rows=said.rows, digest=said.digest, skipped=said.skipped or None) if said is not None else None
    )
    file = seen.spec.workload.dataset.file
    if said is not None and said.errors and file:
        lines = "; ".join(said.errors)
        return DatasetState(
            ready=False, problem=Problem("DatasetInvalid", f"The data set ({file}) is refused: {lines}")
        )
    if not file:
        return DatasetState(ready=True, read=read)
    if read is not None:
        return DatasetState(ready=True, read=read)
    problem = _problem(seen, timeouts, active, now)
    progress = next((h.progress for h in seen.heard.values() if h.progress is not None and h.progress.message), None)
    if progress is None:
        return DatasetState(ready=False, prepare=True, problem=problem)
    return DatasetState(ready=False, prepare=True, problem=problem, doing=progress.message)


def _problem(seen: Observed, timeouts: ResolvedTimeouts, active: ActiveTime, now: Moment) -> Problem | None:
    pod = next((p for p in seen.pods if p.role is Role.LOAD and p.target == RUN), None)
    if pod is None:
        return _no_pod(seen, active.since, now)
    heard = seen.heard.get(pod.uid, SILENCE)
    if heard.failure is not None:
        return Problem(heard.failure.reason, heard.failure.message)
    if heard.ended:
        lost = f"Pod {pod.name} has read the data set, but its word on it is not in its log. Run again."
        return Problem("PrepareFailed", lost)
    if pod.over and heard.exhausted:
        return Problem("PrepareFailed", load_pod_died(pod, heard.last_lines).message)
    return _hangs(pod, heard, timeouts, now) or _not_found(seen, stuck(pod, now, timeouts, active_since=active.since))


def _no_pod(seen: Observed, active_since: datetime | None, now: Moment) -> Problem | None:
    """Its Job or its plan is refused, or the Job's pod is, or it is gone."""
    for role, kind in KIND_OF.items():
        said = seen.created_errors.get((RUN, ATTEMPT, role.value))
        if said and active_since is not None and now.reached(active_since + REFUSAL_GRACE):
            return Problem(
                "CreationRefused", f"The API server refuses to create the {kind} that reads the data set: {said}"
            )
    job = next((c for c in seen.children if c.role is Role.LOAD and c.target == RUN), None)
    if job is None:
        return None
    if job.failed:
        return Problem(
            "PrepareFailed",
            f"The pod of Job {job.name}, which reads the data set, is gone: {job.failed}. Run again.",
        )
    if job.suspended or not now.reached(job.created + POD_GRACE):
        return None
    return Problem(
        "LoadPodNotCreated",
        f"Job {job.name}, which reads the data set, has had no pod for {POD_GRACE.seconds} s: "
        f"{job.trouble or 'no Event says why'}",
    )


def _hangs(pod: PodView, heard: Heard, timeouts: ResolvedTimeouts, now: Moment) -> Problem | None:
    """Its word is overdue: it hangs, or its log cannot be read."""
    listening, limit = heard.deaf_since or heard.since, timeouts.dataset_seconds
    if pod.started_at is None or listening is None:
        return None
    if not now.reached(max(pod.started_at, listening) + timedelta(seconds=limit)):
        return None
    return Problem(
        "PrepareFailed",
        f"Pod {pod.name} has not told of the data set within {limit} s. Look at its log and its node "
        f"({pod.node}), and run again.",
    )


def _not_found(seen: Observed, problem: Problem | None) -> Problem | None:
    if problem is None or problem.reason != "VolumeNotFound" or seen.spec is None:
        return problem
    return Problem(
        "DatasetNotFound",
        f"spec.workload.dataset: {seen.spec.workload.dataset.file} is not there in namespace {seen.namespace}. "
        f"Create it, and run again. ({problem.message})",
    )
