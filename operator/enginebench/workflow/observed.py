"""Everything known about one run at one moment: the whole input of `decide`, besides `now`.

Small frozen views instead of API objects: a rule reads `pod.terminated`, not five nested dictionaries.
`cluster.observe` fills them from API objects; the tables of the unit tests build them by hand.
All times are timezone-aware UTC.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec

from enginebench.api.v1alpha1 import BenchmarkRunSpec, BenchmarkRunStatus
from enginebench.results.messages import DatasetReport, EngineReport, Failure, ModelReport, Progress
from enginebench.results.point_report import PointReport
from enginebench.workflow.terms import Terms

Fact = str | int | float | bool
RAN, SENT = "requestsAtOnce", "requestsProbed"
"""Facts of a load pod's probe: so many requests were answered at once, of so many sent at once."""


class Role(StrEnum):
    """What a child is for. The value is the kind letter in its name (`<run>-<target>-<letter><attempt>-<hash>`)."""

    ENGINE = "e"
    """Pod of the engine."""
    SERVICE = "s"
    """Service before the engine."""
    LOAD_PLAN = "c"
    """ConfigMap with the load pod's plan."""
    LOAD = "l"
    """Job that loads the engine (or, for target "", prepares the data set)."""
    LOAD_SERVICE = "h"
    """Headless Service by which several load pods find the first of them."""
    FETCH_PLAN = "p"
    """ConfigMap with what the fetch Job does."""
    FETCH = "f"
    """Job that brings the model onto its claim, before the engine and without a GPU. Its number is its own: fetches are
    no attempts."""
    DATA = "d"
    """ConfigMap with one measured point."""


KIND_OF = {
    Role.ENGINE: "Pod",
    Role.SERVICE: "Service",
    Role.LOAD_PLAN: "ConfigMap",
    Role.LOAD: "Job",
    Role.LOAD_SERVICE: "Service",
    Role.FETCH_PLAN: "ConfigMap",
    Role.FETCH: "Job",
    Role.DATA: "ConfigMap",
}
FETCHING = (Role.FETCH_PLAN, Role.FETCH)
"""In this order, as an attempt's children."""


class Child(msgspec.Struct, frozen=True):
    """An object of this run, by its labels. `target` is "" for the run's own (the prepare Job and its plan)."""

    role: Role
    name: str
    uid: str
    target: str
    attempt: int
    created: datetime
    deleting: datetime | None = None
    """deletionTimestamp."""
    point: int | None = None
    """DATA: the index of the point inside."""
    failed: str = ""
    """LOAD, FETCH: why the Job says that it failed (its Failed condition, "reason: message"); a Job whose pod was
    deleted under it says so too, and then has no pod in `pods`."""
    suspended: bool = False
    """LOAD: by whoever queues Jobs; the operator never suspends one."""
    trouble: str = ""
    """LOAD, FETCH: the last Warning Event on a Job that lacks a pod (quota, admission)."""


class Waiting(msgspec.Struct, frozen=True):
    """Why a container does not run yet: the kubelet's reason (ErrImagePull, CreateContainerConfigError, …)."""

    reason: str
    message: str


class Terminated(msgspec.Struct, frozen=True):
    """How a container ended; `message` holds its last log lines (terminationMessagePolicy)."""

    exit_code: int
    reason: str
    message: str
    at: datetime


class Trouble(msgspec.Struct, frozen=True):
    """A Warning Event on a pod that is not running: FailedMount, FailedScheduling, FailedCreate, …"""

    reason: str
    message: str
    first: datetime
    last: datetime


class PodView(msgspec.Struct, frozen=True):
    """A pod of an engine (role ENGINE), of a load Job (LOAD) or of a fetch Job (FETCH)."""

    role: Role
    name: str
    uid: str
    target: str
    attempt: int
    created: datetime
    index: int = 0
    """LOAD: which of the Job's pods; the first one leads the others and speaks for them."""
    deleting: datetime | None = None
    phase: str = "Pending"
    """Pending | Running | Succeeded | Failed | Unknown"""
    node: str = ""
    gates: tuple[str, ...] = ()
    """Names of its scheduling gates: as long as there are any, no deadline runs."""
    queue: str = ""
    """Kueue's queue that its label asks for."""
    managed: bool = False
    """Kueue has taken charge of it."""
    queued: str = ""
    """Why Kueue has not admitted it yet, by its Workload."""
    scheduled_at: datetime | None = None
    unschedulable: str = ""
    """The scheduler's own sentence, where it could not place the pod."""
    started_at: datetime | None = None
    """When the main container started to run."""
    waiting: Waiting | None = None
    terminated: Terminated | None = None
    mounted: bool = False
    """Its volumes are there and its network is (condition PodReadyToStartContainers)."""
    restarts: int = 0
    image: str = ""
    image_id: str = ""
    disrupted: str = ""
    """Why it is taken away, by its condition DisruptionTarget (eviction, preemption, taint) or Kueue's
    TerminationTarget; the pod is not to blame."""
    reason: str = ""
    """status.reason of a pod that failed as a whole: Evicted, NodeLost, UnexpectedAdmissionError, …"""
    message: str = ""
    troubles: tuple[Trouble, ...] = ()
    errors: tuple[str, ...] = ()
    """ENGINE, ended by itself with an error: the errors in its log, in their order. `terminated.message` is only its
    last 2 KiB, and what failed first stands before."""

    @property
    def gated(self) -> bool:
        """It may not be scheduled yet."""
        return bool(self.gates)

    @property
    def over(self) -> bool:
        """The scheduler no longer counts it: its GPU is free."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def leads(self) -> bool:
        """The load pod that speaks for all of its Job."""
        return self.role is Role.LOAD and self.index == 0

    @property
    def speaks(self) -> bool:
        """Its log is listened to."""
        return self.leads or self.role is Role.FETCH


class NodeView(msgspec.Struct, frozen=True):
    """A node, as far as a run depends on it."""

    name: str
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    ready: bool = True


class ReferenceState(StrEnum):
    """How far the object that an endpoint refers to has come."""

    READY = "ready"
    NOT_READY = "notReady"
    NOT_FOUND = "notFound"
    FORBIDDEN = "forbidden"
    """The operator may not read it."""
    UNUSABLE = "unusable"
    """It does not say where to go, or not what the target asks for."""


class Reference(msgspec.Struct, frozen=True):
    """The object that an endpoint refers to, as it says itself. Its URL is never fetched by the operator."""

    state: ReferenceState
    url: str = ""
    """READY: where it answers, without /v1."""
    words: str = ""
    """Else: why not, in the object's own words as far as it has any."""


