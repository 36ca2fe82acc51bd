"""From what the load pods said to rows of the status, each point once, and which rows still count."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from enginebench.api.generators import GUIDELLM
from enginebench.api.v1alpha1 import (
    AtLeast,
    Attempt,
    FinishReasons,
    PercentileStatus,
    PointEngine,
    PointGpu,
    PointLoad,
    PointRequests,
    PointStatus,
)
from enginebench.results.measured import tps_error
from enginebench.results.point_report import Censored, EngineMetrics, Figure, GpuState, PointReport
from enginebench.results.rounding import short
from enginebench.workflow.observed import SILENCE, Observed, ReceivedPoint, Role, StoredPoint
from enginebench.workflow.plan import Keep
from enginebench.workflow.problem import AGAIN
from enginebench.workflow.skipped import measured
from enginebench.workflow.verdicts import Verdict, judge_point

Key = tuple[str, int, int]
"""(target, attempt, index): a point belongs to exactly one attempt."""

COLD = "the warm-up reached its bound (workload.warmup.maxSeconds) before all that it had sent was answered"
MEASURED_AGAIN = frozenset({"Interrupted", "EngineRestarted", "ErrorRate", "LoadPodLost"})
"""A point with one of these is measured again when its attempt was cut off through no fault of its own: the errors
may be those of an engine that was taken away."""


def collect(seen: Observed) -> tuple[list[PointStatus], tuple[Keep, ...]]:
    """All measured rows, old and new, and the new points that must be durable before the status tells of them."""
    rows = {(row.target, row.attempt, row.index): row for row in measured(seen.status.points or ())}
    keep: list[Keep] = []
    ended = _engine_ends(seen)
    for stored in seen.stored:
        key = (stored.target, stored.attempt, stored.point.report.index)
        rows.setdefault(key, _row(seen, key, stored.point, ended.get(key[:2])))
    for heard in _heard(seen):
        key = (heard.target, heard.attempt, heard.point.report.index)
        engine_end = ended.get(key[:2])
        if key not in rows:
            keep.append(Keep(heard.target, heard.attempt, heard.point))
            rows[key] = _row(seen, key, heard.point, engine_end)
        elif engine_end is not None and _verdict_changes(rows[key], heard.point.report, engine_end):
            rows[key] = _row(seen, key, heard.point, engine_end)
    return in_order([target.name for target in seen.spec.targets] if seen.spec else [], rows.values()), tuple(keep)


def _heard(seen: Observed) -> Iterator[StoredPoint]:
    for pod in seen.pods:
        if pod.role is Role.LOAD and pod.target:
            for point in seen.heard.get(pod.uid, SILENCE).points:
                yield StoredPoint(pod.target, pod.attempt, point)
    yield from seen.late


def supersede(rows: Sequence[PointStatus], attempts: Mapping[str, Sequence[Attempt]]) -> list[PointStatus]:
    """The rows, those marked that a later attempt measures again: cut off, or served by another engine; and of two
    that tell of the same point (the pod of one came back from a lost node) the one that is not the best.

    Another repeat is another engine on purpose: only attempts of the same one are held against each other.
    """
    counted = [
        row for row in rows if row.validity != "Superseded" and not _superseded(row, attempts.get(row.target, ()))
    ]
    best: dict[tuple[str, int, int | None], PointStatus] = {}
    for row in sorted(counted, key=lambda row: (not MEASURED_AGAIN & set(row.reasons or ()), row.attempt)):
        best[row.target, row.index, row.repeat] = row
    kept = {id(row) for row in best.values()}
    return [
        row if row.validity == "Superseded" or id(row) in kept else row.model_copy(update={"validity": "Superseded"})
        for row in rows
    ]


def _superseded(row: PointStatus, attempts: Sequence[Attempt]) -> bool:
    own = next((a for a in attempts if a.number == row.attempt), None)
    if own is None:
        return False
    if own.reason in AGAIN and MEASURED_AGAIN & set(row.reasons or ()):
        return True
    newest = next((a for a in reversed(attempts) if a.fingerprint and a.repeat == own.repeat), None)
    return newest is not None and bool(own.fingerprint) and own.fingerprint != newest.fingerprint


def _engine_ends(seen: Observed) -> dict[tuple[str, int], float]:
    """(target, attempt) → when the engine's container ended, Unix seconds, at the latest: the kubelet cuts them off."""
    return {
        (pod.target, pod.attempt): pod.terminated.at.timestamp() + 1.0
        for pod in seen.pods
        if pod.role is Role.ENGINE and pod.terminated is not None
    }


def _gpu_sharing(seen: Observed, target: str) -> str:
    """As an earlier pass has read it from the node: a point comes long after its engine's pod."""
    known = next((t for t in seen.status.targets or () if t.name == target), None)
    gpu = known.engine.gpu if known is not None and known.engine is not None else None
    if gpu is None or not gpu.sharing:
        return ""
    return gpu.sharing if gpu.replicas is None else f"{gpu.sharing}, each handed out {gpu.replicas} times"


def _context_length(seen: Observed, target: str) -> int | None:
    """Of an Ollama, as an earlier pass has read it from its log or was told. Others refuse longer prompts."""
    asked = seen.spec.targets if seen.spec is not None else ()
    if not any(one.engine.dialect == "ollama" for one in asked if one.name == target):
        return None
    known = next((t for t in seen.status.targets or () if t.name == target), None)
    effective = known.engine.effective if known is not None and known.engine is not None else None
    length = (effective or {}).get("contextLength")
    return length if isinstance(length, int) else None


