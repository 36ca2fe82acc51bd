"""What a load pod says of one load point, with all its parts: the payload of its frame.

Evidence, never a verdict. Times of day are Unix seconds by the pod's clock; latencies are milliseconds; rates are per
second. It is stored as it came, and may be read by another version: a field that is not known is passed over, and what
would be misunderstood without it gets another FORMAT.
"""

import msgspec

from enginebench.api.loadplan import Wire

FORMAT = 1
"""Of a stored report."""


class Part(Wire, frozen=True, forbid_unknown_fields=False):
    """Base of a report's parts."""


class Censored(Part, frozen=True, kw_only=True):
    """A quantile that was not reached: the true value is at least this."""

    at_least: float


class Figure(Part, frozen=True, kw_only=True):
    """Nearest-rank percentiles of one figure, in milliseconds, with how many samples they rest on."""

    count: int
    """Requests of its population, the censored ones among them where they are estimated with (Kaplan-Meier: TTFT, time
    to first output token, request latency); gaps, of the inter-event gap; samples, of a lag."""
    p50: float | Censored | None = None
    """None: there is no sample."""
    p90: float | Censored | None = None
    p95: float | Censored | None = None
    p99: float | Censored | None = None
    mean: float | None = None
    """None where any was censored by Kaplan-Meier: it would only tell the length of the run."""
    censored: int = 0
    """Requests whose own value is not known, as they had not ended when the drain did."""


class Drift(Part, frozen=True, kw_only=True):
    """How a figure changed over the window."""

    change: float
    """From its beginning to its end, relative to the mean."""
    t: float
    """Student's t with 8 degrees of freedom, at most 1e6: `results.stationarity` says of what."""


class RequestCounts(Part, frozen=True, kw_only=True):
    """Requests started in the window, by how they ended when the drain was over."""

    succeeded: int = 0
    errored: int = 0
    incomplete: int = 0


class Delivery(Part, frozen=True, kw_only=True):
    """How an open loop kept to its schedule."""

    scheduled: int
    """Requests that were due in the window."""
    sent: int
    """Of these, those that were sent before it closed; one whose connection was refused counts."""
    lateness: Figure
    """Sent - due, milliseconds."""
    in_flight_growth: float | None = None
    """Requests in flight, waiting ones among them, that came to be more each second; absent where they were not
    significantly more at the end than at the beginning."""


class ShortPrompts(Part, frozen=True, kw_only=True):
    """Prompts of which the server counts fewer tokens than the data set: `results.prompts` says when they are short."""

    requests: int
    of: int
    """Requests with both counts."""
    counted: int
    """By the server, of the one that lacks most."""
    known: int
    """By the data set, of the same."""


class Strained(Part, frozen=True, kw_only=True):
    """How hard another load generator, of which only its processes are seen, had it in the window."""

    cpus: float
    """Processors that it might use."""
    busiest_percent: float
    """Of one processor, that its busiest process took: one that runs Python takes no more than 100."""
    wait_milliseconds: float | None = None
    """Before one of its processes that was ready to run did, on the average. None: the kernel does not tell."""
    processes: int
    memory_bytes: int
    """Of its container, at the most; 0: not told."""
    concurrency: float
    """Requests in flight, on the average over the window."""


class Evidence(Part, frozen=True, kw_only=True):
    """What the verdict on a point is made from."""

    interrupted: bool = False
    """SIGTERM closed the point before its time."""
    lost_shards: int = 0
    """Processes of the load generator that went away during the point: their share of it is not in here."""
    clock_uncertainty: float | None = None
    """Seconds that the clocks of the load pods may differ by from what was taken for their difference; absent where
    one pod carried all."""
    wrong_models: tuple[str, ...] = ()
    """Model names in responses that are not the one asked for."""
    engine_start_before: float | None = None
    engine_start_after: float | None = None
    """process_start_time_seconds of the engine around the point, where it has /metrics."""
    engine_busy_with: str = ""
    """Before the point, when the wait for it to become idle had reached its bound; empty: it was idle."""
    warmup_bound_reached: bool = False
    """The window opened before every user (at a rate: what the ramp had sent) had been answered."""
    drain_bound_reached: bool = False
    """Requests that were started in the window were cut off."""
    replayed: int = 0
    """Requests sent again because a kept connection was reset before any byte of the response."""
    tokens_per_event: float | None = None
    token_source: str = "usage"  # noqa: S105  # tokens of text, not a secret
    """`usage` (the server's own count) or `events`."""
    tokens_estimated: float = 0.0
    """Share of the window's output tokens that the server has not counted: of requests that did not end, their events
    times the mean tokens of an event; 1 where `token_source` is `events`."""
    delivery: Delivery | None = None
    """Open loop only."""
    client_cpu_percent: float | None = None
    """Of one processor, that the load generator's processes took together in the window."""
    own_lag: Figure | None = None
    """How long what came waited to be read by the load generator itself, sampled evenly in time."""
    coalesced_by_lag: float = 0.0
    """Share of the gaps between content events that are none because the load generator read both at once, being late."""
    throttled: float | None = None
    """Share of the window in which the load generator's cgroup was not let run. None: the kernel does not tell."""
    stolen: float | None = None
    """Share of its processors' time that the hypervisor gave to others. None: the kernel does not tell."""
    strained: Strained | None = None
    """Of a load generator that is not EngineBench's own."""
    generator_limit_tokens_per_second: float | None = None
    """Of the calibration, to be held beside the output TPS."""
    token_rate_drift: Drift | None = None
    """From the first half of the window to the second one; None: too short to tell."""
    token_rate_error: float | None = None
    """Standard error of the token rate, by ten batch means, relative to it; None: too short to tell."""
    ttft_drift: Drift | None = None
    """From the first tenth of the requests to the last one, along a line; None: not to be told."""
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    """Error texts with how often they came, the 8 most frequent."""
    finish_reasons: dict[str, int] = msgspec.field(default_factory=dict)
    """Why the successes ended, by the server's word, with how many; the 8 most frequent."""
    prompts_repeated: float = 0.0
    """Share of the window's requests whose prompt had been sent to this engine before."""
    short_prompts: ShortPrompts | None = None
    """Where there were any."""


