"""What the operator tells about a load point. As all of the status: no enum, no bound, no rule."""

from typing import Annotated

from pydantic import Field, WithJsonSchema

from enginebench.api.base import StatusObject


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


class FinishReasons(StatusObject):
    """Why the answers to the window's requests ended."""

    length: int = 0
    """They had as many tokens as were asked for."""
    stop: int = 0
    """The model ended them."""
    other: int = 0
    """Anything else; the data have the server's word."""


class PointEngine(StatusObject):
    """What the engine's own metrics say of the window."""

    unobserved: str | None = None
    """Why there are none; absent where there are."""
    running_mean: float | None = None
    """Requests in its batch: the mean over the scrapes."""
    running_max: float | None = None
    """The most."""
    waiting_mean: float | None = None
    """Requests in its queue: the mean."""
    waiting_max: float | None = None
    """The most."""
    kv_cache_usage_mean: float | None = None
    """Share of its KV cache in use, 0 to 1: the mean."""
    kv_cache_usage_max: float | None = None
    """The most."""
    preemptions: int | None = None
    """Requests that were put back for want of KV cache."""
    prefix_cache_hit_rate: float | None = None
    """Prompt tokens found in its prefix cache, of those looked up, 0 to 1."""


class PointGpu(StatusObject):
    """The engine's GPUs in the window, by NVIDIA's DCGM exporter."""

    unobserved: str | None = None
    """Why nothing is known; absent where something is."""
    sm_clock_mean: float | None = None
    """SM clock, MHz: the mean over all GPUs and samples."""
    sm_clock_min: float | None = None
    """The lowest."""
    power_mean: float | None = None
    """Power of a GPU, W: the mean."""
    temperature_max: float | None = None
    """The hottest, °C."""
    utilization_mean: float | None = None
    """GPU utilization, percent: the mean."""
    memory_used_max: float | None = None
    """Most memory in use on a GPU, MiB."""
    thermal_throttling: float | None = None
    """Share of the samples, 0 to 1, in which clocks were held down for heat."""


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
    generator: str | None = None
    """The load generator, where it is not EngineBench's own: guidellm."""
    generator_version: str | None = None
    """Its version."""
    validity: str = ""
    """Valid, Limited, Invalid, Skipped or Superseded."""
    reasons: list[str] | None = None
    """Why it is not simply Valid, and what else is to be known of its figures: stable CamelCase words."""
    message: str | None = None
    """The reasons in words."""
    requests: PointRequests | None = None
    """Requests by how they ended."""
    finish_reasons: FinishReasons | None = None
    """Why the complete answers ended. In a run of more than 200 load points only the data have this and the next two."""
    prompt_tokens_mean: float | None = None
    """Tokens of a prompt by the server's count, chat template and all."""
    output_tokens_mean: float | None = None
    """Tokens of a complete answer."""
    requests_per_second: float | None = None
    """RPS: complete answers a second over the window."""
    output_tokens_per_second: float | None = None
    """Output TPS: tokens that arrived in the window, a second."""
    output_tokens_per_second_error: float | None = None
    """Standard error of output TPS, by ten parts of the window. Given where stopWhen.saturated goes by it."""
    ttft_milliseconds: PercentileStatus | None = None
    """Time to first token."""
    itl_milliseconds: PercentileStatus | None = None
    """Inter-token latency: per request, weighted by tokens."""
    tpot_milliseconds: PercentileStatus | None = None
    """Time per output token: per request, unweighted."""
    request_latency_milliseconds: PercentileStatus | None = None
    """From the request to its last token. At a request rate, this and the time to first token count from the moment
    at which the request was due."""
    engine: PointEngine | None = None
    """What the engine's own metrics say of the window. In a run of more than 200 load points only the data have it."""
    gpu_state: PointGpu | None = None
    """The engine's GPUs in the window, where spec.monitoring says who knows. In a run of more than 200 load points
    only the data have it."""
