"""What holds where a run says nothing: every default that the schema may not carry.

Those of an engine's pod are in `pod_resolve`. All functions are pure; what they return is complete, so that nobody
else repeats a default.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from msgspec.structs import replace

from enginebench.api.dataset import Dataset, InlineDataset, InlineRow
from enginebench.api.endpoint import Endpoint
from enginebench.api.engines import Simulated, Target
from enginebench.api.execution import LoadGenerator, Placement, Timeouts
from enginebench.api.generators import GUIDELLM_IMAGE
from enginebench.api.guidellm_rules import any_guidellm, guidellm_of
from enginebench.api.llama_cpp import LlamaCpp
from enginebench.api.loadplan import (
    CALIBRATION_SECONDS,
    DOWNLOAD_SECONDS,
    IDLE_SECONDS,
    Message,
    PointPlan,
    Row,
    StopPlan,
    SweepPlan,
)
from enginebench.api.pod_resolve import merged
from enginebench.api.resources import Resources
from enginebench.api.spec import BenchmarkRunSpec
from enginebench.api.types import Dialect
from enginebench.api.workload import Repeats, Request, Sampling, Warmup

Api = Literal["ChatCompletions", "Completions", "OllamaChat", "OllamaGenerate"]

KEEP_ALIVE = "-1"
"""Ollama keeps the model for ever: a run must not pay for a reload."""
PROCESS_MILLICORES = 500
FIRST_MEBIBYTES, FURTHER_MEBIBYTES = 512, 256
"""What a load pod reserves for each process; no limit, since a throttled client looks like a slow engine."""
DRAIN_SECONDS, DRAIN_MEDIANS = 30, 2
"""After a window, what is under way gets the greater of 30 s and twice the median latency."""
GUIDELLM_RESERVED = {"cpu": "1", "memory": "2Gi"}
"""What GuideLLM's container reserves; no limit, for the same reason."""
GUIDELLM_SECONDS = 900
"""It takes no longer to begin and to write its report."""
LARGE_FILE_SECONDS = 600
"""A gigabyte is read and checked in a tenth of this from a disk; some volumes are far away."""


@dataclass(frozen=True, slots=True)
class ResolvedWorkload:
    """The load that every target gets."""

    api: Api
    max_output_tokens: int
    length_policy: Literal["AsPublished", "Matched"]
    temperature: float
    top_p: float
    repetition_penalty: float
    seed: int
    per_event_usage: bool
    extra_body_json: str
    prompt_reuse: Literal["Unique", "AsIs", "Shared"]
    shared_prefix_tokens: int
    dataset_seed: int
    points: tuple[PointPlan, ...]
    duration_seconds: int | None
    max_requests: int | None
    ramp_seconds: int
    warmup_max_seconds: int


@dataclass(frozen=True, slots=True)
class ResolvedTimeouts:
    """How long to wait for what, in seconds."""

    scheduling_seconds: int
    image_pull_seconds: int
    model_download_seconds: int
    model_download_stall_seconds: int
    startup_seconds: int
    verification_seconds: int
    point_grace_seconds: int
    calibration_seconds: int
    """The load pod measures itself for so long, at most, before it looks for the engine; 0: it does not."""
    dataset_seconds: int
    """A load pod has its data set so soon after its start, or never."""


@dataclass(frozen=True, slots=True)
class ResolvedLoadGenerator:
    """The load pod."""

    pods: int
    processes: int
    calibrate: bool
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    node_selector: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ResolvedGuideLlm:
    """GuideLLM beside the load pod's own program."""

    version: Literal["0.2.1", "0.8.1"]
    image: str
    args: tuple[str, ...]
    requests: Mapping[str, str]
    limits: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ResolvedSimulated:
    """The simulated engine's settings, all of them."""

    api: Literal["vLLM", "Ollama"]
    model: str
    slots: int
    max_queue: int
    prefill_microseconds_per_token: int
    decode_step_microseconds: int
    decode_step_microseconds_per_sequence: int
    jitter_percent: int
    seed: int


def resolve_workload(spec: BenchmarkRunSpec) -> ResolvedWorkload:
    """The load with every default."""
    workload = spec.workload
    request = workload.request or Request()
    sampling = request.sampling or Sampling()
    reuse = workload.dataset.prompt_reuse
    shared = reuse.shared if reuse is not None else None
    kind: Literal["Unique", "AsIs", "Shared"] = "Unique"
    if reuse is not None and reuse.as_is is not None:
        kind = "AsIs"
    elif shared is not None:
        kind = "Shared"
    return ResolvedWorkload(
        api=request.api,
        max_output_tokens=request.max_output_tokens,
        length_policy=request.length_policy or _length_policy(spec),
        temperature=float(sampling.temperature),
        top_p=float(sampling.top_p),
        repetition_penalty=float(sampling.repetition_penalty),
        seed=sampling.seed,
        per_event_usage=request.per_event_usage,
        extra_body_json=request.extra_body_json or "",
        prompt_reuse=kind,
        shared_prefix_tokens=shared.prefix_tokens if shared is not None else 0,
        dataset_seed=workload.dataset.seed,
        points=points(spec),
        duration_seconds=workload.duration_seconds,
        max_requests=workload.max_requests,
        ramp_seconds=workload.ramp_seconds,
        warmup_max_seconds=(workload.warmup or _WARMUP).max_seconds,
    )


