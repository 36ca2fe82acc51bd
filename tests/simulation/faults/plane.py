"""Faults of the control plane around the operator: controllers that are down, rights and room that are missing."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from enginebench.cluster import labels
from enginebench.cluster.api import ApiError
from tests.simulation.apiserver import Call
from tests.simulation.faults.base import EVERY
from tests.simulation.faults.calls import Window

if TYPE_CHECKING:
    from tests.simulation.world import World

LONG = 60.0
"""Above this a Job without a pod, or a log that cannot be read, may fail a target."""
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
