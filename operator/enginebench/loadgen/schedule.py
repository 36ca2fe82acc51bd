"""When the requests of an open loop are due: decided beforehand, whatever the engine does.

Both kinds follow N(t), the requests that are due by `t` seconds: the rate grows evenly over the ramp, and is constant
from then on. Constant: request k is due when N reaches k. Poisson: the unit-rate process with exponential gaps is
carried over by the inverse of N (the time-change theorem: E. Cinlar, Introduction to Stochastic Processes, 1975, 4.7).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Literal

Arrival = Literal["Constant", "Poisson"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The arrivals of one load point, or of one process' share of it."""

    rate: float
    """Requests a second, of all shares together."""
    arrival: Arrival
    seed: str
    """Poisson: the same seed gives the same moments on every machine."""
    share: int = 0
    shares: int = 1

    def moments(self, ramp_seconds: float) -> Iterator[float]:
        """Seconds after the start, growing, without end. Constant shares interleave; Poisson ones are independent."""
        in_ramp = self.rate * ramp_seconds / 2

        def inverse(due: float) -> float:
            if due < in_ramp:
                return math.sqrt(2 * ramp_seconds * due / self.rate)
            return ramp_seconds / 2 + due / self.rate

        return map(inverse, self._constant() if self.arrival == "Constant" else self._poisson())

    def _constant(self) -> Iterator[float]:
        return map(float, count(self.share, self.shares))

    def _poisson(self) -> Iterator[float]:
        random = Random(f"{self.seed}/{self.share}/{self.shares}")  # noqa: S311  # to be repeated, not to be secret
        due = 0.0
        while True:
            due -= math.log(1 - random.random()) * self.shares
            yield due