def points(spec: BenchmarkRunSpec) -> tuple[PointPlan, ...]:
    """The load points of each target, in order. A point's index is its place in here: unique within a target."""
    load = spec.workload.load
    if load.concurrency is not None:
        once = tuple(PointPlan(index=i, concurrency=level) for i, level in enumerate(load.concurrency.levels))
    elif load.throughput is not None:
        once = (PointPlan(index=0, concurrency=load.throughput.max_concurrency, throughput=True),)
    elif load.sweep is not None:
        once = tuple(PointPlan(index=i) for i in range(load.sweep.points))
    else:
        rates = load.request_rate
        assert rates is not None  # exactly one is set
        once = tuple(
            PointPlan(index=i, request_rate=float(rate), arrival=rates.arrival, max_concurrency=rates.max_concurrency)
            for i, rate in enumerate(rates.rates)
        )
    return _repeated(once, repeats(spec).count, spec.workload.dataset.seed)


@lru_cache(maxsize=256)
def _repeated(once: tuple[PointPlan, ...], count: int, seed: int) -> tuple[PointPlan, ...]:
    """The points `count` times over: in the first repeat as written, in each later one shuffled by `seed`."""
    order = [(repeat, point) for repeat in range(count) for point in _shuffled(once, repeat, seed)]
    return tuple(replace(point, index=index, repeat=repeat) for index, (repeat, point) in enumerate(order))


def _shuffled(once: tuple[PointPlan, ...], repeat: int, seed: int) -> Iterable[PointPlan]:
    """By hash: the same order in every process and every version."""
    if repeat == 0:
        return once
    return sorted(once, key=lambda point: hashlib.sha256(f"{seed}/{repeat}/{point.index}".encode()).digest())


def sweep(spec: BenchmarkRunSpec) -> SweepPlan | None:
    """What places the load points, where they have no load of their own."""
    said = spec.workload.load.sweep
    if said is None:
        return None
    if said.concurrency is not None:
        return SweepPlan(of="concurrency", lowest=said.concurrency.min, highest=said.concurrency.max)
    rates = said.request_rate
    assert rates is not None  # exactly one is set
    return SweepPlan(
        of="requestRate",
        lowest=float(rates.min),
        highest=float(rates.max),
        arrival=rates.arrival,
        max_concurrency=rates.max_concurrency,
    )


def stop_when(spec: BenchmarkRunSpec) -> StopPlan | None:
    """After what load points are skipped; None: none is."""
    said = spec.workload.stop_when
    return None if said is None else StopPlan(error_rate_percent=said.error_rate_percent, saturated=said.saturated)


def repeats(spec: BenchmarkRunSpec) -> Repeats:
    """How often each load point is measured, and what begins anew each time."""
    return spec.workload.repeats or _ONCE


def longest_point_seconds(spec: BenchmarkRunSpec) -> int | None:
    """No load point takes longer, whatever the engine does; None: only its requests bound it.

    Where GuideLLM loads: its own run takes as long as it is told, half as long again, and some minutes to begin and end.

    What comes before the window; the window; a drain of at most 30 s or twice the median latency, which no request that
    began at the point's start can exceed.
    """
    workload = spec.workload
    if workload.duration_seconds is None:
        return None
    warmup = (workload.warmup or _WARMUP).max_seconds
    until_closed = workload.ramp_seconds + warmup + workload.duration_seconds
    longest = longest_step_seconds(spec) + workload.duration_seconds + max(DRAIN_SECONDS, DRAIN_MEDIANS * until_closed)
    return longest if not any_guidellm(spec) else 3 * longest + GUIDELLM_SECONDS


def longest_step_seconds(spec: BenchmarkRunSpec) -> int:
    """All that comes before a load point's window takes no longer: twice a wait until the engine is idle; burst, ramp
    and warm-up, each bounded."""
    warmup = (spec.workload.warmup or _WARMUP).max_seconds
    return 2 * IDLE_SECONDS + warmup + spec.workload.ramp_seconds + warmup


