"""Engines, images, Secrets and data sets that do not do what they should: faults that a whole target has."""

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Self

from tests.simulation.faults.base import Fault
from tests.simulation.programs.engine import EngineBehaviour, Exit
from tests.simulation.programs.loadpod import LoadBehaviour

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

CUDA = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
DIED = ("EngineExited",)
ONE_SLOT = 'msg="starting llama server" cmd="/bin/ollama runner --model m --ctx-size 4096 --parallel 1 --port 4711"'


@dataclass(frozen=True)
class EngineFault(Fault):
    """The engine of one target behaves differently from its first pod on."""

    target: str
    after: float

    dooms: ClassVar[tuple[str, ...]] = ()
    """It must fail with one of these."""
    excuses: ClassVar[tuple[str, ...]] = ()
    """It may."""
    kinds: ClassVar[tuple[str, ...]] = ("simulated", "ollama", "vllm")

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        fitting = [t["name"] for t in scenario.spec["targets"] if any(kind in t for kind in cls.kinds)]
        if not fitting:
            return None
        return cls(target=random.choice(fitting), after=round(random.uniform(0.1, 60.0), 3))

    def arm(self, world: "World") -> None:
        self.change(world.cluster.engines[self.target])
        if self.dooms:
            world.doom(self.target, *self.dooms)
        world.excuse(self.target, *self.excuses)

    def change(self, engine: EngineBehaviour) -> None:
        raise NotImplementedError

    def excludes(self, other: Fault) -> bool:
        return isinstance(other, EngineFault) and other.target == self.target


class NeverReady(EngineFault):
    """Runs, and never answers."""

    weight = 2.0
    dooms = ("StartupTimeout",)

    def change(self, engine: EngineBehaviour) -> None:
        engine.answers = False


class ExitsAtStart(EngineFault):
    """Exits before it answers."""

    weight = 2.0
    dooms = DIED

    def change(self, engine: EngineBehaviour) -> None:
        engine.exit = Exit(min(self.after, engine.start_seconds / 2), 1, last_lines=("ValueError: no such model",))


class ExitsWithZero(EngineFault):
    """Ends before it answers, and calls that a success."""

    dooms = DIED

    def change(self, engine: EngineBehaviour) -> None:
        engine.exit = Exit(engine.start_seconds / 2, 0)


class OutOfMemory(EngineFault):
    """The kernel kills it while it loads the model."""

    dooms = ("OutOfMemory",)

    def change(self, engine: EngineBehaviour) -> None:
        engine.exit = Exit(engine.start_seconds / 2, 137, "OOMKilled")


class GpuOutOfMemory(EngineFault):
    """Its log says what the exit code does not."""

    dooms = ("GPUOutOfMemory",)

    def change(self, engine: EngineBehaviour) -> None:
        engine.exit = Exit(engine.start_seconds / 2, 1, last_lines=(CUDA,))


class ExitsLater(EngineFault):
    """Exits some time after it answers: before, in or after the load."""

    weight = 3.0
    excuses = (*DIED, "VerificationFailed", "ModelPullFailed", "EveryRequestFailed", "NoUsablePoint")

    def change(self, engine: EngineBehaviour) -> None:
        engine.exit = Exit(engine.start_seconds + self.after, 1, last_lines=("Fatal Python error: Aborted",))


class ExitsOnRequest(EngineFault):
    """The first request kills it."""

    weight = 2.0
    dooms = (*DIED,)

    def change(self, engine: EngineBehaviour) -> None:
        engine.exit_on_request = Exit(0.0, 139, last_lines=("Segmentation fault",))


class Hangs(EngineFault):
    """Takes requests and never answers them, from some time on."""

    weight = 2.0
    excuses = ("NoUsablePoint", "EveryRequestFailed", "StartupTimeout", "VerificationFailed")

    def change(self, engine: EngineBehaviour) -> None:
        engine.hangs_after = engine.start_seconds + self.after


class SlowStart(EngineFault):
    """Takes long, but not too long."""

    def change(self, engine: EngineBehaviour) -> None:
        engine.start_seconds = 50.0


class StubbornEnd(EngineFault):
    """Does not end on SIGTERM: its grace is used up."""

    def change(self, engine: EngineBehaviour) -> None:
        engine.stop_seconds = 1000.0


class FewerSlots(EngineFault):
    """Ollama gives the model one slot, whatever was asked for, and says so in its log alone."""

    excuses = ("SettingsNotInForce",)  # it must, where its log is read: see the invariants of settings

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        fitting = [t["name"] for t in scenario.spec["targets"] if t.get("simulated", {}).get("api") == "Ollama"]
        return cls(target=random.choice(fitting), after=0.0) if fitting else None

    def change(self, engine: EngineBehaviour) -> None:
        engine.log = (ONE_SLOT,)


class WrongModel(EngineFault):
    """Serves another model."""

    dooms = ("WrongModel",)

    def change(self, engine: EngineBehaviour) -> None:
        engine.model = "another"


class AnswersAsAnother(EngineFault):
    """Verification passes; under load some answers bear another model's name."""

    dooms = ("NoUsablePoint",)

    def change(self, engine: EngineBehaviour) -> None:
        engine.wrong_models = ("another",)


class EveryRequestFails(EngineFault):
    """Verification passes, then every request is refused."""

    weight = 2.0
    dooms = ("EveryRequestFailed",)

    def change(self, engine: EngineBehaviour) -> None:
        engine.error_share = 1.0


class SomeRequestsFail(EngineFault):
    """Fewer than the bound."""

    def change(self, engine: EngineBehaviour) -> None:
        engine.error_share = 0.03


class NotVerified(EngineFault):
    """The API answers; a completion does not come back."""

    dooms = ("VerificationFailed",)

    def change(self, engine: EngineBehaviour) -> None:
        engine.verifies = False


class ModelNotInRegistry(EngineFault):
    """Ollama cannot pull the model."""

    kinds = ("ollama",)
    dooms = ("ModelPullFailed",)

    def change(self, engine: EngineBehaviour) -> None:
        engine.pull_error = "pull model manifest: file does not exist"


@dataclass(frozen=True)
class LoadPodFault(Fault):
    """The first load pod of a target behaves badly."""

    target: str
    after: float

    excuses: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(target=random.choice(scenario.targets), after=round(random.uniform(0.1, 90.0), 3))

    def arm(self, world: "World") -> None:
        world.cluster.loads[self.target] = self.behaviour()
        world.excuse(self.target, *self.excuses)

    def behaviour(self) -> LoadBehaviour:
        raise NotImplementedError

    def excludes(self, other: Fault) -> bool:
        return isinstance(other, LoadPodFault) and other.target == self.target


class LoadPodHangs(LoadPodFault):
    """It falls silent."""

    weight = 2.0
    excuses = ("LoadPodSilent", "StartupTimeout")

    def behaviour(self) -> LoadBehaviour:
        return LoadBehaviour(silent_after=self.after)


class LoadPodStuck(LoadPodFault):
    """Its heart beats, and it gets no further."""

    excuses = ("PointTimeout", "StartupTimeout", "LoadPodSilent")

    def behaviour(self) -> LoadBehaviour:
        return LoadBehaviour(stuck_after=self.after)


class LoadPodForgetsEnd(LoadPodFault):
    """All points come, the `end` message does not."""

    def behaviour(self) -> LoadBehaviour:
        return LoadBehaviour(forgets_end=True)


class LoadPodSlow(LoadPodFault):
    """Its node takes a while to start it: the engine is ready long before."""

    def behaviour(self) -> LoadBehaviour:
        return LoadBehaviour(start_seconds=20.0)
