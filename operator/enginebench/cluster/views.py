"""From API objects to the small views that decisions read. Pure; fields that are absent are empty."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from enginebench.cluster import labels
from enginebench.cluster.api import Kind, Obj
from enginebench.engines.base import ENGINE_CONTAINER
from enginebench.workflow.kueue import MANAGED, QUEUE, TERMINATED
from enginebench.workflow.names import child_name
from enginebench.workflow.observed import Child, NodeView, PodView, Role, Terminated, Trouble, Waiting


@dataclass(frozen=True, slots=True)
class Look:
    """One object of a run: a child, a pod, or (an engine's pod) both; neither: it only bears our labels."""

    child: Child | None = None
    pod: PodView | None = None


NOTHING = Look()
MOST_WORDS = 400
"""Of a Workload's message: it may tell of every flavor."""
EVICTIONS = ("Stopped", "Preempted", "TaintManagerEviction", "Evicted")
"""Reasons of the Events that Kueue, the scheduler, the taint manager and the kubelet write on a pod that they take away."""
JOBS = (Role.LOAD, Role.FETCH)
"""Roles of Jobs and of their pods."""
INITIALIZING = "PodInitializing"
"""What the main container waits for while the kubelet is busy with those before it."""


def look(kind: Kind, obj: Obj, run: str, run_uid: str) -> Look:
    """The object as a run sees it. An engine's pod belongs to the run itself, a load or fetch pod to a Job of it."""
    part = role(obj)
    if kind == "Pod" and part is not None and part in JOBS:
        view = pod(obj, part)
        job = child_name(run, run_uid, part, view.target, view.attempt)
        return Look(pod=view) if _of_job(obj, job) else NOTHING
    if part is None or not owned_by(obj, run_uid):
        return NOTHING
    if kind == "Pod":
        return Look(child=child(obj, part), pod=pod(obj, part))
    return Look(child=child(obj, part))


def time(text: str | None) -> datetime | None:
    """A moment as Kubernetes writes it (RFC 3339, UTC)."""
    return datetime.fromisoformat(text) if text else None


def role(obj: Obj) -> Role | None:
    """The child's role by its label; None: none that we know."""
    return labels.ROLE_OF_WORD.get(_labels(obj).get(labels.ROLE, ""))


def owned_by(obj: Obj, uid: str) -> bool:
    """`uid` is the object's controller."""
    references = obj["metadata"].get("ownerReferences") or ()
    return any(ref.get("controller") and ref.get("uid") == uid for ref in references)


def _of_job(obj: Obj, name: str) -> bool:
    """A Job of this name is the object's controller; labels alone anybody can write."""
    references = obj["metadata"].get("ownerReferences") or ()
    return any(ref.get("controller") and (ref.get("kind"), ref.get("name")) == ("Job", name) for ref in references)


def child(obj: Obj, kind: Role) -> Child:
    """A child by its labels; of a Job also why it failed."""
    metadata, marks = obj["metadata"], _labels(obj)
    point = marks.get(labels.POINT, "")
    return Child(
        role=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        target=marks.get(labels.TARGET, ""),
        attempt=_number(marks.get(labels.ATTEMPT)),
        created=time((obj.get("status") or {}).get("startTime")) or _created(obj)
        if kind is Role.LOAD
        else _created(obj),
        deleting=time(metadata.get("deletionTimestamp")),
        suspended=kind is Role.LOAD and _suspended(obj),
        point=int(point) if point.isdigit() else None,
        failed=_job_end(obj) if kind in JOBS else "",
    )


def pod(obj: Obj, kind: Role) -> PodView:
    """A pod of ours. Of its containers only the main one counts: a mesh may have added others."""
    metadata, spec, status, marks = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}, _labels(obj)
    main = ENGINE_CONTAINER if kind is Role.ENGINE else labels.LOAD_CONTAINER
    container = _named(spec.get("containers"), main)
    state_of = _named(status.get("containerStatuses"), main)
    if kind is Role.LOAD and (held := _guidellm_waiting(status)):
        container, state_of = _named(spec.get("initContainers"), labels.GUIDELLM_CONTAINER), held
    state = state_of.get("state") or {}
    waiting, running, ended = state.get("waiting"), state.get("running"), state.get("terminated")
    if waiting and waiting.get("reason") == INITIALIZING and (before := _held_by(status)):
        container, waiting = _named(spec.get("initContainers"), before["name"]), before["state"]["waiting"]
    scheduled = _condition(status, "PodScheduled")
    return PodView(
        role=kind,
        name=metadata["name"],
        uid=metadata["uid"],
        target=marks.get(labels.TARGET, ""),
        attempt=_number(marks.get(labels.ATTEMPT)),
        created=_created(obj),
        index=_number(marks.get(labels.INDEX)),
        deleting=time(metadata.get("deletionTimestamp")),
        phase=status.get("phase") or "Pending",
        node=spec.get("nodeName") or "",
        gates=tuple(gate.get("name") or "" for gate in spec.get("schedulingGates") or ()),
        queue=marks.get(QUEUE, ""),
        managed=marks.get(MANAGED) == "true",
        scheduled_at=time(scheduled.get("lastTransitionTime")) if scheduled.get("status") == "True" else None,
        unschedulable=scheduled.get("message") or "" if scheduled.get("reason") == "Unschedulable" else "",
        started_at=time((running or ended or {}).get("startedAt")),
        waiting=Waiting(waiting.get("reason") or "", waiting.get("message") or "") if waiting else None,
        terminated=_terminated(ended, _created(obj)) if ended else None,
        mounted=_condition(status, "PodReadyToStartContainers").get("status") == "True",
        restarts=state_of.get("restartCount") or 0,
        image=container.get("image") or "",
        image_id=state_of.get("imageID") or "",
        disrupted=_disrupted(status),
        reason=status.get("reason") or "",
        message=status.get("message") or "",
    )


