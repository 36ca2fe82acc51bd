"""The status: always valid, always consistent, and facts only ever grow."""

from typing import Any

from tests.simulation.invariants import Obj, Sentences, on_status
from tests.simulation.schema import problems
from tests.simulation.world import World

CONDITIONS = ("Finished", "Succeeded", "Reconciling", "Stalled", "ResultsAvailable", "Comparable")
OVER = ("Succeeded", "Failed", "Skipped", "Cancelled")
ATTEMPTS_KEPT = 5


@on_status
def status_fits_the_schema(_: World, before: Obj, after: Obj) -> Sentences:
    status = dict(after["status"])
    if status.get("points") == before["status"].get("points"):
        status.pop("points", None)  # they fitted
    yield from problems(status)


@on_status
def a_write_changes_something(_: World, before: Obj, after: Obj) -> Sentences:
    if before["status"] == after["status"]:
        yield "the status was written though nothing in it has changed"


@on_status
def all_conditions_are_there(_: World, __: Obj, after: Obj) -> Sentences:
    found = [c["type"] for c in after["status"].get("conditions") or ()]
    if missing := [name for name in CONDITIONS if name not in found]:
        yield f"missing: {missing}"
    if len(found) != len(set(found)):
        yield f"twice: {found}"


@on_status
def generation_is_observed(_: World, before: Obj, after: Obj) -> Sentences:
    status, old = after["status"], before["status"]
    now = status.get("observedGeneration", -1)
    if now < old.get("observedGeneration", -1):
        yield f"observedGeneration fell from {old.get('observedGeneration')} to {now}"
    if now != before["metadata"]["generation"]:
        yield f"observedGeneration {now} is written over generation {before['metadata']['generation']}"
    for condition in status.get("conditions") or ():
        if condition.get("observedGeneration") != now:
            yield f"condition {condition['type']} lags: {condition.get('observedGeneration')}, not {now}"


@on_status
def times_are_set_once(_: World, before: Obj, after: Obj) -> Sentences:
    for name in ("startTime", "completionTime"):
        old, new = before["status"].get(name), after["status"].get(name)
        if old is not None and old != new:
            yield f"{name} changed from {old} to {new}"
    if (after["status"].get("completionTime") is not None) != (truth(after, "Finished") == "True"):
        yield "completionTime and Finished must come together"
    if after["status"].get("startTime") is None:
        yield "no startTime"


@on_status
def a_transition_time_moves_with_its_status(_: World, before: Obj, after: Obj) -> Sentences:
    old = {c["type"]: c for c in before["status"].get("conditions") or ()}
    for new in after["status"].get("conditions") or ():
        was = old.get(new["type"])
        if (
            was is not None
            and was["status"] == new["status"]
            and was["lastTransitionTime"] != new["lastTransitionTime"]
        ):
            yield f"{new['type']} stayed {new['status']}, and its lastTransitionTime moved"


@on_status
def the_end_is_the_end(_: World, before: Obj, after: Obj) -> Sentences:
    if truth(before, "Finished") != "True":
        return
    for name in ("phase", "message", "targets", "points", "summary", "results", "progress", "placement"):
        if before["status"].get(name) != after["status"].get(name):
            yield f"{name} changed after the run had finished"
    for name in CONDITIONS:
        if (truth(before, name), reason(before, name)) != (truth(after, name), reason(after, name)):
            yield f"condition {name} changed after the run had finished"


@on_status
def conditions_agree(_: World, __: Obj, after: Obj) -> Sentences:
    finished, succeeded = truth(after, "Finished") == "True", truth(after, "Succeeded")
    if (truth(after, "Reconciling") == "True") is finished:
        yield "Reconciling must be True exactly until Finished is"
    if (succeeded == "Unknown") is finished:
        yield f"Succeeded is {succeeded} with Finished={finished}"
    stalled = finished and succeeded != "True" and reason(after, "Succeeded") != "Cancelled"
    if (truth(after, "Stalled") == "True") is not stalled:
        yield f"Stalled is {truth(after, 'Stalled')} with Finished={finished}, Succeeded={succeeded}"
    if (truth(after, "ResultsAvailable") == "True") is not bool(after["status"].get("points")):
        yield "ResultsAvailable must be True exactly from the first stored point"


