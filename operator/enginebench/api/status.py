"""What the operator tells about a run. A plain document: no enum, no bound, no rule.

Clients accept words that they do not know, and an older CRD never refuses a newer operator's write.
An undefined figure is absent; a censored one is `{atLeast: …}`.
"""

from typing import Annotated

from pydantic import Field, WithJsonSchema

from enginebench.api.base import StatusObject, Time, keyed_by


class Condition(StatusObject):
    """As metav1.Condition."""

    type: str
    """CamelCase name of what is true or not."""
    status: str
    """True, False or Unknown."""
    observed_generation: int | None = None
    """metadata.generation that this was decided for."""
    last_transition_time: Time
    """When `status` last changed."""
    reason: str
    """A stable CamelCase word that a pipeline may match."""
    message: str
    """What to know, and what to do, in words."""


class AtLeast(StatusObject):
    """A censored figure: the true value is at least this."""

    at_least: float
    """The lower bound."""


FigureValue = Annotated[
    float | AtLeast,
    Field(union_mode="left_to_right"),
    # No structural schema says "number or object"; only status may be as free as this.
    WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True}),
]
"""A number, or `{atLeast: number}` where the quantile was not reached."""


class PercentileStatus(StatusObject):
    """Nearest-rank percentiles of one figure, in milliseconds."""

    count: int = 0
    """Samples they rest on."""
    p50: FigureValue | None = None
    """Median."""
    p90: FigureValue | None = None
    """90th percentile."""
    p95: FigureValue | None = None
    """95th percentile."""
    p99: FigureValue | None = None
    """99th percentile."""
    censored: int | None = None
    """Samples of which only a lower bound is known; absent where there are none."""


class PointLoad(StatusObject):
    """The load of a point."""

    concurrency: int | None = None
    """Simultaneous users."""
    throughput: bool | None = None
    """True where so many users were only to keep the engine busy."""
    request_rate: float | None = None
    """Requests a second, as scheduled."""


class PointRequests(StatusObject):
    """Requests started in the window, by how they ended."""

    succeeded: int = 0
    """Complete answers."""
    errored: int = 0
    """Errors."""
    incomplete: int = 0
    """Still open when the drain was over."""


class PointStatus(StatusObject):
    """One load point."""

    target: str
    """The target it was measured on."""
    attempt: int
    """The attempt it was measured in."""
    index: int
    """Its place in the order of load points, from 0."""
    repeat: int | None = None
    """Which repeat, from 0; absent where there is one."""
    load: PointLoad
    """The load."""
    validity: str = ""
    """Valid, Limited, Invalid, Skipped or Superseded."""
    reasons: list[str] | None = None
    """Why it is not simply Valid, and what else is to be known of its figures: stable CamelCase words."""
    message: str | None = None
    """The reasons in words."""
    requests: PointRequests | None = None
    """Requests by how they ended."""
    requests_per_second: float | None = None
    """RPS: complete answers a second over the window."""
    output_tokens_per_second: float | None = None
    """Output TPS: tokens that arrived in the window, a second."""
    ttft_milliseconds: PercentileStatus | None = None
    """Time to first token."""
    itl_milliseconds: PercentileStatus | None = None
    """Inter-token latency: per request, weighted by tokens."""
    tpot_milliseconds: PercentileStatus | None = None
    """Time per output token: per request, unweighted."""
    request_latency_milliseconds: PercentileStatus | None = None
    """From the request to its last token. At a request rate, this and the time to first token count from the moment
    at which the request was due."""


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


class EngineStatus(StatusObject):
    """What really ran, read back from it."""

    version: str | None = None
    """The engine's version."""
    image_id: str | None = None
    """The image with its digest."""
    served_model: str | None = None
    """The model's name as the engine lists it."""
    model_digest: str | None = None
    """The model's digest, where the engine tells it."""
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


class Timings(StatusObject):
    """How long each step of the start took, in seconds."""

    scheduled_seconds: float | None = None
    """Until a node took the engine."""
    image_pull_seconds: float | None = None
    """Until the container ran."""
    model_download_seconds: float | None = None
    """To download the model."""
    startup_seconds: float | None = None
    """From the running container to the verified model, download not counted."""


class DownloadStatus(StatusObject):
    """A model's download."""

    bytes_done: int | None = None
    """Bytes that are here."""
    bytes_total: int | None = None
    """Bytes in all, where known."""


