"""What the operator tells about a target. As all of the status: no enum, no bound, no rule."""

from typing import Annotated

from pydantic import WithJsonSchema

from enginebench.api.base import StatusObject, Time, keyed_by
from enginebench.api.conditions import Condition
from enginebench.api.point_status import FigureValue, PointLoad


class Attempt(StatusObject):
    """One try of a target."""

    number: int
    """From 1."""
    pod_uid: str | None = None
    """UID of the engine's pod."""
    reason: str | None = None
    """How it ended, a stable CamelCase word; absent while it lasts."""
    message: str | None = None
    """How it ended, in words."""
    start_time: Time | None = None
    """When it began."""
    end_time: Time | None = None
    """When it ended."""
    repeat: int | None = None
    """The repeat that it measures, from 0; absent where one engine measures all."""
    fingerprint: str | None = None
    """Digest of what ran: image, version, model, settings, GPU, node. Equal ones may be compared."""


class GpuStatus(StatusObject):
    """The engine's GPUs, as the node's labels tell."""

    product: str | None = None
    """Product name."""
    count: int | None = None
    """How many."""
    driver: str | None = None
    """Driver version."""
    resource: str | None = None
    """The extended resource that was asked for: nvidia.com/gpu, nvidia.com/mig-1g.5gb, amd.com/gpu, …"""
    memory_mebibytes: int | None = None
    """Memory of each."""
    cuda: str | None = None
    """CUDA version of the driver."""
    mig_strategy: str | None = None
    """How the node offers slices of its GPUs, where it does: single or mixed."""
    sharing: str | None = None
    """How others may have used the same GPU meanwhile: time-slicing, mps, …; absent where nothing says that they may.
    The load points are then GPUShared."""
    replicas: int | None = None
    """How many times each GPU is handed out; absent where it is not more than once."""
    state: str | None = None
    """Observed where spec.monitoring tells of clocks, power and heat (status.points[].gpuState), else Unobserved."""


class EngineStatus(StatusObject):
    """What really ran, read back from it."""

    version: str | None = None
    """The engine's version."""
    image_id: str | None = None
    """The image with its digest."""
    served_model: str | None = None
    """The model's name as the engine lists it."""
    model_digest: str | None = None
    """What names the model's contents: Ollama's digest; commit:… of a model from a hub; sha256:… over a folder on a
    claim. Absent where neither the engine nor the fetch onto a claim tells."""
    url: str | None = None
    """Of an endpoint: where it answered, as the URL or the object that the target refers to says."""
    node: str | None = None
    """The node it ran on."""
    gpu: GpuStatus | None = None
    """Its GPUs."""
    effective: (
        Annotated[
            dict[str, str | int | float | bool],
            WithJsonSchema({"type": "object", "x-kubernetes-preserve-unknown-fields": True}),
        ]
        | None
    ) = None
    """Settings in force, asked of the engine or read from its log: numParallel, contextLength, …"""
    arguments: str | None = None
    """The arguments of the process that computes, as the engine's log has them; cut off where they are long."""
    environment: str | None = None
    """Ollama: the variables that its server goes by, as its log has them; cut off where they are long."""


class Timings(StatusObject):
    """How long each step of the start took, in seconds."""

    scheduled_seconds: float | None = None
    """Until a node took the engine."""
    image_pull_seconds: float | None = None
    """Until the container ran."""
    model_download_seconds: float | None = None
    """To download the model."""
    startup_seconds: float | None = None
    """From the running container until it served; a download by Ollama is not counted."""
    verified_seconds: float | None = None
    """From then on until a real completion had come back."""
    warmup_seconds: float | None = None
    """From then on until the first load point began."""


class DownloadStatus(StatusObject):
    """A model's download."""

    bytes_done: int | None = None
    """Bytes that are here."""
    bytes_total: int | None = None
    """Bytes in all, where known."""
    bytes_per_second: int | None = None
    """Over the last half minute."""
    remaining_seconds: int | None = None
    """At that rate."""