class EngineMetrics(Part, frozen=True, kw_only=True):
    """The engine's own metrics over the window: from the scrape at its opening to the one at its close; of a window of
    GuideLLM's, from the first scrape in it to the last one.

    The means beside each other are of the same events: first tokens and gaps between those two scrapes, whatever
    request they belong to. `results.engine_metrics` has the formulas.
    """

    unobserved: str = ""
    """Why there are none."""
    names: dict[str, str] = msgspec.field(default_factory=dict)
    """Ours → the engine's: which of the names that changed over its versions were there."""
    scrapes: int = 0
    failed_scrapes: int = 0
    seconds: float = 0.0
    """Between the first and the last scrape."""
    running_mean: float | None = None
    """Requests in the engine's batch; means and maxima over the scrapes."""
    running_max: float | None = None
    waiting_mean: float | None = None
    """Requests in its queue."""
    waiting_max: float | None = None
    kv_cache_usage_mean: float | None = None
    """Share of the KV cache in use, 0 to 1."""
    kv_cache_usage_max: float | None = None
    preemptions: float | None = None
    """Over the span, as all that follow."""
    prefix_cache_hit_rate: float | None = None
    """Prompt tokens found in the prefix cache ÷ those looked up; absent where none was."""
    prompt_tokens: float | None = None
    generation_tokens: float | None = None
    ttft_count: int | None = None
    """By the engine's histogram, as its mean in milliseconds."""
    ttft_mean: float | None = None
    own_ttft_count: int | None = None
    """By the load generator."""
    own_ttft_mean: float | None = None
    itl_count: int | None = None
    itl_mean: float | None = None
    own_gap_count: int | None = None
    own_gap_mean: float | None = None


class GpuState(Part, frozen=True, kw_only=True):
    """The engine's GPUs in the window, by NVIDIA's DCGM exporter: over all of them and all samples."""

    unobserved: str = ""
    """Why nothing is known."""
    gpus: int = 0
    samples: int = 0
    """Of the metric that has most, of one GPU."""
    sm_clock_mean: float | None = None
    """MHz."""
    sm_clock_min: float | None = None
    power_mean: float | None = None
    """Watts of a GPU."""
    power_max: float | None = None
    temperature_mean: float | None = None
    """Degrees Celsius."""
    temperature_max: float | None = None
    utilization_mean: float | None = None
    """Percent."""
    memory_used_max: float | None = None
    """MiB."""
    thermal_throttling: float | None = None
    """Share of the samples in which the clocks were held down for heat."""
    power_throttling: float | None = None
    """Share of the samples in which they were held down by the power limit, as they commonly are."""
    thermal_violation_seconds: float | None = None
    """How long the hottest GPU was held down for heat."""


class GuideLlmCount(Part, frozen=True, kw_only=True):
    """The window as GuideLLM 0.2.1 counts: `results.guidellm`."""

    requests: int
    """Started and complete in the window, and successful."""
    seconds: float
    """From the first start to the last end among them: what the rates are divided by."""
    requests_per_second: float
    output_tokens_per_second: float


class GuideLlmReport(Part, frozen=True, kw_only=True):
    """What GuideLLM itself says of a point, by its own formulas: over all of its run, from the first request on."""

    requests_per_second: float
    output_tokens_per_second: float
    ttft_p50: float | None = None
    """Milliseconds, of the successful requests, as all of these."""
    ttft_p99: float | None = None
    ttft_mean: float | None = None
    itl_p50: float | None = None
    itl_p99: float | None = None
    itl_mean: float | None = None


class Span(Part, frozen=True, kw_only=True):
    """The ends of a 95 % interval."""

    low: float
    high: float


