"""Fetches: models are on their claims before any engine asks for a GPU, and nothing of ours holds a volume by then."""

from enginebench.cluster import labels
from tests.simulation.invariants import Obj, Sentences, on_created
from tests.simulation.scheduler import requests
from tests.simulation.store import Item
from tests.simulation.world import World

GPU = "nvidia.com/gpu"


@on_created
def no_engine_before_its_model(world: World, item: Item) -> Sentences:
    """Every fetch of the run has ended by then, that of this engine's model well, and no fetch pod is there."""
    run = world.cluster.run_of(item)
    if run is None or item.kind != "Pod" or item.labels.get(labels.ROLE) != "engine":
        return
    claim, status = _claim(item.obj["spec"]), run.obj["status"].get("targets") or ()
    fetches: dict[str, Obj] = {t["name"]: t["modelFetch"] for t in status if "modelFetch" in t}
    open_ = [name for name, fetch in fetches.items() if "endTime" not in fetch]
    if open_:
        yield f"{item} is created while the models of {open_} are fetched"
    target = item.labels[labels.TARGET]
    said = next(t for t in world.scenario.spec["targets"] if t["name"] == target)
    wanted = [t for t in world.scenario.spec["targets"] if _model(t) == _model(said)]
    if (
        claim
        and "simulated" not in said
        and not any(fetches.get(t["name"], {}).get("reason") == "Completed" for t in wanted)
    ):
        yield f"{item} is created, and its model was not fetched: {fetches}"
    for pod in world.store.all("Pod"):
        mine = pod.labels.get(labels.RUN_UID) == item.labels.get(labels.RUN_UID)
        lost = pod.node in world.cluster.around.unreachable or pod.obj["metadata"].get("finalizers")
        if mine and pod.labels.get(labels.ROLE) == "fetch" and not lost:
            yield f"{item} is created while {pod} may hold a volume"


@on_created
def a_fetch_asks_for_no_gpu_and_runs_alone(world: World, item: Item) -> Sentences:
    if item.kind != "Pod" or item.labels.get(labels.ROLE) != "fetch":
        return
    if GPU in requests(item.obj["spec"]):
        yield f"{item} asks for a GPU"
    for pod in world.store.all("Pod"):
        same_run = pod.labels.get(labels.RUN_UID) == item.labels[labels.RUN_UID]
        engine = same_run and pod.labels.get(labels.ROLE) == "engine" and not pod.over
        if engine and pod.node not in world.cluster.around.unreachable:
            yield f"{item} is created beside {pod}"


def _model(target: Obj) -> tuple[str, str]:
    kind = next(kind for kind in ("vllm", "ollama", "simulated", "endpoint") if kind in target)
    return kind, target[kind].get("model", "")


def _claim(spec: Obj) -> str:
    claims = (
        v["persistentVolumeClaim"]["claimName"] for v in spec.get("volumes") or () if "persistentVolumeClaim" in v
    )
    return next(iter(claims), "")
