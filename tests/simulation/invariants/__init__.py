"""What must hold, whatever goes wrong. A new invariant is one function under one of the decorators.

Each yields a sentence for every breach that it sees.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.store import Item
    from tests.simulation.world import World

Obj = dict[str, Any]
Sentences = Iterator[str]
OnStatus = Callable[["World", Obj, Obj], Sentences]
OnItem = Callable[["World", "Item"], Sentences]
AtFinish = Callable[["World", Obj], Sentences]
AtEnd = Callable[["World"], Sentences]

ON_STATUS: list[OnStatus] = []
ON_POINTS: list[OnStatus] = []
ON_CREATED: list[OnItem] = []
ON_DELETED: list[OnItem] = []
AT_FINISH: list[AtFinish] = []
AT_END: list[AtEnd] = []


def on_status(check: OnStatus) -> OnStatus:
    """Looks at the run's status before and after each write of the operator."""
    ON_STATUS.append(check)
    return check


def on_points(check: OnStatus) -> OnStatus:
    """As `on_status`, of writes that change the points: it looks at nothing else in the status."""
    ON_POINTS.append(check)
    return check


def on_created(check: OnItem) -> OnItem:
    """Looks at each object as it comes into being."""
    ON_CREATED.append(check)
    return check


def on_deleted(check: OnItem) -> OnItem:
    """Looks at each object that was just asked to go, or has gone."""
    ON_DELETED.append(check)
    return check


def at_finish(check: AtFinish) -> AtFinish:
    """Looks at a run when the operator has just written Finished=True."""
    AT_FINISH.append(check)
    return check


def at_end(check: AtEnd) -> AtEnd:
    """Looks at the world when the run has finished and all is quiet."""
    AT_END.append(check)
    return check


def watch(world: "World") -> None:
    """Have every check look at what concerns it; breaches are told to the world."""
    from tests.simulation.invariants import (  # noqa: F401 - they register themselves
        children,
        ending,
        fetches,
        points,
        queues,
        settings,
        skipped,
        status,
        turns,
    )

    def wrote(before: Obj, after: Obj) -> None:
        same = before["status"].get("points") == after["status"].get("points")
        for check in ON_STATUS if same else (*ON_STATUS, *ON_POINTS):
            for sentence in check(world, before, after):
                world.violated(f"{check.__name__}: {sentence}")
        if status.truth(before, "Finished") != "True" and status.truth(after, "Finished") == "True":
            world.finish(after)
            for judge_of_end in AT_FINISH:
                for sentence in judge_of_end(world, after):
                    world.violated(f"{judge_of_end.__name__}: {sentence}")

    def changed(change: str, item: "Item") -> None:
        for check in ON_CREATED if change == "added" else ON_DELETED if change == "deleted" or item.deleting else ():
            for sentence in check(world, item):
                world.violated(f"{check.__name__}: {sentence}")

    world.cluster.api.wrote_status.append(wrote)
    world.store.watch(changed)


def judge(world: "World") -> None:
    """The checks of the end."""
    for check in AT_END:
        for sentence in check(world):
            world.violated(f"{check.__name__}: {sentence}")
