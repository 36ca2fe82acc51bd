"""Results: none lost, none invented, none counted twice, none measured again."""

from typing import Any

from enginebench.cluster import labels, payload
from enginebench.workflow.names import child_name
from enginebench.workflow.observed import Role
from tests.simulation.invariants import Obj, Sentences, at_end, at_finish, on_created, on_deleted, on_points
from tests.simulation.invariants.status import current, measured
from tests.simulation.programs.loadpod import read_plan
from tests.simulation.store import Item
from tests.simulation.world import World

ON_ITS_WAY = 5.0
"""Seconds until a line that was written is read."""


@on_points
def no_point_is_lost(_: World, before: Obj, after: Obj) -> Sentences:
    now = {key(point): point for point in after["status"].get("points") or ()}
    for point in measured(before["status"]):
        found = now.get(key(point))
        if found == point:
            continue
        if found is None:
            yield f"point {key(point)} has vanished from the status"
        elif _measured(found) != _measured(point):
            yield f"the figures of point {key(point)} have changed"
        elif point["validity"] == "Superseded" != found["validity"]:
            yield f"point {key(point)} was Superseded and counts again"


@on_points
def no_point_counts_twice(_: World, __: Obj, after: Obj) -> Sentences:
    places = [(p["target"], p["index"], p.get("repeat", 0)) for p in current(after["status"])]
    keys = [key(point) for point in after["status"].get("points") or ()]
    if len(places) != len(set(places)) or len(keys) != len(set(keys)):
        yield f"points {sorted(keys)}, of which count {sorted(places)}"


@on_points
def what_the_status_tells_is_durable(world: World, before: Obj, after: Obj) -> Sentences:
    known = {key(point) for point in measured(before["status"])}
    for point in measured(after["status"]):
        if key(point) not in known:
            yield from _stored(world, after, point)


def _stored(world: World, run: Obj, point: Obj) -> Sentences:
    name = data_name(run, point)
    item = world.store.find("ConfigMap", run["metadata"]["namespace"], name)
    if item is None or item.owners != (run["metadata"]["uid"],):
        yield f"point {key(point)} is in the status, its ConfigMap {name} is not there"
        return
    stored = payload.unpacked(item.obj)
    if stored is None:
        yield f"{item} cannot be read"
        return
    place = (run["metadata"]["uid"], *key(point)[:3])
    truths = [s.payload for s in world.cluster.spoken if (s.run_uid, s.target, s.attempt, s.report.index) == place]
    if stored.payload not in truths:
        yield f"{item} holds what no load pod has said"
    if point.get("generator", "enginebench") != stored.report.generator:
        yield f"point {key(point)} hides that {stored.report.generator} has measured it"
    requests, said = point.get("requests", {}), stored.report.requests
    if (requests.get("succeeded"), requests.get("errored")) != (said.succeeded, said.errored):
        yield f"point {key(point)} says {requests}, its data {said}"


@on_created
def nothing_is_measured_again(world: World, item: Item) -> Sentences:
    """A plan asks only for what no earlier attempt has measured."""
    run = world.cluster.run_of(item)
    if run is None or item.labels.get(labels.ROLE) != "plan" or not item.labels.get(labels.TARGET):
        return
    plan = read_plan(item.obj["data"]["plan.json"])
    counted = {p["index"] for p in current(run.obj["status"]) if p["target"] == plan.target}
    if again := sorted(counted & {point.index for point in plan.points}):
        yield f"{item} asks for points {again}, which are collected"
    if not plan.points and plan.task == "load":
        yield f"{item} asks for nothing"


@on_deleted
def results_stay(world: World, item: Item) -> Sentences:
    if item.labels.get(labels.ROLE) == "data" and world.by_operator:
        yield f"{item} was deleted by the operator"


@at_end
def every_stored_point_is_told(world: World) -> Sentences:
    """What lies in a ConfigMap stands in the status: no crash in between loses it for the reader."""
    for item in world.store.all("ConfigMap"):
        run = world.cluster.run_of(item)
        if item.labels.get(labels.ROLE) != "data" or run is None:
            continue
        if item.name not in {data_name(run.obj, point) for point in measured(run.obj["status"])}:
            yield f"{item} is told of nowhere"


@at_finish
def every_measured_point_is_stored(world: World, run: Obj) -> Sentences:
    """What a load pod has measured is in the status, unless its log or the pod was taken away meanwhile."""
    faults = world.scenario.faults
    if any(fault.deafens for fault in faults) and (world.losses or any(fault.disrupts for fault in faults)):
        return
    until = min(world.losses, default=float("inf")) - ON_ITS_WAY
    told = {key(point)[:3] for point in measured(run["status"])}
    for spoken in world.cluster.spoken:
        mine = spoken.run_uid == run["metadata"]["uid"] and spoken.at < until
        if mine and (spoken.target, spoken.attempt, spoken.report.index) not in told:
            yield f"point {spoken.report.index} of {spoken.target}, attempt {spoken.attempt}, was measured and is lost"


def data_name(run: Obj, point: Obj) -> str:
    """The ConfigMap of a point."""
    meta = run["metadata"]
    return child_name(meta["name"], meta["uid"], Role.DATA, point["target"], point["attempt"], point["index"])


def key(point: dict[str, Any]) -> tuple[str, int, int, int]:
    return point["target"], point["attempt"], point["index"], point.get("repeat", 0)


def _measured(point: Obj) -> list[object]:
    return [
        point.get(name)
        for name in ("load", "requests", "requestsPerSecond", "outputTokensPerSecond", "ttftMilliseconds")
    ]
