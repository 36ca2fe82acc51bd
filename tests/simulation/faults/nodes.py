"""Faults of nodes."""

from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Self

from tests.simulation.faults.base import EVERY, Fault
from tests.simulation.store import Item

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

NO_NODE = ("Unschedulable", "TooManyDisruptions")
LOST_LOAD = ("LoadPodSilent", "LoadPodDied", "ResultsMissing", "EngineNotReady")
LOST_ENGINE = ("EngineExited", "EveryRequestFailed", "NoUsablePoint", "VerificationFailed", "ModelPullFailed")
LOST_START = ("StartupTimeout", "ImagePullTimeout", "ContainerConfigError", "ImagePullFailed", "VolumeNotAttachable")


@dataclass(frozen=True)
class NodeFault(Fault):
    """Strikes the node of the engine's (or load) pod of a target, some time after it began to run."""

    role: str
    target: str
    after: float
    back_after: float | None
    """None: never."""
    rebooted: bool

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        role = random.choice(("engine", "load"))
        targets = scenario.engines if role == "engine" else scenario.targets
        if not targets:
            return None
        return cls(
            role=role,
            target=random.choice(targets),
            after=round(random.uniform(0.0, 60.0), 3),
            back_after=random.choice((5.0, 60.0, 120.0, 250.0, None)),
            rebooted=random.random() < 0.5,
        )

    def arm(self, world: "World") -> None:
        def strike(pod: Item) -> None:
            node = world.store.find("Node", "", pod.node)
            if node is not None and node.name not in world.cluster.around.unreachable:
                world.strike(f"{type(self).__name__} {node.name}")
                world.lose()
                world.excuse(EVERY, *NO_NODE, *LOST_LOAD, *LOST_ENGINE, *LOST_START)
                world.stops.update(("PrepareFailed", "Unschedulable", "DatasetNotFound", *LOST_START))
                self.happen(node, world)

        world.when(self.role, "running", self.after, strike, target=self.target)

    def happen(self, node: Item, world: "World") -> None:
        raise NotImplementedError

    def excludes(self, other: Fault) -> bool:
        return isinstance(other, NodeFault)


class NodeLost(NodeFault):
    """Nobody hears of it for a while, or for ever; its processes may go on."""

    weight = 3.0

    def happen(self, node: Item, world: "World") -> None:
        world.cluster.nodes.lose(node)
        if self.back_after is not None:
            world.timeline.after(self.back_after, lambda: world.cluster.nodes.bring_back(node, rebooted=self.rebooted))


class NodeRemoved(NodeFault):
    """The cloud takes the machine, and its object with it."""

    def happen(self, node: Item, world: "World") -> None:
        world.cluster.nodes.remove(node)


@dataclass(frozen=True)
class NodeSlow(Fault):
    """Its kubelet takes ten times as long for everything."""

    node: str

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(node=random.choice(scenario.nodes).name)

    def arm(self, world: "World") -> None:
        world.cluster.around.slowness[self.node] = 10.0


@dataclass(frozen=True)
class GpuTaken(Fault):
    """Somebody else's pod holds the GPU before we come."""

    seconds: float
    """Until it is freed."""

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(seconds=random.choice((30.0, 300.0, 1_000_000.0)))

    def arm(self, world: "World") -> None:
        scenario = world.scenario
        limit = (scenario.spec.get("timeouts") or {}).get("schedulingSeconds", 3600)
        if self.seconds > limit / 2:
            world.excuse(EVERY, "Unschedulable")
        for node in scenario.nodes:
            if node.gpus:
                pod = world.cluster.apply("Pod", _tenant(node.name))
                world.timeline.after(self.seconds, partial(world.store.delete, pod))


def _tenant(node: str) -> dict[str, object]:
    resources = {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}
    return {
        "metadata": {"name": f"tenant-{node}", "namespace": "other"},
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": "tenant:1", "resources": resources}]},
        "status": {"phase": "Pending"},
    }
