"""Skipped points: only what may be skipped, only after lower loads have shown enough, and then every higher one."""

from tests.simulation.invariants import Obj, Sentences, on_created, on_points
from tests.simulation.invariants.status import current
from tests.simulation.programs.loadpod import read_plan
from tests.simulation.store import Item
from tests.simulation.world import World

SAID_OF_SKIPPED = {"target", "attempt", "index", "repeat", "load", "validity", "reasons", "message"}


@on_points
def skipped_points_have_a_reason_and_no_figures(world: World, _: Obj, after: Obj) -> Sentences:
    for point in after["status"].get("points") or ():
        if point["validity"] != "Skipped":
            continue
        if more := set(point) - SAID_OF_SKIPPED:
            yield f"{_named(point)} is skipped and has {sorted(more)}"
        wanted = {"StoppedErrorRate": "errorRatePercent", "StoppedSaturated": "saturated"}
        (reason,) = point["reasons"]
        if not world.scenario.stop_when.get(wanted.get(reason, "")) or not point.get("message"):
            yield f"{_named(point)} is skipped for {reason}: {point.get('message')}"


@on_points
def lower_loads_before_it_have_shown_enough(world: World, _: Obj, after: Obj) -> Sentences:
    points = current(after["status"])
    for point in points:
        if point["validity"] != "Skipped":
            continue
        lower = [p for p in _repeat_of(point, points) if p["index"] < point["index"] and load(p) < load(point)]
        found = [p for p in lower if p["validity"] != "Skipped"]
        failing = max((_failed_percent(p) for p in found), default=0.0)
        bound = world.scenario.stop_when.get("errorRatePercent", 1000)
        if point["reasons"] == ["StoppedErrorRate"] and failing < bound:
            yield f"{_named(point)} is skipped though at most {failing} % failed before"
        if point["reasons"] == ["StoppedSaturated"] and len(found) < len(("below", "at", "above")):
            yield f"{_named(point)} is skipped after {len(found)} lower loads"


@on_points
def nothing_above_a_skipped_point_is_measured_after_it(_: World, before: Obj, after: Obj) -> Sentences:
    """Unless an attempt had begun to measure it before: a point is skipped again where its row was lost."""
    points = current(after["status"])
    known = {_place(p) for p in before["status"].get("points") or () if p["validity"] != "Skipped"}
    for point in points:
        if point["validity"] != "Skipped":
            continue
        for other in _repeat_of(point, points):
            above = other["index"] > point["index"] and load(other) >= load(point)
            if above and other["validity"] != "Skipped" and _place(other) not in known:
                yield f"{_named(other)} is measured, the lower {_named(point)} before it is skipped"


@on_created
def no_plan_asks_for_a_skipped_point(world: World, item: Item) -> Sentences:
    run = world.cluster.run_of(item)
    if run is None or item.kind != "ConfigMap" or "plan.json" not in (item.obj.get("data") or {}):
        return
    plan = read_plan(item.obj["data"]["plan.json"])
    told = {p["index"] for p in current(run.obj["status"]) if p["target"] == plan.target and p["validity"] == "Skipped"}
    if asked := told & {point.index for point in plan.points}:
        yield f"{item} asks for points {sorted(asked)}, which are skipped"


def load(point: Obj) -> float:
    """Users, or requests a second."""
    found: float = point["load"].get("requestRate") or point["load"].get("concurrency") or 0
    return found


def _repeat_of(point: Obj, points: list[Obj]) -> list[Obj]:
    place = (point["target"], point.get("repeat"))
    return [other for other in points if (other["target"], other.get("repeat")) == place]


def _failed_percent(point: Obj) -> float:
    errored, succeeded = (point["requests"].get(name, 0) for name in ("errored", "succeeded"))
    return 100 * errored / (errored + succeeded) if errored + succeeded else 0.0


def _place(point: Obj) -> tuple[str, int, int]:
    return point["target"], point["attempt"], point["index"]


def _named(point: Obj) -> str:
    return f"point {point['index']} (load {load(point):g}) of {point['target']}, attempt {point['attempt']}"
