"""What brings a target's model onto its claim before the engine asks for a GPU: a Job, and the plan that it follows."""

from enginebench.api import loadplan, resolve
from enginebench.api.fetching import claim_of, fetch_plan
from enginebench.api.loadplan import DatasetPlan, LoadPlan, RequestPlan
from enginebench.api.v1alpha1 import BenchmarkRunSpec, Target
from enginebench.cluster import labels
from enginebench.cluster.api import Obj
from enginebench.engines import fetch_pod
from enginebench.engines.base import Platform
from enginebench.engines.registry import engine_of
from enginebench.workflow.names import child_name
from enginebench.workflow.observed import Observed, Role
from enginebench.workflow.plan import Create

REQUESTS = {"cpu": "100m", "memory": "128Mi"}
"""Of our own container beside an engine's server: it asks, and listens."""


def plan(seen: Observed, spec: BenchmarkRunSpec, create: Create, target: Target) -> Obj:
    """The ConfigMap with the plan, and with the programs where they run in the engine's image."""
    limits, engine = resolve.timeouts(spec), engine_of(target)
    said = LoadPlan(
        run_uid=seen.uid,
        target=create.target,
        attempt=create.attempt,
        task="fetch",
        fetch=fetch_plan(target),
        url=f"http://127.0.0.1:{engine.port(target)}" if engine.fetches == "Server" else "",
        dialect=resolve.dialect(target),
        model=target.model,
        claim=claim_of(spec, target),
        dataset=DatasetPlan(),
        request=RequestPlan(max_output_tokens=1),
        pull_without_tls=target.pulled_without_tls,
        model_download_seconds=limits.model_download_seconds,
        model_download_stall_seconds=limits.model_download_stall_seconds,
        startup_seconds=limits.startup_seconds,
    )
    programs = fetch_pod.programs() if engine.fetches == "Hub" else {}
    data = {**programs, loadplan.PLAN_FILE: loadplan.encode(said).decode()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "immutable": True, "data": data}


def job(seen: Observed, spec: BenchmarkRunSpec, create: Create, target: Target, platform: Platform) -> Obj:
    """The Job. No GPU; the engine's image, variables, volumes and node."""
    own = labels.labels(run=seen.name, run_uid=seen.uid, role=Role.FETCH, target=create.target, attempt=create.attempt)
    ours: Obj = {
        "name": labels.LOAD_CONTAINER,
        "image": platform.image,
        "args": ["loadgen", "--plan", f"{loadplan.PLAN_FOLDER}/{loadplan.PLAN_FILE}"],
        "resources": {"requests": dict(REQUESTS)},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": fetch_pod.PLAN_VOLUME, "mountPath": loadplan.PLAN_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  # an emptyDir
        ],
    }
    if platform.image_pull_policy:
        ours["imagePullPolicy"] = platform.image_pull_policy
    name = child_name(seen.name, seen.uid, Role.FETCH_PLAN, create.target, create.attempt)
    pod = fetch_pod.fetch_pod(spec, target, platform, ours, name, node=create.node, gpu_product=create.gpu_product)
    pod["metadata"]["labels"] |= own
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {
            "completionMode": "Indexed",
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,  # one that was cut off begins again as a new Job
            "podReplacementPolicy": "Failed",
            "template": {"metadata": pod["metadata"], "spec": pod["spec"]},
        },
    }