def timeouts(spec: BenchmarkRunSpec) -> ResolvedTimeouts:
    """How long to wait for what."""
    said, generator = spec.timeouts or _TIMEOUTS, spec.load_generator or _LOAD_GENERATOR
    return ResolvedTimeouts(
        scheduling_seconds=said.scheduling_seconds,
        image_pull_seconds=said.image_pull_seconds,
        model_download_seconds=said.model_download_seconds,
        model_download_stall_seconds=said.model_download_stall_seconds,
        startup_seconds=said.startup_seconds,
        verification_seconds=said.verification_seconds,
        point_grace_seconds=said.point_grace_seconds,
        calibration_seconds=CALIBRATION_SECONDS if generator.calibrate else 0,
        dataset_seconds=_dataset_seconds(spec.workload.dataset),
    )


def inline_rows(inline: InlineDataset) -> tuple[Row, ...]:
    """The rows as load pods get them."""
    return tuple(map(_row, inline.rows))


def _row(row: InlineRow) -> Row:
    said = row.messages
    messages = None if said is None else tuple(Message(role=m.role, content=m.content) for m in said)
    return Row(prompt=row.prompt, messages=messages, prompt_tokens=row.prompt_tokens, output_tokens=row.output_tokens)


def _dataset_seconds(dataset: Dataset) -> int:
    if not dataset.file:
        return 0
    if dataset.config_map is not None:
        return 180  # read in a moment: the rest is for a slow node
    return LARGE_FILE_SECONDS + (DOWNLOAD_SECONDS if dataset.url is not None else 0)


def load_generator(spec: BenchmarkRunSpec, *, prepares: bool = False) -> ResolvedLoadGenerator:
    """The load pod. A limit is a request too, where none is given: as the API server has it.

    `prepares`: the pod that only reads the data set, in one process.
    """
    said = spec.load_generator or _LOAD_GENERATOR
    resources = said.resources or _RESOURCES
    processes = 1 if prepares else said.processes
    reserved = {
        "cpu": f"{processes * PROCESS_MILLICORES}m",
        "memory": f"{FIRST_MEBIBYTES + (processes - 1) * FURTHER_MEBIBYTES}Mi",
    }
    return ResolvedLoadGenerator(
        pods=1 if prepares else said.pods,
        processes=processes,
        calibrate=said.calibrate,
        requests=merged(reserved, resources.limits, resources.requests),
        limits=merged(resources.limits),
        node_selector=merged(said.node_selector),
    )


def load_pods(spec: BenchmarkRunSpec) -> int:
    """How many load pods carry the load of a target together."""
    return (spec.load_generator or _LOAD_GENERATOR).pods


def guidellm(spec: BenchmarkRunSpec, target: Target) -> ResolvedGuideLlm | None:
    """What loads the target where it is GuideLLM, with the resources that the run gives to the load generator."""
    said = guidellm_of(spec, target)
    if said is None:
        return None
    resources = (spec.load_generator.resources if spec.load_generator is not None else None) or Resources()
    return ResolvedGuideLlm(
        version=said.version,
        image=said.image or f"{GUIDELLM_IMAGE}:{said.version}",
        args=tuple(said.args or ()),
        requests=merged(GUIDELLM_RESERVED, resources.limits, resources.requests),
        limits=merged(resources.limits),
    )


def topology(spec: BenchmarkRunSpec) -> Literal["SameNode", "SameProduct", "Any"]:
    """How the engines' nodes relate to each other."""
    return (spec.placement or Placement()).topology


def dialect(target: Target) -> Dialect:
    """Which API tells what the target serves."""
    return target.engine.dialect


def image(target: Target) -> str:
    """The engine's image; empty where the operator's own (simulated) or none (endpoint) runs."""
    engine = target.engine
    if isinstance(engine, Endpoint | Simulated):
        return ""
    return engine.image if isinstance(engine, LlamaCpp) else engine.image or engine.default_image


def resolve_simulated(said: Simulated) -> ResolvedSimulated:
    """The latency model with every default."""
    return ResolvedSimulated(
        api=said.api,
        model=said.model,
        slots=_or(said.slots, 32),
        max_queue=_or(said.max_queue, 512),
        prefill_microseconds_per_token=_or(said.prefill_microseconds_per_token, 100),
        decode_step_microseconds=_or(said.decode_step_microseconds, 10000),
        decode_step_microseconds_per_sequence=_or(said.decode_step_microseconds_per_sequence, 100),
        jitter_percent=_or(said.jitter_percent, 0),
        seed=_or(said.seed, 0),
    )


def _length_policy(spec: BenchmarkRunSpec) -> Literal["AsPublished", "Matched"]:
    return "Matched" if len({dialect(target) for target in spec.targets}) > 1 else "AsPublished"


_ONCE = Repeats(count=1)
_WARMUP, _TIMEOUTS, _LOAD_GENERATOR, _RESOURCES = Warmup(), Timeouts(), LoadGenerator(), Resources()


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
