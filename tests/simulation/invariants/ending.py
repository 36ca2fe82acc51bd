"""The end: it comes, it is right, and it leaves nothing behind."""

from enginebench.cluster import labels
from tests.simulation.faults.base import ANYTHING, EVERY
from tests.simulation.invariants import Obj, Sentences, at_end, at_finish
from tests.simulation.invariants.status import current, reason, truth
from tests.simulation.world import World

BY_TARGETS = ("Completed", "TargetsFailed", "NoUsablePoint")


@at_end
def every_run_ends(world: World) -> Sentences:
    for run in world.runs:
        if world.alive(run) and truth(run.obj, "Finished") != "True":
            yield f"{run} is not finished after {world.timeline.now:.0f} s: {run.obj['status'].get('message')}"


@at_end
def nothing_is_left_behind(world: World) -> Sentences:
    """But the runs and their data; of a run that is gone, nothing at all."""
    for item in world.store.everything():
        role = item.labels.get(labels.ROLE)
        kept = role == "data" and world.cluster.run_of(item) is not None
        lost = item.kind == "Pod" and item.node in world.cluster.around.unreachable and item.deleting
        if role is not None and not kept and not lost:
            yield f"{item} is left ({item.phase or 'there'}{', deleting' if item.deleting else ''})"


@at_end
def generation_is_observed_at_the_end(world: World) -> Sentences:
    for run in world.runs:
        generation, observed = run.obj["metadata"]["generation"], run.obj["status"].get("observedGeneration")
        if world.alive(run) and not run.deleting and generation != observed:
            yield f"{run} has generation {generation}, observed is {observed}"


@at_end
def the_operator_made_no_mistakes(world: World) -> Sentences:
    yield from world.cluster.oddities
    for operator in world.operators:
        yield from operator.errors


@at_finish
def the_verdict_is_right(world: World, run: Obj) -> Sentences:
    status, why = run["status"], reason(run, "Succeeded")
    if why in world.stops or ANYTHING in world.stops:
        return
    if why not in BY_TARGETS:
        yield f"the run ended with {why}: {status.get('message')}"
        return
    for target in status["targets"]:
        yield from _target(world, status, target)
    failed = [target["name"] for target in status["targets"] if target["phase"] != "Succeeded"]
    if (truth(run, "Succeeded") == "True") is not (not failed) or (why == "Completed") is not (not failed):
        yield f"Succeeded is {truth(run, 'Succeeded')} ({why}), failed are {failed}"


def _target(world: World, status: Obj, target: Obj) -> Sentences:
    name, phase = target["name"], target["phase"]
    mine = [point for point in current(status) if point["target"] == name]
    doomed, excused = world.dooms[name], world.excuses[name] | world.excuses[EVERY] | world.dooms[name]
    why = (target.get("attempts") or [{}])[-1].get("reason", "")
    if phase == "Succeeded":
        if doomed:
            yield f"{name} succeeded, it should have failed with {sorted(doomed)}"
        if sorted(point["index"] for point in mine) != list(range(world.scenario.points_of_target)):
            yield f"{name} succeeded with points {sorted(point['index'] for point in mine)}"
        if not any(usable(point) for point in mine):
            yield f"{name} succeeded without a usable point"
        if any(point["validity"] == "Skipped" for point in mine) and "skipped" not in target["message"]:
            yield f"{name} does not say that points were skipped"
    elif phase == "Failed":
        told = (target.get("message") or "").partition(":")[0]
        if not {why, told} & excused:
            yield f"{name} failed with {why} ({target.get('message')}); excused are {sorted(excused)}"
    else:
        yield f"{name} ended as {phase}: {target.get('message')}"


def usable(point: Obj) -> bool:
    """As measurement.md has it."""
    answered: bool = point.get("requests", {}).get("succeeded", 0) > 0 or point.get("requestsPerSecond", 0) > 0
    return point["validity"] == "Valid" or (point["validity"] == "Limited" and answered)
