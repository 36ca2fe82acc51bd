"""Whose turn it is: the order in which targets get their engines.

Without repeats, or with `unit: Point`, each target has one turn. With `unit: Engine` each has one a repeat, and the
order goes to and fro (a b c, c b a, a b c, …): a drift over the day then weighs on all targets alike.
"""

from collections.abc import Iterator

from enginebench.api.resolve import repeats
from enginebench.api.v1alpha1 import BenchmarkRunSpec

Turn = tuple[int, int | None]
"""(place in spec.targets, repeat); repeat None: all of the target's points."""


def turns(spec: BenchmarkRunSpec) -> Iterator[Turn]:
    """All turns of the run, in order."""
    count, places = engine_starts(spec), range(len(spec.targets))
    if count == 1:
        yield from ((place, None) for place in places)
        return
    for repeat in range(count):
        yield from ((place, repeat) for place in (places if repeat % 2 == 0 else reversed(places)))


def engine_starts(spec: BenchmarkRunSpec) -> int:
    """How many times each target's engine is started, if nothing goes wrong."""
    said = repeats(spec)
    return said.count if said.unit == "Engine" else 1
