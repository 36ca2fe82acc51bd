"""Models are fetched onto their claims by Jobs, before any engine asks for a GPU.

All of a run's models come first, one after another: a download beside a measurement would distort it, and a download
between two engines would give the GPU away for as long as it takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from enginebench.api.resolve import ResolvedTimeouts
from enginebench.api.v1alpha1 import ActiveTime, BenchmarkRunSpec, ModelFetch
from enginebench.workflow.attempts import Draft, conflict
from enginebench.workflow.moment import Moment
from enginebench.workflow.observed import FETCHING, KIND_OF, SILENCE, Child, Heard, Observed, PodView, Role
from enginebench.workflow.phases import Phase, before_it_runs
from enginebench.workflow.problem import (
    AGAIN,
    COMPLETED,
    DISRUPTIONS,
    MOST_DISRUPTIONS,
    POD_GRACE,
    REFUSAL_GRACE,
    SUSPENDED,
    Problem,
)
from enginebench.workflow.rules import children
from enginebench.workflow.rules.pod_end import last_lines
from enginebench.workflow.rules.pod_start import stuck
from enginebench.workflow.terms import Terms

SILENCE_LIMIT = timedelta(seconds=180)
"""The pod speaks about once a second; a node under the load of a download may hold its log up for a while."""


@dataclass(frozen=True, slots=True)
class _View:
    """What is seen of the open fetch."""

    fetch: ModelFetch
    job: Child | None
    pod: PodView | None
    heard: Heard


def fetches(
    seen: Observed,
    spec: BenchmarkRunSpec,
    ready: bool,
    drafts: Sequence[Draft],
    stop: Problem | None,
    alike: Terms,
    active: ActiveTime,
    now: Moment,
) -> list[Draft]:
    """The open fetch ends if it has come to its end; the next one begins when nothing of ours holds a volume."""
    drafts = [replace(d, fetch=_ended(seen, d, stop, alike.timeouts, active, now)) if d.fetching else d for d in drafts]
    if stop is not None or spec.suspend or not ready or any(d.open or d.fetching for d in drafts):
        return drafts
    place = _next(alike, drafts)
    if place is None or children.busy(seen, now):
        return drafts
    old = drafts[place].fetch
    begun = ModelFetch(
        number=old.number + 1 if old is not None else 1,
        start_time=now.stamp,
        disruptions=old.disruptions if old is not None and old.reason in DISRUPTIONS else None,
    )
    drafts[place] = replace(drafts[place], fetch=begun)
    return drafts


def fetches_left(alike: Terms, drafts: Sequence[Draft]) -> bool:
    """A model is still to come: no engine is created before."""
    return any(d.fetching for d in drafts) or _next(alike, drafts) is not None


def phase_of_fetch(seen: Observed, draft: Draft) -> Phase:
    """The step at which the open fetch stands."""
    assert draft.fetch is not None  # only targets that fetch are asked
    view = _view(seen, draft.view.name, draft.fetch)
    refused = _refused(seen, draft.view.name, draft.fetch.number)
    if view.pod is None:
        said = f"the API server refuses to create an object: {refused}" if refused else "creating the Job"
        return "DownloadingModel", f"{said} that fetches {draft.view.spec.model}" if not refused else said
    if (early := before_it_runs(view.pod)) is not None:
        return early[0], f"before the engine asks for a GPU, its model is fetched: {early[1]}"
    progress = view.heard.progress
    words = progress.message if progress is not None and progress.message else f"fetching {draft.view.spec.model}"
    return "DownloadingModel", words


def heard_of_fetch(seen: Observed, draft: Draft) -> Heard:
    """What the open fetch's pod has said."""
    return _view(seen, draft.view.name, draft.fetch).heard if draft.fetch is not None and draft.fetching else SILENCE


def _next(alike: Terms, drafts: Sequence[Draft]) -> int | None:
    """The first target whose model nobody has fetched yet. One that had an engine has its model."""
    done = [alike.sources.get(d.view.name) for d in drafts if d.fetch is not None and d.fetch.reason == COMPLETED]
    for place, d in enumerate(drafts):
        begun = d.fetch is not None and d.fetch.reason not in AGAIN
        source = alike.sources.get(d.view.name)
        if source is None or begun or d.attempts or d.end is not None:
            continue
        if source not in done:
            return place
    return None


def _view(seen: Observed, target: str, fetch: ModelFetch) -> _View:
    mine = [p for p in seen.pods if p.role is Role.FETCH and (p.target, p.attempt) == (target, fetch.number)]
    pod = max(mine, key=lambda p: p.created, default=None)
    job = next(
        (c for c in seen.children if c.role is Role.FETCH and (c.target, c.attempt) == (target, fetch.number)), None
    )
    return _View(fetch, job, pod, seen.heard.get(pod.uid, SILENCE) if pod is not None else SILENCE)


