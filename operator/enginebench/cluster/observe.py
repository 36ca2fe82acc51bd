"""One look at a run: its object, its children, and what they have said."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace
from pydantic import ValidationError

from enginebench.api import resolve
from enginebench.api.errors import sentences
from enginebench.api.v1alpha1 import BenchmarkRunSpec, BenchmarkRunStatus
from enginebench.cluster import labels, payload, views
from enginebench.cluster.api import ApiError, Kind, KubeApi, Obj, Unavailable
from enginebench.cluster.feeds import Feeds, LoadPod
from enginebench.cluster.memory import Memory, RunMemory
from enginebench.cluster.references import reference
from enginebench.cluster.views import NOTHING, Look
from enginebench.engines.errors import errors_in
from enginebench.engines.registry import engine_of
from enginebench.workflow.kueue import COPIED, JOB_UID
from enginebench.workflow.observed import (
    Child,
    Fact,
    Heard,
    NodeView,
    Observed,
    PodView,
    Reference,
    Role,
    StoredPoint,
    Trouble,
)
from enginebench.workflow.skipped import measured
from enginebench.workflow.terms import terms

STUCK = timedelta(seconds=5)
"""A pod that takes longer to start, or a Job without a pod for longer, may have Events that say why."""
NODE_FRESH = timedelta(seconds=10)
FACTS_BYTES = 1024 * 1024
"""Of an engine's log; what is in force stands near its beginning."""
FACTS_TRIES = 5
FORBIDDEN, NOT_FOUND, TOO_OLD = 403, 404, datetime.min.replace(tzinfo=UTC)

Key = tuple[str, str]
"""(namespace, name) of a run."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was observed, and the object as the server sent it: its resourceVersion guards the status."""

    observed: Observed
    run: Obj


class UnreadableStatusError(Exception):
    """The status is none that this version can read; writing over it would lose results."""


async def observe(api: KubeApi, feeds: Feeds, memory: Memory, key: Key, now: datetime) -> Sight | None:
    """The run and all that belongs to it; None where it is gone. Raises ApiError, Unavailable, UnreadableStatusError."""
    namespace, name = key
    run = await api.get("BenchmarkRun", namespace, name)
    if run is None:
        return None
    metadata = run["metadata"]
    uid: str = metadata["uid"]
    known = memory.of_run(uid)
    _read(known, run)
    assert known.status is not None  # _read has put it there
    looks = await _looks(api, key, uid, known)
    pods = [
        pod
        if _goes_well(pod)
        else await _with_errors(api, namespace, await _with_troubles(api, namespace, pod, now), known)
        for pod in (look.pod for look in looks if look.pod is not None)
    ]
    wanted = resolve.load_pods(known.spec) if known.spec is not None else 1
    children = [
        await _with_trouble(api, namespace, look.child, pods, wanted, now) for look in looks if look.child is not None
    ]
    if known.refusals or known.unanswered:
        _forget_trouble(known, children)
    told = {(row.target, row.attempt, row.index) for row in measured(known.status.points or ())}
    heard = {feed.pod.uid: _keepable(feed.heard, feed.pod, known) for feed in feeds.of_run(uid)}
    observed = Observed(
        namespace=namespace,
        name=name,
        uid=uid,
        generation=metadata.get("generation") or 0,
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        deleting=views.time(metadata.get("deletionTimestamp")),
        spec=known.spec,
        spec_error=known.spec_error,
        status=known.status,
        terms=known.terms,
        children=tuple(children),
        pods=tuple(pods),
        heard=heard,
        stored=await _stored(api, namespace, children, told),
        late=tuple(_late(feeds, uid, {pod.uid for pod in pods}, heard, told)),
        asked=known.asked,
        engine_facts=await _facts(api, namespace, known, pods, heard),
        nodes=await _nodes(api, memory, pods, now),
        references=await _references(api, namespace, known, children),
        taken=await _taken(api, namespace, known, pods),
        queue_labels={key: text for key, text in (metadata.get("labels") or {}).items() if key in COPIED},
        name_conflicts=tuple(sorted(known.conflicts)),
        created_errors=dict(known.refusals),
    )
    return Sight(observed, run)


def _forget_trouble(known: RunMemory, children: Iterable[Child]) -> None:
    """With children that are there after all: another operator may have been luckier."""
    for child in children:
        if child.role is not Role.DATA:
            place = (child.target, child.attempt, child.role.value)
            known.refusals.pop(place, None)
            known.unanswered.pop(place, None)


def load_pod(observed: Observed, pod: PodView) -> LoadPod:
    """The pod as feeds know it."""
    return LoadPod(
        namespace=observed.namespace,
        name=pod.name,
        uid=pod.uid,
        run=observed.name,
        run_uid=observed.uid,
        target=pod.target,
        attempt=pod.attempt,
    )


