"""Runs with a queue's label: their engines wait in it, and nothing waits with them."""

from enginebench.cluster import labels
from enginebench.workflow.kueue import QUEUE
from tests.simulation.invariants import Obj, Sentences, on_created, on_status
from tests.simulation.store import Item
from tests.simulation.world import World


@on_created
def engines_bear_the_label_and_load_pods_do_not(world: World, item: Item) -> Sentences:
    role, asked = item.labels.get(labels.ROLE), QUEUE in item.labels
    if item.kind == "Pod" and role is not None and asked is not (role == "engine" and bool(world.scenario.queue)):
        yield f"{item} of a run {'with' if world.scenario.queue else 'without'} a queue has the labels {item.labels}"


@on_created
def a_load_job_comes_when_its_engine_is_admitted(world: World, item: Item) -> Sentences:
    target = item.labels.get(labels.TARGET, "")
    loads = item.kind == "Job" and item.labels.get(labels.ROLE) == "load"
    if not loads or not world.scenario.queue or target not in world.scenario.engines:
        return
    same = (labels.RUN_UID, labels.TARGET, labels.ATTEMPT)
    mine = [
        pod
        for pod in world.store.all("Pod")
        if pod.labels.get(labels.ROLE) == "engine" and all(pod.labels.get(k) == item.labels.get(k) for k in same)
    ]
    if not mine and not world.losses and not world.operators[1:] and not world.scenario.faults:
        yield f"{item} was created before its engine"
    if any(QUEUE_GATE in str(pod.obj["spec"].get("schedulingGates")) for pod in mine):
        yield f"{item} was created though its engine is not admitted"


@on_status
def the_deadline_stands_still_while_an_engine_is_queued(world: World, _: Obj, after: Obj) -> Sentences:
    """The phase is read off the same pass."""
    status = after["status"]
    queued = any(t.get("phase") == "Queued" for t in status.get("targets") or ())
    if queued and "since" in (status.get("active") or {}):
        yield f"the clock runs: {status['active']}"


QUEUE_GATE = "kueue.x-k8s.io/admission"
