"""Children: one engine at a time, nothing created or deleted of which the status does not know."""

from enginebench.cluster import labels
from tests.simulation.invariants import Obj, Sentences, on_created, on_deleted
from tests.simulation.store import Item
from tests.simulation.world import World, is_true

ROLES = ("engine", "service", "plan", "load", "load-service", "fetch-plan", "fetch", "data")
OF_JOBS = ("load", "fetch")
FETCHES = ("fetch-plan", "fetch")


@on_created
def one_engine_at_a_time(world: World, item: Item) -> Sentences:
    if item.kind != "Pod" or item.labels.get(labels.ROLE) != "engine":
        return
    for other in world.store.all("Pod"):
        same_run = other.labels.get(labels.RUN_UID) == item.labels[labels.RUN_UID]
        if other is item or not same_run or other.labels.get(labels.ROLE) != "engine":
            continue
        never_ran = other.deleting and not other.node
        if not other.over and not never_ran and other.node not in world.cluster.around.unreachable:
            yield f"{item} is created while {other} may hold the GPU"


@on_created
def an_attempt_is_in_the_status_first(world: World, item: Item) -> Sentences:
    run = world.cluster.run_of(item)
    target, role = item.labels.get(labels.TARGET, ""), item.labels.get(labels.ROLE)
    if run is None or not target or role in (None, "data") or (item.kind == "Pod" and role in OF_JOBS):
        return
    known: Obj = next((t for t in run.obj["status"].get("targets") or () if t["name"] == target), {})
    if role in FETCHES:
        fetch: Obj = known.get("modelFetch") or {}
        if "endTime" in fetch or fetch.get("number") != int(item.labels[labels.ATTEMPT]):
            yield f"{item} is of fetch {item.labels[labels.ATTEMPT]}, the status has {fetch} open"
        return
    open_ = [a["number"] for a in known.get("attempts") or () if "endTime" not in a]
    if int(item.labels[labels.ATTEMPT]) not in open_:
        yield f"{item} is of attempt {item.labels[labels.ATTEMPT]}, the status has {open_} open"


@on_created
def a_finished_run_creates_nothing(world: World, item: Item) -> Sentences:
    run = world.cluster.run_of(item)
    if run is not None and item.kind != "Event" and item.labels.get(labels.ROLE) and is_true(run, "Finished"):
        yield f"{item} is created for a finished run"


@on_created
def a_child_is_owned_and_labelled(world: World, item: Item) -> Sentences:
    if item.labels.get(labels.ROLE) is None or (item.kind == "Pod" and item.labels[labels.ROLE] in OF_JOBS):
        return
    owners = item.obj["metadata"].get("ownerReferences") or []
    if len(owners) != 1 or not owners[0].get("controller") or owners[0].get("blockOwnerDeletion") is not False:
        yield f"{item} has owners {owners}"
    elif owners[0]["uid"] != item.labels.get(labels.RUN_UID):
        yield f"{item} is owned by another run than it is labelled with"
    if item.labels[labels.ROLE] not in ROLES:
        yield f"{item} has role {item.labels[labels.ROLE]}"


@on_deleted
def the_load_goes_before_its_engine(world: World, item: Item) -> Sentences:
    """A load pod that is still measuring is not robbed of its engine by us before it was told to end."""
    if item.kind != "Pod" or item.labels.get(labels.ROLE) != "engine" or item.over or not world.by_operator:
        return
    for pod in world.store.all("Pod"):
        mine = pod.labels.get(labels.ROLE) == "load" and _place(pod) == _place(item)
        told = pod.deleting or world.store.of_uid(pod.owners[0]) is None if mine else True
        if not told and pod.phase == "Running" and pod.uid in world.cluster.measuring:
            yield f"{item} is deleted while {pod} measures"


def _place(pod: Item) -> tuple[str | None, ...]:
    """Run, target and attempt of a pod."""
    return tuple(pod.labels.get(name) for name in (labels.RUN_UID, labels.TARGET, labels.ATTEMPT))
