"""The Pod of a target's engine: its template, and over it what the user says of the pod."""

import math
from typing import Any

from enginebench.api import resolve
from enginebench.api.pod_resolve import ResolvedPod, resolve_pod
from enginebench.api.v1alpha1 import Affinity, BenchmarkRunSpec, ModelCache, Target
from enginebench.engines.base import HOME, Platform, render
from enginebench.engines.registry import engine_of
from enginebench.workflow.gpus import product_label

PROBE_SECONDS = 10
SPARE_PROBES = 30
"""So many probes later than the operator gives up does the kubelet: the operator's message says more."""

Json = dict[str, Any]


def engine_pod(
    spec: BenchmarkRunSpec,
    target: Target,
    platform: Platform,
    *,
    node: str = "",
    gpu_product: str = "",
    revision: str = "",
) -> Json:
    """The Pod, but for its name, labels of ours and owner. `node` or `gpu_product` bind it to what is named.

    `revision`: the commit of the model that lies on its claim; empty: none is known.
    """
    settings, limits = resolve_pod(spec, target), resolve.timeouts(spec)
    template, values = engine_of(target).template(spec, target, platform)
    patience = limits.startup_seconds + limits.model_download_seconds
    values |= {
        "home": HOME,
        "fixed_ids": platform.fixed_ids,
        "gpus": settings.gpu_count,
        "revision": revision,
        "models": _models_volume(settings.model_cache),
        "startup_failures": math.ceil(patience / PROBE_SECONDS) + SPARE_PROBES,
    }
    pod = render(template, values)
    _apply(settings, pod)
    product = (product_label(settings.gpu_resource), gpu_product) if gpu_product else None
    if affinity := _affinity(settings.affinity, node=node, product=product):
        pod["spec"]["affinity"] = affinity
    return pod


def _models_volume(cache: ModelCache | None) -> Json | None:
    """None: the model lies in HOME, which is an emptyDir too, or where the image has it."""
    return {"name": "models", **cache.document()} if cache is not None else None


def _apply(settings: ResolvedPod, pod: Json) -> None:
    metadata, spec = pod["metadata"], pod["spec"]
    container = spec["containers"][0]
    metadata["labels"] = dict(settings.labels)
    metadata["annotations"].update(settings.annotations)
    requests, limits = dict(settings.requests), dict(settings.limits)
    if settings.gpu_count:
        requests[settings.gpu_resource] = limits[settings.gpu_resource] = str(settings.gpu_count)
    if resources := {key: value for key, value in (("requests", requests), ("limits", limits)) if value}:
        container["resources"] = resources
    said = [variable.document() for variable in settings.env]
    container["env"] = list({variable["name"]: variable for variable in (*container["env"], *said)}.values())
    spec["tolerations"] = [toleration.document() for toleration in settings.tolerations] + spec["tolerations"]
    if settings.node_selector:
        spec["nodeSelector"] = dict(settings.node_selector)
    if settings.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in settings.image_pull_secrets]
    for field, value in (
        ("serviceAccountName", settings.service_account_name),
        ("priorityClassName", settings.priority_class_name),
        ("runtimeClassName", settings.runtime_class_name),
        ("schedulerName", settings.scheduler_name),
    ):
        if value:
            spec[field] = value


def _affinity(said: Affinity | None, *, node: str, product: tuple[str, str] | None) -> Json:
    """The user's affinity, and our bond in every one of its required terms: the terms are alternatives."""
    affinity: Json = said.document() if said is not None else {}
    bond: Json = {}
    if node:
        bond["matchFields"] = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    if product is not None:
        label, name = product
        bond["matchExpressions"] = [{"key": label, "operator": "In", "values": [name]}]
    if bond:
        nodes = affinity.setdefault("nodeAffinity", {})
        required = nodes.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {"nodeSelectorTerms": [{}]})
        for term in required["nodeSelectorTerms"]:
            for key, requirements in bond.items():
                term[key] = [*term.get(key, ()), *requirements]
    return affinity
