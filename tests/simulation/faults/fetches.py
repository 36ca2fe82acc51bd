"""Fetches of models that fail, die, fall silent, or are taken away."""

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Self

from tests.simulation.faults.base import Fault
from tests.simulation.kubelet import disrupted
from tests.simulation.programs.fetchpod import FetchBehaviour
from tests.simulation.store import Item

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World


@dataclass(frozen=True)
class FetchFault(Fault):
    """The fetch of one target's model goes badly; where another fetches the same model, it need not happen."""

    target: str
    after: float

    excuses: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        having = [target["name"] for target in scenario.spec["targets"] if "pod" in target]
        return cls(target=random.choice(having), after=round(random.uniform(0.1, 9.0), 3)) if having else None

    def arm(self, world: "World") -> None:
        world.cluster.fetches[self.target] = self.behaviour()
        world.excuse(self.target, *self.excuses)

    def behaviour(self) -> FetchBehaviour:
        return FetchBehaviour()


class FetchRefused(FetchFault):
    """No such model, no right to it, no room: the pod says so."""

    excuses = ("ModelAccessDenied",)

    def behaviour(self) -> FetchBehaviour:
        return FetchBehaviour(error="ModelAccessDenied")


class FetchDies(FetchFault):
    """It is killed for lack of memory."""

    excuses = ("ModelFetchFailed",)

    def behaviour(self) -> FetchBehaviour:
        return FetchBehaviour(dies_after=self.after)


class FetchHangs(FetchFault):
    """It runs, and says nothing any more."""

    excuses = ("ModelFetchFailed", "ModelPullTimeout")

    def behaviour(self) -> FetchBehaviour:
        return FetchBehaviour(silent_after=self.after)


class FetchForgets(FetchFault):
    """It ends without a word on the model."""

    excuses = ("ModelFetchFailed",)

    def behaviour(self) -> FetchBehaviour:
        return FetchBehaviour(forgets_report=True)


class FetchIsSlow(FetchFault):
    """It takes minutes, and comes to its end."""

    def behaviour(self) -> FetchBehaviour:
        return FetchBehaviour(seconds=30 * self.after)


class FetchTakenAway(FetchFault):
    """Somebody deletes its pod, or drains its node: it begins again."""

    weight = 2.0

    def arm(self, world: "World") -> None:
        def strike(pod: Item) -> None:
            if world.alive(pod) and not pod.over:
                world.strike(f"{type(self).__name__} {pod}")
                if self.after < 4.0:
                    disrupted(world.store, pod, "EvictionByEvictionAPI", "Eviction API: evicting")
                world.store.delete(pod)

        world.when("fetch", "running", self.after, strike, target=self.target)