class ModelFetch(StatusObject):
    """The Job that brings the model onto its claim, before the engine asks for a GPU."""

    number: int
    """From 1."""
    start_time: Time | None = None
    """When it began."""
    end_time: Time | None = None
    """When it ended."""
    reason: str | None = None
    """How it ended, a stable CamelCase word."""
    message: str | None = None
    """How it ended, in words."""
    seconds: float | None = None
    """Of the download; 0 where the model was there."""
    bytes: int | None = None
    """The model's size, where known."""
    digest: str | None = None
    """What names the model's contents, as engine.modelDigest does."""
    disruptions: int | None = None
    """Fetches in a row that were taken away."""


class LoadGeneratorStatus(StatusObject):
    """The load generator, where it is not EngineBench's own; or what a load pod carries, as the first one found by
    loading a simulated engine beside it (loadGenerator.calibrate)."""

    generator: str | None = None
    """guidellm."""
    version: str | None = None
    """Its version."""
    tokens_per_second: float | None = None
    """It receives so many without distorting them. Points of more, for each load pod, are not to be trusted."""
    streams: int | None = None
    """In so many streams."""
    bounded: bool | None = None
    """More streams were tried and distorted. False: it carries more than was tried."""


class Peak(StatusObject):
    """Where a target is at its best: the lowest load within 2 % of its highest output TPS."""

    concurrency: int | None = None
    """Simultaneous users."""
    request_rate: float | None = None
    """Requests a second, as scheduled."""
    output_tokens_per_second: float | None = None
    """Output TPS."""
    requests_per_second: float | None = None
    """RPS."""
    ttft_p99_milliseconds: FigureValue | None = None
    """P99 of the time to first token."""
    itl_p99_milliseconds: FigureValue | None = None
    """P99 of the inter-token latency."""


class Repeated(StatusObject):
    """A figure over several repeats: its mean, and a 95 % interval of the mean from 3 repeats on."""

    mean: FigureValue
    """Arithmetic for rates, geometric for latencies; `{atLeast: …}` where one of them is."""
    low: float | None = None
    """Lower end of the interval."""
    high: float | None = None
    """Upper end of the interval."""


class RepeatedLoad(StatusObject):
    """One load over the usable repeats of it."""

    load: PointLoad
    """The load."""
    count: int
    """Usable points that the figures rest on."""
    output_tokens_per_second: Repeated | None = None
    """Output TPS."""
    requests_per_second: float | None = None
    """RPS, the mean."""
    ttft_p99_milliseconds: Repeated | None = None
    """P99 of the time to first token."""
    itl_p99_milliseconds: Repeated | None = None
    """P99 of the inter-token latency."""


class RepeatsStatus(StatusObject):
    """What the repeats come to."""

    engines: list[str] | None = None
    """The fingerprint of each repeat's engine (attempts[].fingerprint). Where they differ, image, version, model,
    settings, GPU or node changed in between, and the intervals hold that difference too."""
    loads: list[RepeatedLoad] | None = None
    """One entry a load of which a point is usable."""


class TargetStatus(StatusObject):
    """One target."""

    name: str
    """Its name in spec.targets."""
    phase: str | None = None
    """Waiting, Queued, Scheduling, PullingImage, DownloadingModel, Starting, Verifying, WarmingUp,
    Loading, Collecting, Succeeded, Failed, Skipped or Cancelled: for people."""
    message: str | None = None
    """What is happening, or what went wrong and what to do."""
    simulated: bool | None = None
    """True where no real engine ran."""
    conditions: Annotated[list[Condition], keyed_by("type")] | None = None
    """Ready: the engine serves the right model and has answered. SettingsInForce: it runs with the settings asked for."""
    attempts: list[Attempt] | None = None
    """Newest last, at most 5."""
    engine: EngineStatus | None = None
    """What really ran."""
    load_generator: LoadGeneratorStatus | None = None
    """The load generator, where it is GuideLLM; what the load pod carries, where loadGenerator.calibrate asks for it."""
    timings: Timings | None = None
    """How long the start took."""
    download: DownloadStatus | None = None
    """The model's download while it lasts."""
    model_fetch: ModelFetch | None = None
    """The newest fetch of the model onto its claim."""
    peak: Peak | None = None
    """Where it is at its best; by the means, where there are repeats."""
    repeats: RepeatsStatus | None = None
    """What the repeats come to; absent where each load point is measured once."""