@on_status
def phase_agrees(_: World, before: Obj, after: Obj) -> Sentences:
    phase, finished = after["status"].get("phase"), truth(after, "Finished") == "True"
    if finished:
        wanted = "Completed" if truth(after, "Succeeded") == "True" else "Failed"
        wanted = "Cancelled" if reason(after, "Succeeded") == "Cancelled" else wanted
        if phase != wanted:
            yield f"phase is {phase}, not {wanted}"
    elif phase not in ("Pending", "Queued", "Running", "Suspended"):
        yield f"phase is {phase} before the end"
    if phase == "Suspended" and not before["spec"].get("suspend"):
        yield "phase is Suspended, spec.suspend is not set"
    if not finished and not after["status"].get("message"):
        yield "no message says what is happening"


@on_status
def progress_adds_up(_: World, __: Obj, after: Obj) -> Sentences:
    status = after["status"]
    progress, targets = status["progress"], status.get("targets") or ()
    done = len({(p["target"], p["index"], p.get("repeat", 0)) for p in current(status)})
    if progress["pointsDone"] != done or done > progress["pointsTotal"]:
        yield f"progress says {progress}, there are {done} points"
    if progress["targetsDone"] != sum(1 for target in targets if target["phase"] in OVER):
        yield f"progress says {progress}, targets are {[t['phase'] for t in targets]}"


@on_status
def attempts_only_grow(_: World, before: Obj, after: Obj) -> Sentences:
    old = {target["name"]: target.get("attempts") or [] for target in before["status"].get("targets") or ()}
    for target in after["status"].get("targets") or ():
        attempts = target.get("attempts") or []
        numbers = [attempt["number"] for attempt in attempts]
        if numbers != sorted(set(numbers)) or len(numbers) > ATTEMPTS_KEPT:
            yield f"{target['name']}: attempts {numbers}"
        if any("endTime" not in attempt for attempt in attempts[:-1]):
            yield f"{target['name']}: an attempt is open beside a newer one"
        known = {attempt["number"]: attempt for attempt in attempts}
        for was in old.get(target["name"], []):
            is_ = known.get(was["number"])
            if is_ is None and was["number"] > max(numbers, default=0) - ATTEMPTS_KEPT:
                yield f"{target['name']}: attempt {was['number']} is gone"
            for fact in ("startTime", "endTime", "podUID", "fingerprint", "reason"):
                if is_ is not None and fact in was and was[fact] != is_.get(fact):
                    yield f"{target['name']}: {fact} of attempt {was['number']} changed from {was[fact]} to {is_.get(fact)}"


@on_status
def one_attempt_is_open(_: World, __: Obj, after: Obj) -> Sentences:
    open_ = [
        target["name"]
        for target in after["status"].get("targets") or ()
        for attempt in target.get("attempts") or ()
        if "endTime" not in attempt
    ]
    if len(open_) > 1 or (open_ and truth(after, "Finished") == "True"):
        yield f"open attempts of {open_}"


@on_status
def ended_targets_stay_ended(_: World, before: Obj, after: Obj) -> Sentences:
    old = {target["name"]: target["phase"] for target in before["status"].get("targets") or ()}
    for target in after["status"].get("targets") or ():
        was = old.get(target["name"])
        if was in ("Succeeded", "Failed") and target["phase"] != was:
            yield f"{target['name']} was {was} and is {target['phase']}"
        if target["phase"] == "Failed" and not target.get("message"):
            yield f"{target['name']} failed without a word"


def truth(run: Obj, name: str) -> str:
    """The status of a condition of the run."""
    return str(_condition(run, name).get("status", ""))


def reason(run: Obj, name: str) -> str:
    return str(_condition(run, name).get("reason", ""))


def _condition(run: Obj, name: str) -> Obj:
    for condition in run["status"].get("conditions") or ():
        if condition["type"] == name:
            found: Obj = condition
            return found
    return {}


def measured(status: Obj) -> list[dict[str, Any]]:
    """The points with figures."""
    return [point for point in status.get("points") or () if point["validity"] != "Skipped"]


def current(status: Obj) -> list[dict[str, Any]]:
    """The points that count."""
    return [point for point in status.get("points") or () if point["validity"] != "Superseded"]
