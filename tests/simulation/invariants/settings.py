"""Settings: what a target ran with is told alike by its condition, by its points and by its end."""

from tests.simulation.faults.engines import FewerSlots
from tests.simulation.invariants import Obj, Sentences, at_finish, on_points, on_status
from tests.simulation.invariants.status import current, measured
from tests.simulation.world import World

REASON = "SettingsNotInForce"


@on_status
def points_and_condition_agree(_: World, __: Obj, after: Obj) -> Sentences:
    for target in after["status"].get("targets") or ():
        newest = (target.get("attempts") or [{}])[-1].get("number")
        unlike = in_force(target) == "False"
        for point in measured(after["status"]):
            mine = (point["target"], point["attempt"]) == (target["name"], newest)
            if mine and unlike is not (REASON in point.get("reasons", ())):
                yield f"{target['name']}: {point['index']} has {point.get('reasons')}, SettingsInForce is {in_force(target)}"


@on_points
def a_point_stays_marked(_: World, before: Obj, after: Obj) -> Sentences:
    now = {(p["target"], p["attempt"], p["index"]): p for p in measured(after["status"])}
    for point in measured(before["status"]):
        found = now.get((point["target"], point["attempt"], point["index"]), point)
        if REASON in point.get("reasons", ()) and REASON not in found.get("reasons", ()):
            yield f"{point['target']}: point {point['index']} is no longer {REASON}"


@on_points
def a_marked_point_counts_for_nothing(_: World, __: Obj, after: Obj) -> Sentences:
    for point in current(after["status"]):
        if REASON in point.get("reasons", ()) and point["validity"] != "Invalid":
            yield f"{point['target']}: point {point['index']} is {point['validity']} and {REASON}"


@at_finish
def other_settings_are_seen(world: World, run: Obj) -> Sentences:
    """Where nothing else went wrong, the log was read."""
    faults = world.scenario.faults
    if len(faults) != 1 or not isinstance(faults[0], FewerSlots):
        return
    for target in run["status"]["targets"]:
        why = (target.get("attempts") or [{}])[-1].get("reason")
        if (why == REASON) is not (target["name"] == faults[0].target):
            yield f"{target['name']} ended with {why}"


def in_force(target: Obj) -> str:
    return next((str(c["status"]) for c in target.get("conditions") or () if c["type"] == "SettingsInForce"), "")
