"""Faults of single pods: killed, deleted, evicted, refused."""

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Self

from enginebench.cluster import labels
from tests.simulation.faults.base import Fault
from tests.simulation.kubelet import disrupted
from tests.simulation.store import Item

if TYPE_CHECKING:
    from tests.simulation.kubelet import Life
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

STATES = ("created", "bound", "running", "running", "running")
LATEST = 90.0
FINALIZER = "example.com/accounting"
AFTER_KILL = frozenset({"EngineExited", "OutOfMemory", "GPUOutOfMemory"})
UNLOADED = frozenset({"EveryRequestFailed", "NoUsablePoint"})
"""A dead engine may show in the points first."""


@dataclass(frozen=True)
class PodFault(Fault):
    """Strikes a pod of a role, some time after it has come so far."""

    role: str
    target: str
    state: str
    after: float

    roles: ClassVar[tuple[str, ...]] = ("engine", "load")
    states: ClassVar[tuple[str, ...]] = STATES

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        role = random.choice(cls.roles)
        targets = scenario.engines if role == "engine" else scenario.targets
        if not targets:
            return None
        after = round(random.choice((0.0, random.uniform(0.0, 5.0), random.uniform(0.0, LATEST))), 3)
        return cls(role=role, target=random.choice(targets), state=random.choice(cls.states), after=after)

    def arm(self, world: "World") -> None:
        def strike(first: Item) -> None:
            pods = [pod for pod in world.store.all("Pod") if self.role == "load" and pod.owners == first.owners]
            pod = world.random.choice(pods) if len(pods) > 1 else first
            if world.alive(pod):
                world.strike(f"{type(self).__name__} {pod.name} ({pod.phase})")
                self.happen(pod, world)

        world.when(self.role, self.state, self.after, strike, target=self.target)

    def happen(self, pod: Item, world: "World") -> None:
        raise NotImplementedError

    def excludes(self, other: Fault) -> bool:
        return False

    def lose(self, world: "World") -> None:
        """What the load pod has measured and nobody has read goes with it."""
        if self.role == "load":
            world.lose()


class ContainerDies(PodFault):
    """Exit code 1, a kill from outside, or out of memory."""

    weight = 3.0
    states = ("running",)

    def happen(self, pod: Item, world: "World") -> None:
        life = _life(pod, world)
        if life is None or not life.running or pod.deleting:
            return
        code, cause = world.random.choice(((1, "Error"), (137, "Error"), (137, "OOMKilled"), (0, "Completed")))
        if self.role == "engine":
            world.excuse(self.target, *AFTER_KILL, *UNLOADED, "VerificationFailed", "ModelPullFailed")
        else:
            world.excuse(self.target, "LoadPodDied", "ResultsMissing")
        world.cluster.kubelets.kill(life, code, cause)


class PodDeleted(PodFault):
    """Somebody deletes it: the target goes on in a new attempt."""

    weight = 2.0

    def happen(self, pod: Item, world: "World") -> None:
        self.lose(world)
        world.store.delete(pod)


class PodForceDeleted(PodFault):
    """`kubectl delete --force --grace-period=0`."""

    def happen(self, pod: Item, world: "World") -> None:
        self.lose(world)
        world.store.delete(pod, grace=0)


class PodDrained(PodFault):
    """The eviction API: a drain, or Karpenter."""

    weight = 2.0

    def happen(self, pod: Item, world: "World") -> None:
        self.lose(world)
        disrupted(world.store, pod, "EvictionByEvictionAPI", "Eviction API: evicting")
        world.store.delete(pod)


class PodPreempted(PodFault):
    """A pod of a higher priority takes the place."""

    states = ("bound", "running")

    def happen(self, pod: Item, world: "World") -> None:
        self.lose(world)
        disrupted(world.store, pod, "PreemptionByScheduler", "default-scheduler: preempting to accommodate a pod")
        world.store.delete(pod)


class PodEvictedByKubelet(PodFault):
    """The node is short of memory: the pod fails and its object stays."""

    weight = 2.0
    states = ("bound", "running")

    def happen(self, pod: Item, world: "World") -> None:
        life = _life(pod, world)
        if life is not None and not life.over:
            self.lose(world)
            world.cluster.kubelets.evict(life, "The node was low on resource: memory.")


class PodRefusedByKubelet(PodFault):
    """The device plugin is not back after the kubelet's restart."""

    states = ("bound",)

    def happen(self, pod: Item, world: "World") -> None:
        life = _life(pod, world)
        if life is not None and life.phase == "Pending" and not life.refused:
            life.refused = "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices"
            world.excuse(self.target, "EngineExited", "LoadPodDied")


