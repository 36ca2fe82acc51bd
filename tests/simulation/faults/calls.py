"""Faults at the operator's calls of the API."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Self

from enginebench.cluster import labels
from enginebench.cluster.api import ApiError, Unavailable
from tests.simulation.apiserver import Call
from tests.simulation.faults.base import EVERY, Fault
from tests.simulation.operator import Crash
from tests.simulation.scenario import NAMESPACE

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

LATEST_CALL = 500
"""A run makes a few hundred calls."""
LATEST_TIME = 240.0


def _number(random: Random) -> int:
    """Early calls more often than late ones, and every one sometimes."""
    return round(LATEST_CALL ** random.random()) if random.random() < 0.5 else random.randint(1, LATEST_CALL)


@dataclass(frozen=True)
class AtCall(Fault):
    """Strikes at one call, before it is carried out or after."""

    disrupts = False

    call: int
    carried_out: bool

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(call=_number(random), carried_out=random.random() < 0.5)

    def arm(self, world: "World") -> None:
        def hook(call: Call) -> None:
            if call.number == self.call:
                world.strike(f"{type(self).__name__} at #{call.number} {call.verb} {call.kind} {call.name}")
                self.happen(call, world)

        hooks = world.cluster.api.after if self.carried_out else world.cluster.api.before
        hooks.append(hook)

    def happen(self, call: Call, world: "World") -> None:
        raise NotImplementedError

    def excludes(self, other: Fault) -> bool:
        return False


class OperatorCrash(AtCall):
    """The process dies: all that it remembered is gone."""

    deafens = True
    weight = 5.0

    def happen(self, call: Call, world: "World") -> None:
        raise Crash


class NoAnswer(AtCall):
    """The call times out; it may have been carried out."""

    deafens = True
    weight = 4.0

    def happen(self, call: Call, world: "World") -> None:
        raise Unavailable(f"{call.verb} {call.kind}: timed out")


class SomebodyWrites(AtCall):
    """Somebody annotates the run just then: a status PUT that read it before meets a 409."""

    weight = 3.0

    def happen(self, call: Call, world: "World") -> None:
        run = world.run
        if run is not None and world.alive(run):
            run.obj["metadata"].setdefault("annotations", {})["note"] = str(call.number)
            world.store.touch(run)


@dataclass(frozen=True)
class Window(Fault):
    """Something that lasts for a while."""

    disrupts = False

    at: float
    seconds: float

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(at=round(random.uniform(0.0, LATEST_TIME), 3), seconds=random.choice((3.0, 30.0, 200.0)))

    def arm(self, world: "World") -> None:
        def begin() -> None:
            world.strike(f"{type(self).__name__} for {self.seconds} s")
            undo = self.begin(world)
            world.timeline.after(self.seconds, undo)

        world.at(self.at, begin)

    def begin(self, world: "World") -> Callable[[], object]:
        """It begins; what is returned ends it."""
        raise NotImplementedError


class ApiOutage(Window):
    """No call is answered, no log is followed."""

    deafens = True

    def begin(self, world: "World") -> Callable[[], object]:
        def hook(call: Call) -> None:
            raise Unavailable("connection refused")

        def end() -> None:
            world.cluster.api.before.remove(hook)
            world.cluster.around.logs_down = world.cluster.around.api_down = False

        world.cluster.api.before.append(hook)
        world.cluster.around.logs_down = world.cluster.around.api_down = True
        for operator in world.operators:
            operator.disconnect()
        return end


class SlowApi(Window):
    """Each call takes a second: much happens between two of them."""

    deafens = True

    def begin(self, world: "World") -> Callable[[], object]:
        calm = world.cluster.api.latency
        world.cluster.api.latency = 1.0

        def end() -> None:
            world.cluster.api.latency = calm

        return end


class LostWatch(Window):
    """The operator hears of no change; when the watch is back it lists anew."""

    deafens = True
    weight = 2.0

    def begin(self, world: "World") -> Callable[[], object]:
        world.operator.deaf += 1
        operator = world.operator

        def end() -> None:
            operator.deaf -= 1
            operator.relist()

        return end


class OperatorDown(Window):
    """The operator's pod is rescheduled."""

    deafens = True
    weight = 2.0

    def begin(self, world: "World") -> Callable[[], object]:
        operator = world.operator
        operator.stop()
        return operator.start


class SecondOperator(Window):
    """A stale operator is still at work beside the new one."""

    def begin(self, world: "World") -> Callable[[], object]:
        other = world.operator.twin()
        world.operators.insert(0, other)

        def end() -> None:
            other.stop()
            world.operators.remove(other)

        return end


class QuotaSpent(Window):
    """Pods are refused by admission for a while; only a long refusal may fail a target."""

    def begin(self, world: "World") -> Callable[[], object]:
        said = "pods is forbidden: exceeded quota: compute, requested: pods=1, used: pods=10, limited: pods=10"

        def hook(call: Call) -> None:
            if call.verb == "create" and call.kind == "Pod":
                raise ApiError(403, "Forbidden", said)

        world.cluster.api.before.append(hook)
        world.cluster.jobs.refusal = said
        if self.seconds > 60.0:
            world.excuse(EVERY, "CreationRefused", "LoadPodNotCreated")
            world.stops.update({"PrepareFailed", "LoadPodNotCreated"})

        def end() -> None:
            world.cluster.api.before.remove(hook)
            world.cluster.jobs.refusal = ""

        return end


@dataclass(frozen=True)
class NameTaken(Fault):
    """An object of somebody else bears a child's name."""

    target: str
    kind: str

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        if not scenario.engines:
            return None
        return cls(target=random.choice(scenario.engines), kind=random.choice(("Service", "Pod", "ConfigMap")))

    def arm(self, world: "World") -> None:
        def hook(call: Call) -> None:
            meta = (call.body or {}).get("metadata", {})
            marks = meta.get("labels") or {}
            taken = (call.verb, call.kind, marks.get(labels.TARGET)) == ("create", self.kind, self.target)
            if not taken or marks.get(labels.ROLE) == "data":
                return
            world.cluster.api.before.remove(hook)
            world.strike(f"NameTaken {call.kind} {call.name}")
            if len(world.scenario.faults) == 1:  # else a new attempt may have other names
                world.doom(self.target, "NameConflict")
            world.excuse(self.target, "NameConflict", "LoadPodDied", "EngineNotReady")
            foreign = {
                "metadata": {"name": call.name, "namespace": NAMESPACE},
                "spec": {"schedulingGates": ["foreign"]},
            }
            world.cluster.apply(call.kind, foreign)

        world.cluster.api.before.append(hook)