def _read(known: RunMemory, run: Obj) -> None:
    """Spec and status as models; each version of them is parsed once."""
    metadata = run["metadata"]
    if known.generation != metadata.get("generation"):
        known.spec, known.spec_error = spec, _ = _spec(run)
        known.terms = terms(spec) if spec is not None else None
        known.asked = {t.name: engine_of(t).asked(spec, t) for t in spec.targets} if spec is not None else {}
        targets = spec.targets if spec is not None else ()
        known.referring = [(t.name, t.endpoint) for t in targets if t.endpoint is not None and not t.endpoint.url]
        known.generation = metadata.get("generation") or 0
    version = metadata.get("resourceVersion") or ""
    if known.status is None or known.resource_version != version:
        try:
            known.status = BenchmarkRunStatus.model_validate(run.get("status") or {})
        except ValidationError as error:
            raise UnreadableStatusError(
                f"status of BenchmarkRun {metadata['namespace']}/{metadata['name']} cannot be read: {error}"
            ) from error
        known.resource_version = version


def _spec(run: Obj) -> tuple[BenchmarkRunSpec | None, str]:
    try:
        return BenchmarkRunSpec.model_validate(run.get("spec")), ""
    except ValidationError as error:
        return None, "; ".join(sentences(error)) + "."


async def _looks(api: KubeApi, key: Key, run_uid: str, known: RunMemory) -> list[Look]:
    """The run's objects; what has not changed since the last pass is not looked at again."""
    namespace, run = key
    kinds: tuple[Kind, ...] = ("Pod", "Job", "Service", "ConfigMap")
    selector = f"{labels.RUN_UID}={run_uid}"
    before, known.looks = known.looks, {}
    found = []
    for kind in kinds:
        for obj in await api.list(kind, namespace, labels=selector):
            metadata = obj["metadata"]
            uid, version = metadata["uid"], metadata.get("resourceVersion")
            old_version, look = before.get(uid, (None, NOTHING))
            if version is None or version != old_version:
                look = views.look(kind, obj, run, run_uid)
            known.looks[uid] = (version, look)
            found.append(look)
    return found


def _goes_well(pod: PodView) -> bool:
    """Nobody need be asked about it."""
    return pod.started_at is not None and pod.terminated is None and not pod.over


async def _with_troubles(api: KubeApi, namespace: str, pod: PodView, now: datetime) -> PodView:
    """With the Warning Events of a pod that does not get going, or that is over: an evicted engine that ends well on
    SIGTERM may be told as one that succeeded."""
    if pod.gated and pod.managed:
        return replace(pod, queued=await _queued(api, namespace, pod.uid))
    if pod.over and pod.role is Role.ENGINE and not pod.message:
        return replace(pod, troubles=tuple(await _troubles(api, namespace, pod.uid)))
    starting = pod.scheduled_at is not None and pod.started_at is None and pod.terminated is None and not pod.over
    if not starting or now - (pod.scheduled_at or now) < STUCK:
        return pod
    return replace(pod, troubles=tuple(await _troubles(api, namespace, pod.uid)))


async def _with_errors(api: KubeApi, namespace: str, pod: PodView, known: RunMemory) -> PodView:
    """With the errors in the log of an engine that ended by itself."""
    ended = pod.terminated
    if pod.role is not Role.ENGINE or ended is None or not ended.exit_code or pod.deleting is not None or pod.disrupted:
        return pod
    if pod.uid not in known.errors:
        try:
            log = await api.pod_log(namespace, pod.name, limit_bytes=FACTS_BYTES)
        except (ApiError, Unavailable):  # the last lines, which the pod itself has, say something too
            return pod
        known.errors[pod.uid] = errors_in(log)
    return replace(pod, errors=known.errors[pod.uid])


async def _taken(api: KubeApi, namespace: str, known: RunMemory, pods: Iterable[PodView]) -> Mapping[str, str]:
    """Why the engine of an open attempt is gone, as its Events tell: an engine that ends at once is evicted and gone
    between two passes, and its conditions with it."""
    there = {pod.uid for pod in pods}
    newest = [t.attempts[-1] for t in (known.status.targets if known.status else None) or () if t.attempts]
    found = {}
    for uid in [a.pod_uid for a in newest if a.end_time is None and a.pod_uid and a.pod_uid not in there]:
        events = await api.list("Event", namespace, fields=f"involvedObject.uid={uid}")
        found[uid] = next(filter(None, map(views.eviction, events)), "")
    return found


async def _queued(api: KubeApi, namespace: str, pod_uid: str) -> str:
    """Why Kueue has not admitted the pod yet; empty where that may not be read."""
    try:
        found = await api.list("Workload", namespace, labels=f"{JOB_UID}={pod_uid}")
    except ApiError as error:
        if error.status not in (FORBIDDEN, NOT_FOUND):
            raise
        return ""
    return next(filter(None, map(views.workload, found)), "")


async def _with_trouble(
    api: KubeApi, namespace: str, child: Child, pods: Sequence[PodView], wanted: int, now: datetime
) -> Child:
    """With the last Warning Event of a Job that lacks one of the `wanted` pods; what reads the data set has one."""
    if child.role not in views.JOBS or child.failed or now - child.created < STUCK:
        return child
    mine = [p for p in pods if p.role is child.role and (p.target, p.attempt) == (child.target, child.attempt)]
    if len(mine) >= (wanted if child.target and child.role is Role.LOAD else 1):
        return child
    troubles = await _troubles(api, namespace, child.uid)
    return replace(child, trouble=troubles[-1].message) if troubles else child