class WithinPoint(Part, frozen=True, kw_only=True):
    """How far figures spread within this one window, by a moving-block bootstrap: `results.bootstrap`. It says nothing
    of another start of the engine. Absent where there are too few blocks, or requests were censored."""

    method: str = "MovingBlockBootstrap"
    resamples: int
    block_seconds: int
    """Length of a block of seconds; one of requests has as many as start in it."""
    output_tokens_per_second: Span | None = None
    ttft_p50: Span | None = None
    """Milliseconds, as all that follow."""
    ttft_p99: Span | None = None
    itl_p50: Span | None = None
    itl_p99: Span | None = None


class RequestBody(Part, frozen=True, kw_only=True):
    """What every request of a target asks for, its prompt left out: only with the same are two runs the same work."""

    digest: str
    """`sha256:` over the JSON."""
    json: str
    """As it is sent, with an empty prompt and the plan's cap on the output tokens; empty where it is over 4 KiB, or
    the point's bytes do not suffice."""


class PointReport(Part, frozen=True, kw_only=True, tag_field="format", tag=FORMAT):
    """One load point as measured. Its JSON begins with its `format`."""

    index: int
    repeat: int = 0
    concurrency: int | None = None
    """Closed loop: users."""
    throughput: bool = False
    """As many requests as the engine takes were asked for, up to so many users."""
    request_rate: float | None = None
    """Open loop: requests a second, as scheduled."""
    started_at: float
    """Before the ramp."""
    opened_at: float
    """When the window opened."""
    ended_at: float
    """When the drain was over."""
    window_seconds: float
    """From the window's opening to its close: what the rates are divided by."""
    request: RequestBody | None = None
    """What all requests ask for alike."""
    requests: RequestCounts
    requests_per_second: float
    """RPS: successes that ended in the window, whenever they were started / window_seconds."""
    output_tokens_per_second: float
    """Output TPS: output tokens that arrived in the window, of whatever request / window_seconds. A request's tokens are
    spread evenly over its content events; of one that did not end well see `evidence.tokens_estimated`."""
    total_tokens_per_second: float | None = None
    """Output TPS + prompt tokens by the engine's count, booked at the first content / window_seconds; None where it
    counted none."""
    guidellm: GuideLlmCount | None = None
    """Requests and output tokens a second as GuideLLM 0.2.1 counts them; absent without a whole success."""
    ttft: Figure
    """First content event - start. Requests started in the window, finished or not; one that failed before its first
    content has none, one that was cut off before it is censored (Kaplan-Meier)."""
    time_to_first_output_token: Figure | None = None
    """First content event that is not reasoning - start. As `ttft`; one that ended within its reasoning has none. Absent
    where no answer had reasoning, as it is TTFT then."""
    itl: Figure
    """(last - first content event) / (output tokens - 1) of each request, weighted by (output tokens - 1). Requests
    started in the window that ended well, of two tokens or more."""
    tpot: Figure
    """The same quotient of the same requests, each weighing one."""
    inter_event_gap: Figure
    """Content event - the one before it in the same answer, never divided. Gaps that ended in the window, of whatever
    request; from a histogram, within 0.4 %."""
    request_latency: Figure
    """Last content event - start. Requests started in the window that did not fail; one that was cut off is censored
    (Kaplan-Meier)."""
    ttft_from_send: Figure | None = None
    request_latency_from_send: Figure | None = None
    """Open loop: the same two from the moment at which the request was sent; else they count from when it was due."""
    prompt_tokens_mean: float | None = None
    """By the engine's count, over requests started in the window that have one."""
    prompt_tokens_max: int | None = None
    """The largest of the same."""
    output_tokens_mean: float | None = None
    """Over requests started in the window that ended well."""
    within_point: WithinPoint | None = None
    evidence: Evidence
    engine_metrics: EngineMetrics | None = None
    engine_series: bytes = b""
    """Of the scrapes, in `results.engine_metrics`' own format; the step is recorded in it."""
    gpu_state: GpuState | None = None
    """Where the plan names a Prometheus."""
    gpu_series: bytes = b""
    """In the format of `engine_series`: means over the GPUs."""
    histograms: dict[str, bytes] = msgspec.field(default_factory=dict)
    """Per figure the whole distribution, in `results.histogram`'s own format; `ttftTpot` in that of `results.grid`."""
    series: bytes = b""
    """Per-second counts over the window, in `results.series`' own format; the step is recorded in it."""
    requests_file: str = ""
    """Every request of the point, on the volume that spec.results names; empty: not kept."""
    requests_error: str = ""
    """Why they could not be kept, though they should."""
    generator: str = "enginebench"
    """`enginebench`, or `guidellm`."""
    generator_version: str = ""
    guidellm_report: GuideLlmReport | None = None
    """Where GuideLLM was the load generator."""


class _Header(msgspec.Struct, frozen=True):
    format: int = 0


def format_of(payload: bytes) -> int:
    """The FORMAT that a report's JSON names, 0 where it names none; `msgspec.MsgspecError` where it is none."""
    return msgspec.json.decode(payload, type=_Header).format
