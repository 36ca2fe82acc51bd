"""Faults of the log: the only channel of results."""

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, Self

from tests.simulation.faults.base import EVERY, Fault

if TYPE_CHECKING:
    from tests.simulation.scenario import Scenario
    from tests.simulation.world import World

NOISE = (
    b"\n",
    b"Traceback (most recent call last):\n",
    b"\xff\xfe\x00\n",
    b"EB1 7 point 1/1 00000000 AAAA\n",
    b"EB1 \n",
)
UNHEARD = ("ResultsMissing", "LoadPodSilent", "StartupTimeout", "LoadPodDied", "ModelFetchFailed")
"""What a load or fetch pod is taken for whose words are lost."""
MOST_BREAKS = 12


@dataclass(frozen=True)
class LogFault(Fault):
    """What becomes of lines; `share` of them are touched."""

    disrupts = False

    share: float

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(share=random.choice((0.02, 0.2, 0.7)))

    def hit(self, world: "World") -> bool:
        return world.random.random() < self.share


class NoisyLog(LogFault):
    """Other lines between the frames, some of them almost frames; lines come twice."""

    def arm(self, world: "World") -> None:
        def medium(line: bytes) -> list[bytes]:
            if not self.hit(world):
                return [line]
            return [world.random.choice(NOISE), line, line]

        world.operator.medium = medium


class BrokenFollow(LogFault):
    """The connection ends in the middle of a line; the log is read anew from its start."""

    weight: ClassVar[float] = 2.0
    deafens = True

    def arm(self, world: "World") -> None:
        left = MOST_BREAKS

        def breaks() -> bool:
            nonlocal left
            left -= (hit := left > 0 and self.hit(world))
            return hit

        world.operator.breaks = breaks


@dataclass(frozen=True)
class TornLog(Fault):
    """Some lines are damaged for good where they are stored: what they said is lost."""

    place: int
    """The how-manieth line of a load pod's log."""

    weight: ClassVar[float] = 2.0

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(place=random.randint(0, 14))

    def arm(self, world: "World") -> None:
        def tear(before: list[bytes], line: bytes) -> bytes:
            if len(before) != self.place:
                return line
            world.strike(f"TornLog tears {line[:16]!r}")
            if b"progress" not in line:
                world.lose()
                world.excuse(EVERY, *UNHEARD)
                world.stops.add("PrepareFailed")
            return line[: len(line) // 2] + b"somebody else's words\n"

        world.cluster.stored = tear


@dataclass(frozen=True)
class RotatedLog(Fault):
    """Whoever reads from the start finds only the newest lines."""

    kept: int

    @classmethod
    def draw(cls, random: Random, scenario: "Scenario") -> Self | None:
        return cls(kept=random.choice((0, 3, 8)))

    def arm(self, world: "World") -> None:
        def rotated(lines: list[bytes]) -> list[bytes]:
            if len(lines) > self.kept:
                world.lose()
                world.excuse(EVERY, *UNHEARD)
                world.stops.add("PrepareFailed")
            return lines[len(lines) - min(len(lines), self.kept) :]

        world.operator.rotated = rotated
