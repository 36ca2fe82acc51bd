"""What holds for an engine's pod: its target's own settings over those of `engineDefaults`, and the defaults below."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from enginebench.api.affinity import Affinity
from enginebench.api.engines import Target
from enginebench.api.env import EnvVar
from enginebench.api.pods import ModelCache, PodSettings, Toleration
from enginebench.api.resources import DEFAULT_GPU_RESOURCE, Gpu
from enginebench.api.spec import BenchmarkRunSpec


@dataclass(frozen=True, slots=True)
class ResolvedPod:
    """The pod settings of one target. Empty texts, tuples and mappings: nothing is set."""

    gpu_count: int
    gpu_resource: str
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    node_selector: Mapping[str, str]
    affinity: Affinity | None
    tolerations: tuple[Toleration, ...]
    image_pull_secrets: tuple[str, ...]
    service_account_name: str
    priority_class_name: str
    runtime_class_name: str
    scheduler_name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    env: tuple[EnvVar, ...]
    model_cache: ModelCache | None
    """None: an emptyDir without a limit."""


def resolve_pod(spec: BenchmarkRunSpec, target: Target) -> ResolvedPod:
    """`target.pod` over `engineDefaults`: scalars and gpu per field, env by name, maps by key, else whole."""
    own, base = target.pod or _NOTHING, spec.engine_defaults or _NOTHING
    own_gpu, base_gpu = own.gpu or _NO_GPU, base.gpu or _NO_GPU
    secrets = _first(own.image_pull_secrets, base.image_pull_secrets) or ()
    return ResolvedPod(
        gpu_count=gpu_count(spec, target),
        gpu_resource=own_gpu.resource or base_gpu.resource or DEFAULT_GPU_RESOURCE,
        requests=merged(_requests(base), _requests(own)),
        limits=merged(_limits(base), _limits(own)),
        node_selector=merged(base.node_selector, own.node_selector),
        affinity=own.affinity or base.affinity,
        tolerations=tuple(_first(own.tolerations, base.tolerations) or ()),
        image_pull_secrets=tuple(secret.name for secret in secrets),
        service_account_name=own.service_account_name or base.service_account_name or "",
        priority_class_name=own.priority_class_name or base.priority_class_name or "",
        runtime_class_name=own.runtime_class_name or base.runtime_class_name or "",
        scheduler_name=own.scheduler_name or base.scheduler_name or "",
        labels=merged(base.labels, own.labels),
        annotations=merged(base.annotations, own.annotations),
        env=tuple({variable.name: variable for variable in (*(base.env or ()), *(own.env or ()))}.values()),
        model_cache=model_cache(spec, target),
    )


def model_cache(spec: BenchmarkRunSpec, target: Target) -> ModelCache | None:
    """Where the target's model is kept."""
    return (target.pod or _NOTHING).model_cache or (spec.engine_defaults or _NOTHING).model_cache


def gpu_count(spec: BenchmarkRunSpec, target: Target) -> int:
    """How many GPUs the target's engine asks for; where nobody says, real engines get one."""
    own, base = target.pod or _NOTHING, spec.engine_defaults or _NOTHING
    count = _first((own.gpu or _NO_GPU).count, (base.gpu or _NO_GPU).count)
    if count is None:
        return 0 if target.endpoint is not None or target.simulated is not None else 1
    return count


def merged(*maps: Mapping[str, str] | None) -> dict[str, str]:
    """Key by key, the later ones over the earlier."""
    both: dict[str, str] = {}
    for one in maps:
        both.update(one or {})
    return both


_NOTHING = PodSettings()
_NO_GPU = Gpu()
_T = TypeVar("_T")


def _first(*values: _T | None) -> _T | None:
    return next((value for value in values if value is not None), None)


def _requests(pod: PodSettings) -> Mapping[str, str] | None:
    return pod.resources.requests if pod.resources is not None else None


def _limits(pod: PodSettings) -> Mapping[str, str] | None:
    return pod.resources.limits if pod.resources is not None else None