def _ended(
    seen: Observed,
    draft: Draft,
    stop: Problem | None,
    timeouts: ResolvedTimeouts,
    active: ActiveTime,
    now: Moment,
) -> ModelFetch:
    fetch = draft.fetch
    assert fetch is not None  # only open ones are asked about
    view = _view(seen, draft.view.name, fetch)
    problem = _why_end(view, now, timeouts, active) or stop or _why_not_created(seen, draft.view.name, view, now)
    if problem is None and seen.spec is not None and seen.spec.suspend:
        problem = Problem(SUSPENDED, "suspended by spec.suspend")
    if problem is None:
        return fetch
    update: dict[str, object] = {"end_time": now.stamp, "reason": problem.reason, "message": problem.message or None}
    if view.heard.model is not None:
        model = view.heard.model
        update |= {"seconds": round(model.seconds, 1), "bytes": model.bytes, "digest": model.digest or None}
    if problem.reason in DISRUPTIONS:
        disruptions = (fetch.disruptions or 0) + 1
        update["disruptions"] = disruptions
        if disruptions >= MOST_DISRUPTIONS:
            words = f"{disruptions} fetches in a row were disrupted, the last one so: {problem.message}"
            update |= {"reason": "TooManyDisruptions", "message": words}
    return fetch.model_copy(update=update)


def _why_end(view: _View, now: Moment, timeouts: ResolvedTimeouts, active: ActiveTime) -> Problem | None:
    pod, heard = view.pod, view.heard
    if heard.model is not None:
        return Problem(COMPLETED, heard.model.message)
    if heard.failure is not None and heard.failure.reason != "Interrupted":
        return Problem(heard.failure.reason, heard.failure.message)
    if pod is None:
        if view.job is not None and view.job.failed:
            return Problem("FetchPodDeleted", f"The pod of Job {view.job.name} is gone: {view.job.failed}.")
        return None
    if pod.disrupted:
        return Problem("FetchPodEvicted", f"Fetch pod {pod.name} was taken from node {pod.node}: {pod.disrupted}.")
    if pod.deleting is not None:
        return Problem("FetchPodDeleted", f"Fetch pod {pod.name} was deleted, and not by the operator.")
    if pod.over and heard.exhausted:
        return _died(pod, heard)
    if heard.ended:
        lost = f"Fetch pod {pod.name} has ended its work, but its word on it is not in its log. Run again."
        return Problem("ModelFetchFailed", lost)
    return stuck(pod, now, timeouts, active_since=active.since) or _hangs(pod, heard, timeouts, now)


def _died(pod: PodView, heard: Heard) -> Problem:
    ended = pod.terminated
    if ended is None:
        why = f"Fetch pod {pod.name} is over ({pod.reason or pod.phase}): {pod.message or 'no more is known'}"
        return Problem("ModelFetchFailed", why)
    memory = " Raise resources.limits.memory of the target." if ended.reason == "OOMKilled" else ""
    said = last_lines("\n".join(heard.last_lines) or ended.message)
    return Problem(
        "ModelFetchFailed",
        f"Fetch pod {pod.name} ended with exit code {ended.exit_code} ({ended.reason or 'no reason given'}) before the "
        f"model was there.{memory} Its last lines: {said}",
    )


def _hangs(pod: PodView, heard: Heard, timeouts: ResolvedTimeouts, now: Moment) -> Problem | None:
    """The pod itself gives up in time, if it still can."""
    listening = heard.deaf_since or heard.since
    if pod.started_at is None or listening is None:
        return None
    look = f"Look at its log and its node ({pod.node}), and run again."
    limit = timeouts.model_download_seconds
    if now.reached(max(pod.started_at, heard.since or pod.started_at) + timedelta(seconds=limit) + SILENCE_LIMIT):
        return Problem(
            "ModelPullTimeout",
            f"Fetch pod {pod.name} has not brought the model within {limit} s "
            f"(spec.timeouts.modelDownloadSeconds), nor given up. {look}",
        )
    if now.reached(max(heard.heard_at or listening, listening) + SILENCE_LIMIT):
        silent = f"Fetch pod {pod.name} has said nothing for {int(SILENCE_LIMIT.total_seconds())} s. {look}"
        return Problem("ModelFetchFailed", silent)
    return None


def _why_not_created(seen: Observed, target: str, view: _View, now: Moment) -> Problem | None:
    """Its Job or its plan is refused, or the Job's pod is, or their names are taken."""
    fetch, job = view.fetch, view.job
    if (taken := conflict(seen, target, fetch.number)) is not None:
        return taken
    if view.pod is not None:
        return None
    if (said := _refused(seen, target, fetch.number)) and now.reached((fetch.start_time or now.stamp) + REFUSAL_GRACE):
        return Problem("CreationRefused", f"The API server refuses to create what fetches the model: {said}")
    if job is None or not now.reached(job.created + POD_GRACE):
        return None
    return Problem(
        "LoadPodNotCreated",
        f"Job {job.name}, which fetches the model, has had no pod for {POD_GRACE.seconds} s: "
        f"{job.trouble or 'no Event says why'}",
    )


def _refused(seen: Observed, target: str, number: int) -> str:
    found = (seen.created_errors.get((target, number, role.value)) for role in FETCHING)
    return next((f"{KIND_OF[role]}: {said}" for role, said in zip(FETCHING, found, strict=True) if said), "")
