"""Faults of the control plane around the operator: controllers that are down, rights and room that are missing."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Self

from enginebench.cluster import labels
from enginebench.cluster.api import ApiError, Unavailable
from tests.simulation.apiserver import Call
from tests.simulation.faults.base import EVERY, Fault
from tests.simulation.faults.calls import Window

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

LONG = 60.0
"""Above this a Job without a pod, or a log that cannot be read, may fail a target."""
VERY_LONG = 1500.0
"""All that goes on without a status comes to its end within it."""
UNHEARD = ("StartupTimeout", "LoadPodSilent", "LoadPodDied", "ResultsMissing", "EngineExited")


class SchedulerDown(Window):
    """No pod gets a node."""

    def begin(self, world: "World") -> Callable[[], object]:
        world.cluster.scheduler.down = True
        world.excuse(EVERY, "Unschedulable")
        world.stops.add("Unschedulable")  # the pod that reads the data set

        def end() -> None:
            world.cluster.scheduler.down = False

        return end


class JobControllerDown(Window):
    """Jobs get no pods, and do not see them end."""

    def begin(self, world: "World") -> Callable[[], object]:
        world.cluster.jobs.down = True
        if self.seconds > LONG:
            world.excuse(EVERY, "LoadPodNotCreated")
            world.stops.update(("LoadPodNotCreated", "PrepareFailed"))

        def end() -> None:
            world.cluster.jobs.down = False

        return end


class GarbageCollectorDown(Window):
    """Pods of deleted Jobs run on."""

    def begin(self, world: "World") -> Callable[[], object]:
        world.cluster.garbage.down = True

        def end() -> None:
            world.cluster.garbage.down = False

        return end


class LogsDown(Window):
    """No log can be read: a proxy, a certificate, a right that is missing."""

    deafens = True

    def begin(self, world: "World") -> Callable[[], object]:
        around = world.cluster.around
        around.logs_down = True
        for operator in world.operators:
            operator.disconnect()
        if self.seconds > LONG:
            world.excuse(EVERY, *UNHEARD)
            world.stops.add("PrepareFailed")
            world.lose()

        def end() -> None:
            around.logs_down = False

        return end


class NodesForbidden(Window):
    """The operator may not read nodes (a namespaced installation)."""

    def begin(self, world: "World") -> Callable[[], object]:
        def hook(call: Call) -> None:
            if call.kind == "Node":
                raise ApiError(403, "Forbidden", 'nodes "gpu-1" is forbidden')

        world.cluster.api.before.append(hook)
        return lambda: world.cluster.api.before.remove(hook)


class EventsForbidden(Window):
    """Events are refused: nothing hangs on them."""

    def begin(self, world: "World") -> Callable[[], object]:
        def hook(call: Call) -> None:
            if call.kind == "Event" and call.verb == "create":
                raise ApiError(403, "Forbidden", "events is forbidden")

        world.cluster.api.before.append(hook)
        return lambda: world.cluster.api.before.remove(hook)


@dataclass(frozen=True)
class WriteFails(Fault):
    """One kind of write fails for very long. Meanwhile the run may not get on; but it lets its GPU go."""

    call: tuple[str, str]
    target: str
    state: str

    calls: ClassVar[tuple[tuple[str, str], ...]]

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        if not scenario.engines:
            return None
        state = random.choice(("created", "running"))
        return cls(call=random.choice(cls.calls), target=random.choice(scenario.engines), state=state)

    def arm(self, world: "World") -> None:
        world.when("engine", self.state, 0.0, lambda _: self._begin(world), target=self.target)
        world.excuse(EVERY, "CreationRefused", "ResultsMissing", "LoadPodDied")

    def _begin(self, world: "World") -> None:
        if world.over():
            return
        world.strike(f"{type(self).__name__} {' '.join(self.call)}")
        world.lose()

        def hook(call: Call) -> None:
            if (call.verb, call.kind) == self.call:
                raise self.answer()

        def end() -> None:
            world.cluster.api.before.remove(hook)
            if len(world.scenario.faults) == 1:
                for pod in world.store.all("Pod"):
                    if pod.labels.get(labels.ROLE) == "engine" and pod.node and not pod.deleting:
                        world.violated(f"no_gpu_is_held: {pod} is there after {VERY_LONG} s of {self.call}")

        world.cluster.api.before.append(hook)
        world.timeline.after(VERY_LONG, end)

    def answer(self) -> Exception:
        """What the API server says."""
        raise NotImplementedError


class ServerErrs(WriteFails):
    """A webhook is down, or an object too large for etcd: 500."""

    calls = (
        ("replace_status", "BenchmarkRun"),
        ("replace_status", "BenchmarkRun"),
        *(("create", kind) for kind in ("Pod", "Job", "Service", "ConfigMap")),
    )

    def answer(self) -> Exception:
        return Unavailable("500 Internal error occurred: failed calling webhook", 500)


class StatusRefused(WriteFails):
    """An admission policy, or a CRD of another version: the status is not taken."""

    calls = (("replace_status", "BenchmarkRun"),)

    def answer(self) -> Exception:
        return ApiError(422, "Invalid", "status.points: Too many")


class DeletesFail(Window):
    """Somebody's webhook keeps all but pods from being deleted."""

    def begin(self, world: "World") -> Callable[[], object]:
        def hook(call: Call) -> None:
            if call.verb == "delete" and call.kind != "Pod":
                raise Unavailable("500 Internal error occurred: failed calling webhook", 500)

        world.cluster.api.before.append(hook)
        return lambda: world.cluster.api.before.remove(hook)


class ResultsRefused(Window):
    """The quota of ConfigMaps is spent: results cannot be stored. The run must end all the same."""

    def begin(self, world: "World") -> Callable[[], object]:
        def hook(call: Call) -> None:
            marks = (call.body or {}).get("metadata", {}).get("labels") or {}
            if call.verb == "create" and call.kind == "ConfigMap" and marks.get(labels.ROLE) == "data":
                raise ApiError(403, "Forbidden", "configmaps is forbidden: exceeded quota")

        world.cluster.api.before.append(hook)
        if self.seconds > LONG:
            world.excuse(EVERY, "CreationRefused", "ResultsMissing", "LoadPodDied")
            world.lose()
        return lambda: world.cluster.api.before.remove(hook)
