"""What a fault is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World


EVERY = ""
"""Every target."""
ANYTHING = "*"
"""Among `World.stops`: no verdict is wrong."""


@dataclass(frozen=True)
class Fault(ABC):
    """One thing that goes wrong. Its fields say when and where; they print as the Python that makes it again.

    A new one is a dataclass with `draw` and `arm`, listed in `faults/__init__.py`. When it strikes it tells the
    judges what follows: nothing (the outcome must be as without it), `world.excuse` (the target may fail, with
    these reasons), `world.doom` (it must), `world.stops` (the run may end with this), `world.losses` (a point that
    was measured but not yet collected may be lost).
    """

    weight: ClassVar[float] = 1.0
    """How often it is drawn, against the others."""
    deafens: ClassVar[bool] = False
    """While it lasts the operator may not hear what load pods say."""
    disrupts: ClassVar[bool] = True
    """It takes something away, so that an attempt may end early."""

    @classmethod
    @abstractmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        """One for this scenario, or None where it makes no sense."""

    @abstractmethod
    def arm(self, world: "World") -> None:
        """Book what will happen."""

    def excludes(self, other: "Fault") -> bool:
        """Whether the two cannot be judged together: by default two of a kind."""
        return type(other) is type(self)