def _verdict_changes(row: PointStatus, report: PointReport, engine_end: float) -> bool:
    return engine_end <= report.ended_at and "EngineRestarted" not in (row.reasons or ())


def in_order(targets: Sequence[str], rows: Iterable[PointStatus]) -> list[PointStatus]:
    """By target, load point and attempt."""
    places = {name: i for i, name in enumerate(targets)}
    return sorted(rows, key=lambda row: (places.get(row.target, len(places)), row.index, row.attempt))


def _row(seen: Observed, key: Key, received: ReceivedPoint, engine_end: float | None) -> PointStatus:
    target, attempt, index = key
    report = received.report
    verdict = judge_point(
        report,
        engine_ended_at=engine_end,
        gpu_sharing=_gpu_sharing(seen, target),
        context_length=_context_length(seen, target),
    )
    assert seen.terms is not None  # a load pod follows from a spec
    full = seen.terms.detailed
    judged = seen.terms.stop_when is not None and seen.terms.stop_when.saturated
    outline = (seen.terms.repeated or judged) and not full
    other = report.generator == GUIDELLM
    return PointStatus(
        target=target,
        attempt=attempt,
        index=index,
        repeat=report.repeat if seen.terms.repeated else None,
        load=PointLoad(
            concurrency=report.concurrency,
            throughput=report.throughput or None,
            request_rate=report.request_rate,
        ),
        generator=report.generator if other else None,
        generator_version=(report.generator_version or None) if other else None,
        validity=verdict.validity,
        reasons=list(verdict.reasons) or None,
        message=_message(verdict, report) if full or report.requests_error else None,
        requests=PointRequests(
            succeeded=report.requests.succeeded,
            errored=report.requests.errored,
            incomplete=report.requests.incomplete,
        ),
        finish_reasons=_finish_reasons(report) if full else None,
        prompt_tokens_mean=_short(report.prompt_tokens_mean) if full else None,
        output_tokens_mean=_short(report.output_tokens_mean) if full else None,
        requests_per_second=short(report.requests_per_second),
        output_tokens_per_second=short(report.output_tokens_per_second),
        output_tokens_per_second_error=tps_error(report) if judged else None,
        ttft_milliseconds=_percentiles(report.ttft, outline=outline),
        itl_milliseconds=_percentiles(report.itl, outline=outline),
        tpot_milliseconds=_percentiles(report.tpot) if full else None,
        request_latency_milliseconds=_percentiles(report.request_latency) if full else None,
        engine=_engine(report.engine_metrics) if full else None,
        gpu_state=_gpu_state(report.gpu_state) if full else None,
    )


def _gpu_state(state: GpuState | None) -> PointGpu | None:
    if state is None or state.unobserved:
        return None if state is None else PointGpu(unobserved=state.unobserved)
    return PointGpu(
        sm_clock_mean=_short(state.sm_clock_mean),
        sm_clock_min=_short(state.sm_clock_min),
        power_mean=_short(state.power_mean),
        temperature_max=_short(state.temperature_max),
        utilization_mean=_short(state.utilization_mean),
        memory_used_max=_short(state.memory_used_max),
        thermal_throttling=_short(state.thermal_throttling),
    )


def _finish_reasons(report: PointReport) -> FinishReasons | None:
    told = report.evidence.finish_reasons
    if not told:
        return None
    length, stop = told.get("length", 0), told.get("stop", 0)
    return FinishReasons(length=length, stop=stop, other=report.requests.succeeded - length - stop)


def _engine(metrics: EngineMetrics | None) -> PointEngine | None:
    if metrics is None:
        return None
    if metrics.unobserved:
        return PointEngine(unobserved=metrics.unobserved)
    return PointEngine(
        running_mean=_short(metrics.running_mean),
        running_max=_short(metrics.running_max),
        waiting_mean=_short(metrics.waiting_mean),
        waiting_max=_short(metrics.waiting_max),
        kv_cache_usage_mean=_short(metrics.kv_cache_usage_mean),
        kv_cache_usage_max=_short(metrics.kv_cache_usage_max),
        preemptions=None if metrics.preemptions is None else round(metrics.preemptions),
        prefix_cache_hit_rate=_short(metrics.prefix_cache_hit_rate),
    )


def _short(value: float | None) -> float | None:
    return None if value is None else short(value)


def _message(verdict: Verdict, report: PointReport) -> str | None:
    """Why it is worth no more, what else is to be known, and what could not be kept of it."""
    cold = COLD if report.evidence.warmup_bound_reached else ""
    lost = f"its single requests could not be kept: {report.requests_error}" if report.requests_error else ""
    return "; ".join(part for part in (verdict.message, cold, lost) if part) or None


def _percentiles(figure: Figure, *, outline: bool = False) -> PercentileStatus | None:
    if not figure.count:
        return None
    return PercentileStatus(
        count=figure.count,
        p50=_value(figure.p50),
        p90=_value(figure.p90) if not outline else None,
        p95=_value(figure.p95) if not outline else None,
        p99=_value(figure.p99),
        censored=(figure.censored or None) if not outline else None,
    )


def _value(value: float | Censored | None) -> float | AtLeast | None:
    if isinstance(value, Censored):
        return AtLeast(at_least=short(value.at_least))
    return None if value is None else short(value)