class PodGated(PodFault):
    """A queue holds the pod back for long; no deadline may run, but that of a load pod whose engine holds a GPU."""

    weight = 2.0
    states = ("created",)

    def arm(self, world: "World") -> None:
        if self.role == "load":
            world.excuse(self.target, "Unschedulable")
        world.when(self.role, "created", 0.0, lambda pod: self.happen(pod, world), target=self.target)

    def happen(self, pod: Item, world: "World") -> None:
        if pod.node or not world.alive(pod):
            return
        world.strike(f"PodGated {pod.name}")
        pod.obj["spec"].setdefault("schedulingGates", []).append({"name": "example.com/approval"})
        world.store.touch(pod)

        def open_gate() -> None:
            if world.alive(pod):
                gates = pod.obj["spec"].get("schedulingGates") or []
                pod.obj["spec"]["schedulingGates"] = [gate for gate in gates if gate["name"] != "example.com/approval"]
                world.store.touch(pod)

        world.timeline.after(1200.0, open_gate)


@dataclass(frozen=True)
class JobSuspended(Fault):
    """Kueue takes the Job of a load pod, whose engine it does not know, and admits it late, or never."""

    target: str
    seconds: float

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(random.choice(scenario.engines), random.choice((30.0, 4000.0))) if scenario.engines else None

    def arm(self, world: "World") -> None:
        if self.seconds > LATEST:
            world.excuse(self.target, "Unschedulable")

        def suspend(kind: str, body: dict[str, Any]) -> None:
            marks = body["metadata"].get("labels") or {}
            if (kind, marks.get(labels.ROLE), marks.get(labels.TARGET)) == ("Job", "load", self.target):
                body["spec"]["suspend"] = True
                world.strike(f"JobSuspended {body['metadata']['name']}")
                world.timeline.after(self.seconds, lambda: world.cluster.jobs.admit(body["metadata"]["name"]))

        world.cluster.api.mutating.append(suspend)


@dataclass(frozen=True)
class QueueLong(Fault):
    """Kueue lets a pod wait for hours: no deadline may run meanwhile."""

    weight = 2.0
    disrupts = False

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:  # Fault's signature
        return cls() if scenario.queue and scenario.engines else None

    def arm(self, world: "World") -> None:
        world.cluster.kueue.longest = 4000.0


class QueueEvicts(PodFault):
    """Kueue preempts a pod that it has admitted: the target queues anew."""

    weight = 4.0
    roles = ("engine",)
    states = ("bound", "running")

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return super().draw(random, scenario) if scenario.queue else None

    def happen(self, pod: Item, world: "World") -> None:
        if not pod.deleting:
            world.cluster.kueue.evict(pod)


@dataclass(frozen=True)
class QueueIgnored(Fault):
    """Kueue's integration `pod` is not enabled: nobody looks at the label."""

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:  # Fault's signature
        return cls() if scenario.queue and scenario.engines else None

    def arm(self, world: "World") -> None:
        world.cluster.kueue.takes_pods = False
        for target in world.scenario.engines:
            world.doom(target, "KueuePodIntegrationDisabled")


class PodKeptByFinalizer(PodFault):
    """Somebody's finalizer keeps the pod's object for minutes after its end: its GPU is free all the same."""

    roles = ("engine",)
    states = ("created",)

    def happen(self, pod: Item, world: "World") -> None:
        finalizers = pod.obj["metadata"].setdefault("finalizers", [])
        finalizers.append(FINALIZER)
        world.store.touch(pod)
        world.timeline.after(300.0, lambda: world.store.drop_finalizer(pod, FINALIZER))


@dataclass(frozen=True)
class ChildDeleted(Fault):
    """Somebody deletes the Job, the Service or the plan of a target in the middle."""

    target: str
    kind: str
    after: float

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        kind = random.choice(("Job", "Service", "ConfigMap"))
        return cls(target=random.choice(scenario.targets), kind=kind, after=round(random.uniform(0.0, 60.0), 3))

    def arm(self, world: "World") -> None:
        def strike(pod: Item) -> None:
            for item in world.store.all(self.kind):
                mine = item.labels.get("enginebench.dev/target") == self.target
                if mine and item.labels.get("enginebench.dev/role") != "data":
                    world.strike(f"ChildDeleted {item}")
                    if self.kind == "Service":
                        world.excuse(self.target, *UNLOADED, "VerificationFailed", "ModelPullFailed", "EngineNotReady")
                    if self.kind == "Job":
                        world.lose()
                    world.store.delete(item)

        world.when("load", "created", self.after, strike, target=self.target)


def _life(pod: Item, world: "World") -> "Life | None":
    life = world.cluster.kubelets.lives.get(pod.uid)
    return life if life is not None and world.cluster.kubelets.reaches(life) else None
