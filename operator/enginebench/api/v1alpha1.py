"""The contract: `BenchmarkRun`, enginebench.dev/v1alpha1; `crd` generates the CRD from these classes."""

import re
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from enginebench.api.affinity import Affinity
from enginebench.api.base import Object, Time, camel
from enginebench.api.conditions import (
    Condition,
)
from enginebench.api.dataset import (
    ChatMessage,
    Dataset,
    InlineDataset,
    InlineRow,
    PersistentVolumeClaimFile,
    PromptReuse,
    PromptsAsIs,
    SharedPrefix,
    SyntheticDataset,
    UniquePrompts,
    UrlFile,
)
from enginebench.api.endpoint import Endpoint
from enginebench.api.engines import (
    OLLAMA_IMAGE,
    OWN_VLLM_ARGS,
    VLLM_IMAGE,
    EngineKind,
    Ollama,
    Simulated,
    Target,
    Vllm,
)
from enginebench.api.env import RESERVED_ENV, EnvVar, EnvVarSource
from enginebench.api.execution import LoadGenerator, Placement, Timeouts
from enginebench.api.generators import GUIDELLM_IMAGE, OWN_GUIDELLM_ARGS, GuideLlm, NativeGenerator, TargetGenerator
from enginebench.api.llama_cpp import OWN_LLAMA_CPP_ARGS, LlamaCpp
from enginebench.api.monitoring import Monitoring, Prometheus
from enginebench.api.pods import (
    EmptyDirCache,
    ModelCache,
    PersistentVolumeClaimCache,
    PodSettings,
    Toleration,
)
from enginebench.api.point_status import (
    AtLeast,
    FigureValue,
    FinishReasons,
    PercentileStatus,
    PointEngine,
    PointGpu,
    PointLoad,
    PointRequests,
    PointStatus,
)
from enginebench.api.refs import ConfigMapKeyRef, LocalRef, SecretKeyRef
from enginebench.api.resources import DEFAULT_GPU_RESOURCE, Gpu, Resources
from enginebench.api.rules import Rule, refuse_broken
from enginebench.api.spec import BenchmarkRunSpec
from enginebench.api.status import (
    ActiveTime,
    BenchmarkRunStatus,
    Comparison,
    DataRef,
    NotComparable,
    PlacementStatus,
    Progress,
    Resolved,
    ResolvedDataset,
    Results,
    Summary,
    SummaryColumns,
)
from enginebench.api.target_status import (
    Attempt,
    DownloadStatus,
    EngineStatus,
    GpuStatus,
    LoadGeneratorStatus,
    ModelFetch,
    Peak,
    Repeated,
    RepeatedLoad,
    RepeatsStatus,
    TargetStatus,
    Timings,
)
from enginebench.api.workload import (
    Concurrency,
    ConcurrencyRange,
    Load,
    RateRange,
    Repeats,
    Request,
    RequestRate,
    Sampling,
    StopWhen,
    Sweep,
    Throughput,
    Warmup,
    Workload,
)

GROUP = "enginebench.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "BenchmarkRun"
PLURAL = "benchmarkruns"

_NAME = re.compile("[a-z]([-a-z0-9]*[a-z0-9])?")
MOST_NAME = 52


class ObjectMeta(Object):
    """What the operator reads of an object's metadata."""

    model_config = ConfigDict(alias_generator=camel, populate_by_name=True, extra="ignore")

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


NAME_RULE = Rule(
    sentence="must begin with a lower-case letter, hold only lower-case letters, digits and '-' (not at the "
    f"end), and be at most {MOST_NAME} characters long: the run's children are named after it",
    cel=f"self.metadata.name.size() <= {MOST_NAME} && self.metadata.name.matches('^{_NAME.pattern}$')",
    holds=lambda run: len(run.metadata.name) <= MOST_NAME and _NAME.fullmatch(run.metadata.name) is not None,
    field=".metadata.name",
)


class BenchmarkRun(Object):
    """One experiment: each engine is deployed in turn and loaded; the figures end in the status."""

    model_config = ConfigDict(
        alias_generator=camel, populate_by_name=True, extra="ignore", use_attribute_docstrings=True
    )

    metadata: ObjectMeta
    spec: BenchmarkRunSpec
    """The experiment. It does not change but for suspend, cancel and ttlSecondsAfterFinished."""
    status: BenchmarkRunStatus = Field(default_factory=BenchmarkRunStatus)
    """What the run does, and what came out."""

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        refuse_broken((NAME_RULE,), self)
        return self


__all__ = [
    "API_VERSION",
    "DEFAULT_GPU_RESOURCE",
    "GROUP",
    "GUIDELLM_IMAGE",
    "KIND",
    "OLLAMA_IMAGE",
    "OWN_GUIDELLM_ARGS",
    "OWN_LLAMA_CPP_ARGS",
    "OWN_VLLM_ARGS",
    "PLURAL",
    "RESERVED_ENV",
    "VERSION",
    "VLLM_IMAGE",
    "ActiveTime",
    "Affinity",
    "AtLeast",
    "Attempt",
    "BenchmarkRun",
    "BenchmarkRunSpec",
    "BenchmarkRunStatus",
    "ChatMessage",
    "Comparison",
    "Concurrency",
    "ConcurrencyRange",
    "Condition",
    "ConfigMapKeyRef",
    "DataRef",
    "Dataset",
    "DownloadStatus",
    "EmptyDirCache",
    "Endpoint",
    "EngineKind",
    "EngineStatus",
    "EnvVar",
    "EnvVarSource",
    "FigureValue",
    "FinishReasons",
    "Gpu",
    "GpuStatus",
    "GuideLlm",
    "InlineDataset",
    "InlineRow",
    "LlamaCpp",
    "Load",
    "LoadGenerator",
    "LoadGeneratorStatus",
    "LocalRef",
    "ModelCache",
    "ModelFetch",
    "Monitoring",
    "NativeGenerator",
    "NotComparable",
    "ObjectMeta",
    "Ollama",
    "Peak",
    "PercentileStatus",
    "PersistentVolumeClaimCache",
    "PersistentVolumeClaimFile",
    "Placement",
    "PlacementStatus",
    "PodSettings",
    "PointEngine",
    "PointGpu",
    "PointLoad",
    "PointRequests",
    "PointStatus",
    "Progress",
    "Prometheus",
    "PromptReuse",
    "PromptsAsIs",
    "RateRange",
    "Repeated",
    "RepeatedLoad",
    "Repeats",
    "RepeatsStatus",
    "Request",
    "RequestRate",
    "Resolved",
    "ResolvedDataset",
    "Resources",
    "Results",
    "Sampling",
    "SecretKeyRef",
    "SharedPrefix",
    "Simulated",
    "StopWhen",
    "Summary",
    "SummaryColumns",
    "Sweep",
    "SyntheticDataset",
    "Target",
    "TargetGenerator",
    "TargetStatus",
    "Throughput",
    "Timeouts",
    "Timings",
    "Toleration",
    "UniquePrompts",
    "UrlFile",
    "Vllm",
    "Warmup",
    "Workload",
]
