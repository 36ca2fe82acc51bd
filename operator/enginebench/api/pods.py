"""What a user may say about an engine's pod. No PodSpec pass-through: these fields and no others.

No field here has a default: `PodSettings` serves both `engineDefaults` and `targets[].pod`, and a default
would overwrite what is inherited. `pod_resolve.resolve_pod` knows what holds where nothing is said.
"""

from typing import Annotated, Literal

from pydantic import Field

from enginebench.api.affinity import Affinity
from enginebench.api.base import SpecObject
from enginebench.api.env import EnvVar
from enginebench.api.refs import LocalRef
from enginebench.api.resources import DEFAULT_GPU_RESOURCE, Gpu, Resources
from enginebench.api.rules import Rule, exactly_one, unique_by_name
from enginebench.api.types import LABEL_KEYS, LabelValue, Name, NodeSelector, Quantity

OWN_LABEL_PREFIX = "enginebench.dev/"
OWN_LABEL = "app.kubernetes.io/managed-by"

NOT_OWN = Rule(
    sentence=f"must not hold {OWN_LABEL_PREFIX}… nor {OWN_LABEL}: the operator sets them, remove them",
    cel=f"self.all(k, !k.startsWith('{OWN_LABEL_PREFIX}') && k != '{OWN_LABEL}')",
    holds=lambda labels: not any(k.startswith(OWN_LABEL_PREFIX) or k == OWN_LABEL for k in labels),
)

Annotation = Annotated[str, Field(max_length=4096)]


class Toleration(SpecObject):
    """A taint that the engine puts up with, as in a Pod."""

    rules = (
        Rule(
            sentence="operator Exists takes no value: remove value, or use operator Equal",
            cel="!(has(self.operator) && self.operator == 'Exists' && has(self.value) && self.value != '')",
            holds=lambda self: not (self.operator == "Exists" and self.value),
            field=".value",
        ),
        Rule(
            sentence="a toleration without key needs operator Exists: name the key, or set the operator",
            cel="(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
            holds=lambda self: bool(self.key) or self.operator == "Exists",
            field=".key",
        ),
        Rule(
            sentence="tolerationSeconds needs effect NoExecute: set the effect, or remove tolerationSeconds",
            cel="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            holds=lambda self: self.toleration_seconds is None or self.effect == "NoExecute",
            field=".effect",
        ),
    )

    key: Annotated[str, Field(max_length=317)] | None = None
    """The taint's key; absent, with operator Exists: every taint."""
    operator: Literal["Exists", "Equal"] | None = None
    """Equal where absent."""
    value: LabelValue | None = None
    """The taint's value, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; every effect where absent."""
    toleration_seconds: Annotated[int, Field(ge=0, le=86400)] | None = None
    """How long a NoExecute taint is put up with; for ever where absent."""


class PersistentVolumeClaimCache(SpecObject):
    """A claim in the run's namespace."""

    claim_name: Name
    """Name of the PersistentVolumeClaim."""


class EmptyDirCache(SpecObject):
    """A volume that lives as long as the engine's pod."""

    size_limit: Quantity | None = None
    """How large it may grow; without a limit where absent."""


class ModelCache(SpecObject):
    """Where models are kept, mounted at /models."""

    rules = (exactly_one("persistentVolumeClaim", "emptyDir"),)

    persistent_volume_claim: PersistentVolumeClaimCache | None = None
    """Models outlive the engine: they are downloaded once."""
    empty_dir: EmptyDirCache | None = None
    """Models go with the engine: every engine downloads anew."""


def _asks_gpu_in_resources(pod: "PodSettings") -> bool:
    resource = (pod.gpu.resource if pod.gpu is not None else None) or DEFAULT_GPU_RESOURCE
    resources = pod.resources or Resources()
    return resource in (resources.requests or {}) or resource in (resources.limits or {})


_GPU_NAME = f"(has(self.gpu) && has(self.gpu.resource) ? self.gpu.resource : '{DEFAULT_GPU_RESOURCE}')"


class PodSettings(SpecObject):
    """The engine's pod, as far as it is the user's to say."""

    rules = (
        Rule(
            sentence="GPUs are asked for in gpu.count and gpu.resource, not in resources: move them there",
            cel=f"!has(self.resources) || !((has(self.resources.requests) && {_GPU_NAME} in "
            f"self.resources.requests) || (has(self.resources.limits) && {_GPU_NAME} in self.resources.limits))",
            holds=lambda self: not _asks_gpu_in_resources(self),
            field=".resources",
        ),
    )

    gpu: Gpu | None = None
    """GPUs; merged field by field over engineDefaults."""
    resources: Resources | None = None
    """CPU and memory; merged over engineDefaults key by key. GPUs are asked for in `gpu`."""
    node_selector: NodeSelector | None = None
    """Labels that the node must have; merged over engineDefaults key by key."""
    affinity: Affinity | None = None
    """As in a Pod; replaces that of engineDefaults."""
    tolerations: Annotated[list[Toleration], Field(max_length=16)] | None = None
    """As in a Pod; replaces those of engineDefaults."""
    image_pull_secrets: Annotated[list[LocalRef], Field(max_length=8)] | None = None
    """Secrets for the image registry; replace those of engineDefaults."""
    service_account_name: Name | None = None
    """The namespace's default where absent. Its token is never mounted."""
    priority_class_name: Name | None = None
    """A PriorityClass of the cluster."""
    runtime_class_name: Name | None = None
    """A RuntimeClass of the cluster, such as nvidia; none where absent."""
    scheduler_name: Name | None = None
    """Another scheduler than the cluster's own."""
    labels: Annotated[dict[str, LabelValue], Field(max_length=32), LABEL_KEYS, NOT_OWN] | None = None
    """More labels of the pod; merged over engineDefaults key by key."""
    annotations: Annotated[dict[str, Annotation], Field(max_length=32), LABEL_KEYS, NOT_OWN] | None = None
    """More annotations of the pod; merged over engineDefaults key by key."""
    env: (
        Annotated[
            list[EnvVar],
            Field(max_length=64),
            unique_by_name("has a name twice: each variable may stand only once"),
        ]
        | None
    ) = None
    """More environment variables of the engine; merged over engineDefaults by name."""
    model_cache: ModelCache | None = None
    """Where models are kept; replaces that of engineDefaults. An emptyDir without a limit where absent."""