def _guidellm_waiting(status: Obj) -> Obj:
    """The status of GuideLLM's container while the load waits for it: it is that which does not get going."""
    found = _named(status.get("initContainerStatuses"), labels.GUIDELLM_CONTAINER)
    waits = ((found.get("state") or {}).get("waiting") or {}).get("reason", "PodInitializing") != "PodInitializing"
    started = _named(status.get("containerStatuses"), labels.LOAD_CONTAINER).get("state") or {}
    return found if waits and not started.keys() & {"running", "terminated"} else {}


def _held_by(status: Obj) -> Obj:
    """The status of the init container that holds the main one up."""
    return next((c for c in status.get("initContainerStatuses") or () if _reason(c) not in ("", INITIALIZING)), {})


def _reason(container: Obj) -> str:
    waiting = (container.get("state") or {}).get("waiting") or {}
    return waiting.get("reason") or ""


def trouble(event: Obj) -> Trouble | None:
    """A Warning Event; None for others. Events of the newer API have their times elsewhere."""
    if event.get("type") != "Warning":
        return None
    series = event.get("series") or {}
    first = event.get("firstTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    last = event.get("lastTimestamp") or series.get("lastObservedTime") or first
    first_at, last_at = time(first), time(last)
    if first_at is None or last_at is None:
        return None
    return Trouble(event.get("reason") or "", event.get("message") or "", first_at, last_at)


def eviction(event: Obj) -> str:
    """Why a pod was taken away, by an Event of its; empty where it tells of something else."""
    return (event.get("message") or "") if event.get("reason") in EVICTIONS else ""


def node(obj: Obj) -> NodeView:
    """A node's labels, and whether it answers."""
    ready = _condition(obj.get("status") or {}, "Ready").get("status") == "True"
    return NodeView(name=obj["metadata"]["name"], labels=_labels(obj), ready=ready)


def _labels(obj: Obj) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _created(obj: Obj) -> datetime:
    return datetime.fromisoformat(obj["metadata"]["creationTimestamp"])


def _number(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 0


def _named(items: Sequence[Obj] | None, name: str) -> Obj:
    return next((item for item in items or () if item.get("name") == name), {})


def _condition(status: Obj, kind: str) -> Obj:
    return next((c for c in status.get("conditions") or () if c.get("type") == kind), {})


def _disrupted(status: Obj) -> str:
    """Why the pod is taken away. Kueue's own condition has a message that says more than its reason."""
    if (found := _condition(status, "DisruptionTarget")).get("status") == "True":
        return found.get("reason") or ""
    found = _condition(status, TERMINATED)
    if found.get("status") != "True":
        return ""
    return ": ".join(part for part in (found.get("reason"), found.get("message")) if part) or TERMINATED


def workload(obj: Obj) -> str:
    """Why a Workload of Kueue is not admitted yet, in its own words; empty where it says nothing."""
    status = obj.get("status") or {}
    for kind in ("QuotaReserved", "Admitted"):
        found = _condition(status, kind)
        if found.get("status") == "False":
            return ": ".join(part for part in (found.get("reason"), found.get("message")) if part)[:MOST_WORDS]
    return ""


def _suspended(job: Obj) -> bool:
    """A Job that was resumed has no start time before its condition follows."""
    asked = bool((job.get("spec") or {}).get("suspend"))
    return asked or _condition(job.get("status") or {}, "Suspended").get("status") == "True"


def _job_end(job: Obj) -> str:
    """A load pod that was evicted exits with 0 and completes its Job: only the pod's absence tells."""
    for how in ("Failed", "Complete"):
        ended = _condition(job.get("status") or {}, how)
        if ended.get("status") == "True":
            return f"{ended.get('reason') or how}: {ended.get('message') or ''}".rstrip(": ")
    return ""


def _terminated(state: Obj, created: datetime) -> Terminated:
    return Terminated(
        exit_code=state.get("exitCode") or 0,
        reason=state.get("reason") or "",
        message=state.get("message") or "",
        at=time(state.get("finishedAt")) or created,  # a container that was lost with its node has no times
    )
