"""What the operator tells about a run. A plain document: no enum, no bound, no rule.

Clients accept words that they do not know, and an older CRD never refuses a newer operator's write.
An undefined figure is absent; a censored one is `{atLeast: …}`.
"""

from typing import Annotated

from enginebench.api.base import StatusObject, Time, keyed_by
from enginebench.api.conditions import Condition
from enginebench.api.point_status import FigureValue, PointLoad, PointStatus
from enginebench.api.target_status import TargetStatus


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


class NotComparable(StatusObject):
    """A load at which two targets did not do the same work."""

    load: PointLoad
    """The load."""
    reasons: list[str]
    """PromptTruncated, PromptTokensDiffer, OutputLengthsDiffer, NoAnswers."""
    message: str
    """The reasons in words."""


class Comparison(StatusObject):
    """Two targets, by the loads at which both have usable points."""

    targets: list[str]
    """The two."""
    loads: int
    """Loads in common."""
    comparable: int
    """Of these, those at which both did the same work: throughput and latencies may be held side by side."""
    reasons: list[str] | None = None
    """Why they are not all, the gravest first; absent where they are."""
    not_comparable: list[NotComparable] | None = None
    """The first four of the others. At those only ITL and TPOT may be compared."""


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
    comparisons: list[Comparison] | None = None
    """Which targets may be compared where: of up to 8 targets each pair, of more each against the best."""
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
    """Finished (on every outcome), Succeeded, Reconciling, Stalled, ResultsAvailable, Comparable."""
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