class ReceivedPoint(msgspec.Struct, frozen=True):
    """A point as it came off the wire: what it says, and the bytes that are kept for ever."""

    report: PointReport
    payload: bytes
    """The message as it was framed (JSON); its SHA-256 names it."""


class StoredPoint(msgspec.Struct, frozen=True):
    """A point that lies in a data ConfigMap of this run, though the status does not tell of it yet."""

    target: str
    attempt: int
    point: ReceivedPoint


class Heard(msgspec.Struct, frozen=True):
    """All that one load or fetch pod has said so far, by its log. A new one comes with each line."""

    progress: Progress | None = None
    dataset: DatasetReport | None = None
    dataset_at: datetime | None = None
    """When it arrived, by the operator's clock."""
    engine: EngineReport | None = None
    loading_at: float | None = None
    """When it began its first load point, Unix seconds by its own clock."""
    model: ModelReport | None = None
    """FETCH: the model is on its claim."""
    points: tuple[ReceivedPoint, ...] = ()
    failure: Failure | None = None
    ended: bool = False
    """The `end` message came, and every point that it counts."""
    exhausted: bool = False
    """The pod is terminal and its log was read to the end (or cannot be had any more): nothing more will come."""
    heard_at: datetime | None = None
    """When the last frame of any kind arrived, by the operator's clock."""
    milestone_at: datetime | None = None
    """When the engine's report or the last point arrived, by the operator's clock."""
    moved_at: datetime | None = None
    """When a progress that is newer by the pod's own clock last arrived, by the operator's clock."""
    since: datetime | None = None
    """When the connection that is being read gave its first line; None: nothing is being heard now."""
    deaf_since: datetime | None = None
    """Since when nothing could be heard, though it was tried."""
    last_lines: tuple[str, ...] = ()
    """The newest lines of the log that are not frames: what a crashed pod said."""


SILENCE = Heard()
"""What is heard of a pod that has not been listened to."""


class Observed(msgspec.Struct, frozen=True):
    """One run, its children, and what they said."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: datetime
    deleting: datetime | None
    spec: BenchmarkRunSpec | None
    """None where the object does not fit the model (an older or laxer CRD let it in)."""
    spec_error: str
    status: BenchmarkRunStatus
    terms: Terms | None = None
    """Of the spec; None only where there is no spec."""
    children: tuple[Child, ...] = ()
    """Everything but pods of Jobs; the engine pods are in here and in `pods`."""
    pods: tuple[PodView, ...] = ()
    heard: Mapping[str, Heard] = msgspec.field(default_factory=dict)
    """By UID of the load pod; a pod that is not in here has not been listened to yet."""
    stored: tuple[StoredPoint, ...] = ()
    """Points that an earlier pass made durable without living to tell: only those with no row in the status."""
    late: tuple[StoredPoint, ...] = ()
    """Points that were heard from load pods which are gone by now: not durable yet, with no row in the status."""
    asked: Mapping[str, Mapping[str, Fact]] = msgspec.field(default_factory=dict)
    """By target: the settings that its spec asks of the engine (`numParallel`, `maxModelLen`, …)."""
    engine_facts: Mapping[str, Mapping[str, Fact]] = msgspec.field(default_factory=dict)
    """By UID of the engine pod: what its own log says is in force, under the same names."""
    nodes: Mapping[str, NodeView] = msgspec.field(default_factory=dict)
    """The nodes of the engine pods, where nodes may be read."""
    references: Mapping[str, Reference] = msgspec.field(default_factory=dict)
    """By target, of those that wait for what they refer to."""
    taken: Mapping[str, str] = msgspec.field(default_factory=dict)
    """By UID of an engine's pod that is gone while its attempt is open: who took it away and why, empty if not known."""
    queue_labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Labels of the run that ask for a queue; its engines' pods get them."""
    name_conflicts: tuple[str, ...] = ()
    """`Kind/name` of objects that stand where a child should, and are not ours."""
    created_errors: Mapping[tuple[str, int, str], str] = msgspec.field(default_factory=dict)
    """(target, attempt, role letter) → the API server's last refusal to create that child (quota, admission)."""
