"""Repeats: each engine serves one, and the targets' order goes to and fro."""

from tests.simulation.invariants import Obj, Sentences, on_created, on_points, on_status
from tests.simulation.invariants.ending import usable
from tests.simulation.invariants.status import current
from tests.simulation.programs.loadpod import read_plan
from tests.simulation.store import Item
from tests.simulation.world import World

FAILED = ("Failed", "Cancelled")


@on_created
def a_plan_is_of_its_turn(world: World, item: Item) -> Sentences:
    """It asks for points of one repeat, which every target before it has measured and none after it has begun."""
    run = world.cluster.run_of(item)
    if run is None or item.kind != "ConfigMap" or "plan.json" not in (item.obj.get("data") or {}):
        return
    plan, scenario = read_plan(item.obj["data"]["plan.json"]), world.scenario
    asked = {point.repeat for point in plan.points}
    if scenario.engine_starts == 1 or plan.task != "load":
        return
    if len(asked) != 1:
        yield f"{item} asks for repeats {sorted(asked)}"
        return
    (repeat,) = asked
    order = list(scenario.targets) if repeat % 2 == 0 else list(reversed(scenario.targets))
    place = order.index(plan.target)
    for other in order[:place]:
        if not _over(run.obj, other) and _measured(run.obj, other, repeat) < len(scenario.levels):
            yield f"{item} begins repeat {repeat} of {plan.target} before that of {other} is done"
    for other in order[place + 1 :]:
        if _measured(run.obj, other, repeat):
            yield f"{item} begins repeat {repeat} of {plan.target} after that of {other}"


@on_points
def an_engine_serves_one_repeat(world: World, _: Obj, after: Obj) -> Sentences:
    if world.scenario.engine_starts == 1:
        return
    served: dict[tuple[str, int], set[int]] = {}
    for point in after["status"].get("points") or ():
        served.setdefault((point["target"], point["attempt"]), set()).add(point["repeat"])
    for (target, attempt), repeats in served.items():
        if len(repeats) > 1:
            yield f"attempt {attempt} of {target} served repeats {sorted(repeats)}"


@on_status
def means_rest_on_the_usable_points(world: World, _: Obj, after: Obj) -> Sentences:
    if world.scenario.repeats == 1:
        return
    for target in after["status"].get("targets") or ():
        mine = [p for p in current(after["status"]) if p["target"] == target["name"]]
        for load in (target.get("repeats") or {}).get("loads") or ():
            rates = [p["outputTokensPerSecond"] for p in mine if p["load"] == load["load"] and usable(p)]
            found = load["outputTokensPerSecond"]
            if len(rates) != load["count"] or abs(found["mean"] * len(rates) - sum(rates)) > 0.001 * sum(rates):
                yield f"{target['name']}: {load} over {rates}"
            if ("low" in found) != (len(rates) > 2) or not found.get("low", 0) <= max(rates):
                yield f"{target['name']}: interval {found} over {len(rates)} repeats"


def _over(run: Obj, target: str) -> bool:
    known: Obj = next((t for t in run["status"].get("targets") or () if t["name"] == target), {})
    return known.get("phase") in FAILED


def _measured(run: Obj, target: str, repeat: int) -> int:
    return sum(1 for p in current(run["status"]) if p["target"] == target and p.get("repeat") == repeat)