async def _troubles(api: KubeApi, namespace: str, uid: str) -> list[Trouble]:
    events = await api.list("Event", namespace, fields=f"involvedObject.uid={uid}")
    return sorted(filter(None, map(views.trouble, events)), key=lambda trouble: trouble.last)


async def _stored(
    api: KubeApi, namespace: str, children: Iterable[Child], told: set[tuple[str, int, int]]
) -> tuple[StoredPoint, ...]:
    """Points that lie in ConfigMaps though the status does not tell of them: an earlier pass died in between."""
    found = []
    for child in children:
        if child.role is not Role.DATA or child.point is None:
            continue
        if (child.target, child.attempt, child.point) in told:
            continue
        obj = await api.get("ConfigMap", namespace, child.name)
        point = payload.unpacked(obj) if obj is not None else None
        if point is not None:
            found.append(StoredPoint(child.target, child.attempt, point))
    return tuple(found)


def _late(
    feeds: Feeds, run_uid: str, alive: set[str], heard: Mapping[str, Heard], told: set[tuple[str, int, int]]
) -> Iterator[StoredPoint]:
    """What pods that are gone had said before."""
    for feed in feeds.of_run(run_uid):
        if feed.pod.uid in alive or not feed.pod.target:
            continue
        for point in heard[feed.pod.uid].points:
            if (feed.pod.target, feed.pod.attempt, point.report.index) not in told:
                yield StoredPoint(feed.pod.target, feed.pod.attempt, point)


def _keepable(heard: Heard, pod: LoadPod, known: RunMemory) -> Heard:
    """Without the points that the API server has long refused to store: the run must be able to end."""
    if not known.given_up:
        return heard
    points = tuple(p for p in heard.points if (pod.target, pod.attempt, p.report.index) not in known.given_up)
    return replace(heard, points=points)


async def _facts(
    api: KubeApi, namespace: str, known: RunMemory, pods: Sequence[PodView], heard: Mapping[str, Heard]
) -> Mapping[str, Mapping[str, Fact]]:
    """What the logs of engines say, read once the engine has answered: then all of it is loaded."""
    unread = [p for p in pods if p.role is Role.ENGINE and p.started_at is not None and p.uid not in known.facts]
    if not unread:
        return known.facts
    answered = {
        (p.target, p.attempt)
        for p in pods
        if p.role is Role.LOAD and (said := heard.get(p.uid)) is not None and said.engine is not None
    }
    for pod in unread:
        if (pod.target, pod.attempt) not in answered:
            continue
        target = next((t for t in known.spec.targets if t.name == pod.target), None) if known.spec else None
        if target is None:
            continue
        try:
            log = await api.pod_log(namespace, pod.name, limit_bytes=FACTS_BYTES)
        except (ApiError, Unavailable):  # good to know, not worth a failed pass
            known.facts_tried[pod.uid] = known.facts_tried.get(pod.uid, 0) + 1
            if known.facts_tried[pod.uid] < FACTS_TRIES:
                continue
            log = ""
        known.facts = {**known.facts, pod.uid: engine_of(target).facts(log)}
    return known.facts


async def _references(
    api: KubeApi, namespace: str, known: RunMemory, children: Iterable[Child]
) -> Mapping[str, Reference]:
    """Of the target whose load pod is to be told where its endpoint answers."""
    if not known.referring or known.status is None:
        return {}
    told = {(c.target, c.attempt) for c in children if c.role in (Role.LOAD_PLAN, Role.LOAD)}
    attempts = {t.name: t.attempts[-1] for t in known.status.targets or () if t.attempts}
    found = {}
    for name, endpoint in known.referring:
        attempt = attempts.get(name)
        if attempt is not None and attempt.end_time is None and (name, attempt.number) not in told:
            found[name] = await reference(api, namespace, endpoint)
    return found


async def _nodes(api: KubeApi, memory: Memory, pods: Iterable[PodView], now: datetime) -> Mapping[str, NodeView]:
    found: dict[str, NodeView] = {}
    for name in sorted({pod.node for pod in pods if pod.node}):
        view, at = memory.nodes.get(name, (None, TOO_OLD))
        if view is None or not view.ready or now - at >= NODE_FRESH:  # one that is back must not be taken for lost
            view = await _node(api, memory, name)
            if view is None:
                return {}
            memory.nodes[name] = (view, now)
        found[name] = view
    return found


async def _node(api: KubeApi, memory: Memory, name: str) -> NodeView | None:
    """None where nodes may not be read. A node that is gone does not answer."""
    if memory.nodes_refused:
        return None
    try:
        obj = await api.get("Node", "", name)
    except ApiError as error:
        if error.status != FORBIDDEN:
            raise
        memory.nodes_refused = True
        return None
    return views.node(obj) if obj is not None else NodeView(name=name, ready=False)
