"""What a user may say about the pods of a run. No PodSpec pass-through: these fields and no others.

No field here has a default: `PodSettings` serves both `engineDefaults` and `targets[].pod`, and a default
would overwrite what is inherited. `resolve.resolve_pod` knows what holds where nothing is said.
"""

from typing import Annotated, Literal

from pydantic import Field

from enginebench.api.affinity import Affinity
from enginebench.api.base import SpecObject
from enginebench.api.rules import Rule, exactly_one, matches, text, unique_by_name
from enginebench.api.types import Key, LabelValue, Name, NodeSelector, Quantity

RESERVED_ENV = {
    "OLLAMA_NUM_PARALLEL": "ollama.numParallel",
    "OLLAMA_CONTEXT_LENGTH": "ollama.contextLength",
    "OLLAMA_MAX_QUEUE": "ollama.maxQueue",
    "OLLAMA_KEEP_ALIVE": "ollama.keepAlive",
    "OLLAMA_FLASH_ATTENTION": "ollama.flashAttention",
    "OLLAMA_KV_CACHE_TYPE": "ollama.kvCacheType",
    "OLLAMA_MODELS": "modelCache",
    "HF_TOKEN": "vllm.tokenSecretRef",
    "HUGGING_FACE_HUB_TOKEN": "vllm.tokenSecretRef",
    "OLLAMA_HOST": "",
    "VLLM_API_KEY": "",
    "HOME": "",
}
"""Variables that the operator sets itself, with the field that says the same ("": there is none)."""

DEFAULT_GPU_RESOURCE = "nvidia.com/gpu"

Annotation = Annotated[str, Field(max_length=4096)]


class SecretKeyRef(SpecObject):
    """One key of a Secret in the run's namespace."""

    name: Name
    """Name of the Secret."""
    key: Key
    """Key in the Secret's data."""


class ConfigMapKeyRef(SpecObject):
    """One key of a ConfigMap in the run's namespace."""

    name: Name
    """Name of the ConfigMap."""
    key: Key
    """Key in the ConfigMap's data."""


class EnvVarSource(SpecObject):
    """Where a variable's value comes from."""

    rules = (exactly_one("secretKeyRef", "configMapKeyRef"),)

    secret_key_ref: SecretKeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: ConfigMapKeyRef | None = None
    """A key of a ConfigMap."""


class EnvVar(SpecObject):
    """One environment variable of the engine."""

    rules = (
        Rule(
            sentence="value and valueFrom exclude each other: remove one of them",
            cel="!(has(self.value) && has(self.valueFrom))",
            holds=lambda self: self.value is None or self.value_from is None,
            field=".valueFrom",
        ),
        Rule(
            sentence="is set by the operator: remove it, and where there is a field for it use that: "
            + ", ".join(f"{field} for {name}" for name, field in RESERVED_ENV.items() if field),
            cel=f"!(self.name in [{', '.join(map(text, RESERVED_ENV))}])",
            holds=lambda self: self.name not in RESERVED_ENV,
            field=".name",
        ),
    )

    name: Annotated[
        str,
        Field(min_length=1, max_length=128),
        matches("[-._a-zA-Z][-._a-zA-Z0-9]*", "must be the name of a variable, such as NCCL_DEBUG"),
    ]
    """The variable's name. Those that the operator sets itself are refused."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """The value, as it is; empty where neither this nor valueFrom is given."""
    value_from: EnvVarSource | None = None
    """Takes the value from a Secret or a ConfigMap."""


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
            sentence="a toleration without key needs operator Exists",
            cel="(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
            holds=lambda self: bool(self.key) or self.operator == "Exists",
            field=".key",
        ),
        Rule(
            sentence="tolerationSeconds needs effect NoExecute",
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


class LocalRef(SpecObject):
    """An object in the run's namespace."""

    name: Name
    """Its name."""


class Resources(SpecObject):
    """CPU, memory and the like, as in a container."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    """What is reserved."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] | None = None
    """What is never exceeded."""


class Gpu(SpecObject):
    """GPUs of one engine; requested with requests = limits."""

    count: Annotated[int, Field(ge=0, le=64)] | None = None
    """How many. 1 for vllm and ollama, 0 for simulated where absent; 0 rehearses on the CPU."""
    resource: (
        Annotated[
            str,
            Field(min_length=1, max_length=317),
            matches(
                "[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
                "must be an extended resource such as nvidia.com/gpu or nvidia.com/mig-3g.20gb",
            ),
        ]
        | None
    ) = None
    """The extended resource that a device plugin offers. nvidia.com/gpu where absent."""


class PersistentVolumeClaimCache(SpecObject):
    """A claim in the run's namespace."""

    claim_name: Name
    """Its name."""


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


class PodSettings(SpecObject):
    """The engine's pod, as far as it is the user's to say."""

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
    labels: Annotated[dict[str, LabelValue], Field(max_length=32)] | None = None
    """More labels of the pod; merged over engineDefaults key by key."""
    annotations: Annotated[dict[str, Annotation], Field(max_length=32)] | None = None
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