class LoadGeneratorStatus(StatusObject):
    """What the load pod carries, as it found by loading a simulated engine beside it (loadGenerator.calibrate)."""

    tokens_per_second: float | None = None
    """It receives so many without distorting them. Points above this are not to be trusted."""
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
    """Waiting, Queued, Scheduling, PullingImage, Starting, DownloadingModel, Verifying, WarmingUp,
    Loading, Collecting, Succeeded, Failed, Skipped or Cancelled: for people."""
    message: str | None = None
    """What is happening, or what went wrong and what to do."""
    simulated: bool | None = None
    """True where no real engine ran."""
    conditions: Annotated[list[Condition], keyed_by("type")] | None = None
    """Ready: the engine serves the right model and has answered."""
    attempts: list[Attempt] | None = None
    """Newest last, at most 5."""
    engine: EngineStatus | None = None
    """What really ran."""
    load_generator: LoadGeneratorStatus | None = None
    """What the load pod carries, where loadGenerator.calibrate asks for it."""
    timings: Timings | None = None
    """How long the start took."""
    download: DownloadStatus | None = None
    """The model's download while it lasts."""
    peak: Peak | None = None
    """Where it is at its best; by the means, where there are repeats."""
    repeats: RepeatsStatus | None = None
    """What the repeats come to; absent where each load point is measured once."""


class Progress(StatusObject):
    """How far the run is."""

    targets_done: int = 0
    """Targets that have ended."""
    targets_total: int = 0
    """Targets in all."""
    points_done: int = 0
    """Load points that are measured."""
    points_total: int = 0
    """Load points in all."""
    percent: int = 0
    """pointsDone of pointsTotal."""


class PlacementStatus(StatusObject):
    """What the later engines are bound to."""

    node: str | None = None
    """The node of the first engine (SameNode)."""
    gpu_product: str | None = None
    """The GPU product of the first engine (SameProduct)."""


class SummaryColumns(StatusObject):
    """The summary as `kubectl get` shows it."""

    best: str | None = None
    """The best target; with (SIMULATED) where it is."""
    tps: str | None = None
    """Its peak output TPS."""
    rps: str | None = None
    """Its RPS there."""
    ttft_p99: str | None = None
    """Its P99 TTFT there; ≥ where censored."""
    itl_p99: str | None = None
    """Its P99 ITL there; ≥ where censored."""


class Summary(StatusObject):
    """The best target at its peak."""

    target: str | None = None
    """The best: highest peak output TPS among usable points. A simulated target never beats a real one."""
    simulated: bool | None = None
    """True where the best is simulated, as all are then."""
    concurrency: int | None = None
    """Simultaneous users at the peak."""
    request_rate: float | None = None
    """Requests a second, as scheduled, at the peak."""
    output_tokens_per_second: float | None = None
    """Output TPS there."""
    requests_per_second: float | None = None
    """RPS there."""
    ttft_p99_milliseconds: FigureValue | None = None
    """P99 of the time to first token there."""
    itl_p99_milliseconds: FigureValue | None = None
    """P99 of the inter-token latency there."""
    text: str | None = None
    """The outcome in a sentence or two."""
    columns: SummaryColumns | None = None
    """The same as short texts."""


class DataRef(StatusObject):
    """Where results lie."""

    config_map: str
    """A ConfigMap in the run's namespace."""


class Results(StatusObject):
    """Whole distributions and series, one ConfigMap a point."""

    selector: str | None = None
    """Label selector that finds them all: `kubectl get configmaps -l …`."""
    data: list[DataRef] | None = None
    """Their names; absent in a run of more than 200 load points, whose status has no room for them."""


class ResolvedDataset(StatusObject):
    """The data set as it was read."""

    rows: int | None = None
    """How many rows."""
    digest: str | None = None
    """SHA-256 over the rows, whatever file they came in."""
    skipped: int | None = None
    """Conversations without a question, which a ShareGPT file may have, left out."""


class ActiveTime(StatusObject):
    """The clock of spec.activeDeadlineSeconds, which stands still while the run is suspended or gated."""

    seconds: int = 0
    """Seconds that have counted before `since`."""
    since: Time | None = None
    """Counting since then; absent while the clock stands still."""


class Resolved(StatusObject):
    """What the run found out before it began."""

    dataset: ResolvedDataset | None = None
    """The data set."""


class BenchmarkRunStatus(StatusObject):
    """What the run does, and what came out."""

    observed_generation: int | None = None
    """metadata.generation that this status tells about."""
    phase: str | None = None
    """Pending, Queued, Running, Suspended, Completed, Failed or Cancelled: for people."""
    message: str | None = None
    """What is happening and how far it is, or what went wrong and what to do."""
    start_time: Time | None = None
    """When the run began."""
    completion_time: Time | None = None
    """When it ended."""
    active: ActiveTime | None = None
    """How much of spec.activeDeadlineSeconds is used."""
    progress: Progress | None = None
    """How far it is."""
    conditions: Annotated[list[Condition], keyed_by("type")] | None = None
    """Finished (on every outcome), Succeeded, Reconciling, Stalled, ResultsAvailable."""
    placement: PlacementStatus | None = None
    """What the later engines are bound to."""
    targets: Annotated[list[TargetStatus], keyed_by("name")] | None = None
    """One entry a target, in the order of spec.targets."""
    points: list[PointStatus] | None = None
    """Every load point that was measured, of all targets, in one flat list."""
    summary: Summary | None = None
    """The best target."""
    results: Results | None = None
    """Where the whole data are."""
    resolved: Resolved | None = None
    """What the run found out before it began."""
