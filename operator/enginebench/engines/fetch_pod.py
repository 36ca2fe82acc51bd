"""The Pod that brings a target's model onto its claim: the engine's own Pod, but without a GPU and without an engine.

Made from the engine's Pod, so that variables, volumes, user and node are the same: what is fetched is what the engine
will find, where it will look for it.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from enginebench.api import loadplan
from enginebench.api.pod_resolve import resolve_pod
from enginebench.api.quantity import least
from enginebench.api.v1alpha1 import BenchmarkRunSpec, Target
from enginebench.engines.base import Platform
from enginebench.engines.manifest import Json, engine_pod
from enginebench.engines.registry import engine_of

ROOT = Path(__file__).parent.parent
PROGRAMS = {
    path.replace("/", "-"): path
    for path in (
        *("__init__.py", "fetcher/__init__.py", "results/__init__.py"),
        *("fetcher/hub.py", "fetcher/download.py", "fetcher/cache.py", "fetcher/digests.py"),
        *("results/lines.py", "results/transfer.py"),
    )
}
"""Key in the plan's ConfigMap → file of this package: all that runs in an engine's image."""
PLAN_VOLUME, PROGRAMS_VOLUME = "plan", "programs"
PROGRAMS_FOLDER = "/etc/enginebench-programs"
REQUESTS = {"cpu": "500m", "memory": "1Gi"}
"""Of a download, where the engine asks for no less."""
NO_GPU = {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}
"""Else the image asks NVIDIA's runtime for every GPU of the node."""
NEAR_GPUS_WEIGHT = 100
QUEUES = "kueue.x-k8s.io/"
"""Labels that have the engine wait for a quota of GPUs."""


@cache
def programs() -> Mapping[str, str]:
    """What the plan's ConfigMap holds beside the plan."""
    return {key: (ROOT / path).read_text() for key, path in PROGRAMS.items()}


def fetch_pod(
    spec: BenchmarkRunSpec,
    target: Target,
    platform: Platform,
    ours: Json,
    plan: str,
    *,
    node: str = "",
    gpu_product: str = "",
) -> Json:
    """The Pod, but for its name, labels of ours and owner. `ours`: the container of ours that follows the plan, which is
    in the ConfigMap `plan`.

    Where the engine's own server fetches, it runs beside `ours`; else a program of ours runs in the engine's image in
    the place of `ours`, under its name and with its mounts.
    """
    pod = engine_pod(spec, target, platform, node=node, gpu_product=gpu_product)
    settings, body = resolve_pod(spec, target), pod["spec"]
    engine: Json = body["containers"][0]
    for field in ("ports", "startupProbe", "readinessProbe"):
        engine.pop(field, None)
    limits = {key: value for key, value in settings.limits.items() if key != settings.gpu_resource}
    requests = {
        key: least(value, *(said[key] for said in (settings.requests, limits) if key in said))
        for key, value in REQUESTS.items()
    }
    engine["resources"] = {"requests": requests, **({"limits": limits} if limits else {})}
    engine["env"] = [entry for entry in engine["env"] if entry["name"] != NO_GPU["name"]] + [NO_GPU]
    if engine_of(target).fetches == "Server":
        body["initContainers"] = [{**engine, "restartPolicy": "Always"}]  # one that stays beside the others
        body["containers"] = [ours]
    else:
        body["containers"] = [_program(engine, ours)]
        items = [{"key": key, "path": f"enginebench/{path}"} for key, path in PROGRAMS.items()]
        body["volumes"].append({"name": PROGRAMS_VOLUME, "configMap": {"name": plan, "items": items}})
    body["volumes"].append({"name": PLAN_VOLUME, "configMap": {"name": plan}})
    pod["metadata"]["labels"] = {k: v for k, v in pod["metadata"]["labels"].items() if not k.startswith(QUEUES)}
    if settings.gpu_count:
        _near_gpus(body)
    return pod


RUN = (
    f"import runpy, sys; sys.path.append({PROGRAMS_FOLDER!r}); "
    "runpy.run_module('enginebench.fetcher.hub', run_name='__main__', alter_sys=True)"
)
"""Not by PYTHONPATH: an image may need its own."""


def _program(engine: Json, ours: Json) -> Json:
    programs_mount = {"name": PROGRAMS_VOLUME, "mountPath": PROGRAMS_FOLDER, "readOnly": True}
    plan_mount = [mount for mount in ours["volumeMounts"] if mount["name"] == PLAN_VOLUME]
    return {
        **engine,
        "name": ours["name"],
        "command": ["python3", "-c", RUN],
        "args": [f"{loadplan.PLAN_FOLDER}/{loadplan.PLAN_FILE}"],
        "volumeMounts": [*engine["volumeMounts"], *plan_mount, programs_mount],
    }


def _near_gpus(body: Json) -> None:
    """A claim that is bound where it is first used should be bound where GPUs are; a wish, as not every cluster labels
    its nodes."""
    nodes = body.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    wish = {"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]}
    nodes.setdefault("preferredDuringSchedulingIgnoredDuringExecution", []).append(
        {"weight": NEAR_GPUS_WEIGHT, "preference": {"matchExpressions": [wish]}}
    )
