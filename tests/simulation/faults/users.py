"""What users do in the middle of a run."""

from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING, ClassVar, Self

from tests.simulation.faults.base import ANYTHING, EVERY, Fault
from tests.simulation.scenario import RUN_NAME

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

LATEST = 200.0
UNREADABLE = "surprise"
"""A field that no model has: nothing can be read of a spec that has it, its TTL neither."""


@dataclass(frozen=True)
class UserAction(Fault):
    """Somebody edits or deletes the run."""

    at: float

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(at=round(random.choice((0.0, random.uniform(0.0, 20.0), random.uniform(0.0, LATEST))), 3))

    def arm(self, world: "World") -> None:
        def act() -> None:
            if world.run is not None and world.alive(world.run):
                world.transcript.note("user", repr(self))
                self.act(world)

        world.at(self.at, act)

    def act(self, world: "World") -> None:
        raise NotImplementedError

    def edit(self, world: "World", **fields: object) -> None:
        assert world.run is not None  # arm looked
        world.cluster.edit(world.run, lambda spec: spec.update(fields))


@dataclass(frozen=True)
class SuspendAndResume(UserAction):
    """A pause; nothing complete is lost or measured again."""

    seconds: float = 60.0
    weight: ClassVar[float] = 4.0

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        at = round(random.choice((0.0, random.uniform(0.0, LATEST))), 3)
        return cls(at=at, seconds=random.choice((0.5, 5.0, 100.0, 8_000.0)))

    def act(self, world: "World") -> None:
        self.edit(world, suspend=True)
        world.timeline.after(self.seconds, lambda: self.edit(world, suspend=False))

    def excludes(self, other: Fault) -> bool:
        return False


class Cancel(UserAction):
    """For good."""

    weight = 2.0

    def act(self, world: "World") -> None:
        if not world.finished:
            world.stops.add("Cancelled")
        self.edit(world, cancel=True)


class EditTtl(UserAction):
    """The TTL may be edited at any time."""

    def act(self, world: "World") -> None:
        self.edit(world, ttlSecondsAfterFinished=world.random.choice((0, 20, 1000)))


class DeleteRun(UserAction):
    """`kubectl delete`: everything goes with it."""

    weight = 1.5

    def act(self, world: "World") -> None:
        assert world.run is not None  # arm looked
        world.store.delete(world.run)


class DeleteRunInForeground(UserAction):
    """`kubectl delete --cascade=foreground`: it is seen with a deletionTimestamp for a while."""

    def act(self, world: "World") -> None:
        run = world.run
        assert run is not None  # arm looked
        run.obj["metadata"]["finalizers"] = ["foregroundDeletion"]
        world.store.delete(run)
        for item in world.store.everything():
            if run.uid in item.owners:
                world.store.delete(item)
        world.timeline.after(
            world.random.uniform(0.1, 20.0), lambda: world.store.drop_finalizer(run, "foregroundDeletion")
        )


class SecondRun(UserAction):
    """The same experiment once more, beside the first: they queue for the one GPU, and share nothing."""

    weight = 2.0
    disrupts = False

    def act(self, world: "World") -> None:
        world.excuse(EVERY, "Unschedulable")
        world.apply_run(f"{RUN_NAME}-again")


class NamespaceDeleted(UserAction):
    """The namespace goes: nothing can be created in it any more, and all in it is deleted."""

    def act(self, world: "World") -> None:
        from enginebench.cluster.api import ApiError
        from tests.simulation.apiserver import Call

        assert world.run is not None  # arm looked
        namespace = world.run.namespace
        world.stops.add(ANYTHING)

        def hook(call: Call) -> None:
            if call.verb == "create":
                raise ApiError(
                    403, "Forbidden", f"unable to create new content in namespace {namespace}: it is being terminated"
                )

        world.cluster.api.before.append(hook)
        world.cluster.jobs.refusal = f"namespace {namespace} is being terminated"
        items = [item for item in world.store.everything() if item.namespace == namespace]
        world.random.shuffle(items)
        for item in items:
            world.timeline.after(world.random.uniform(0.0, 10.0), partial(world.store.delete, item))


@dataclass(frozen=True)
class Deadline(Fault):
    """spec.activeDeadlineSeconds is short."""

    seconds: int

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        workload = scenario.spec["workload"]
        least = 0
        if "durationSeconds" in workload:
            points = len(scenario.targets) * scenario.points_of_target
            least = points * (workload["durationSeconds"] + workload["rampSeconds"])
        return cls(seconds=least + random.randint(5, 60))

    def arm(self, world: "World") -> None:
        world.scenario.spec["activeDeadlineSeconds"] = self.seconds
        world.stops.add("DeadlineExceeded")


@dataclass(frozen=True)
class InvalidSpec(Fault):
    """An older CRD let a spec in that fits no model, or that only the operator can see through."""

    how: str
    weight: ClassVar[float] = 0.5

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(how=random.choice(("unknown field", "extra body")))

    def arm(self, world: "World") -> None:
        spec = world.scenario.spec
        if self.how == "unknown field":
            spec[UNREADABLE] = True
        else:
            spec["workload"].setdefault("request", {})["extraBodyJSON"] = "{nonsense}"
        world.stops.add("InvalidSpec")
