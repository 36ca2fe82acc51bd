"""A run as a GuideLLM report file (schema version 2, GuideLLM 0.8), for tools that read those.

Only what means the same is filled in: counts, rates, TTFT, ITL and request latency. GuideLLM's "TPOT" counts from the
request's start, which no figure of ours does: it, and what else we do not have, is an empty distribution (count 0).
GuideLLM knows no censoring and no validity: points that are Invalid, Skipped or Superseded are left out, and the
distributions are of what was observed; how many requests were still open stands in `request_totals.incomplete`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from enginebench import __version__
from enginebench.export.run import Point, Run
from enginebench.results.histogram import Histogram
from enginebench.results.point_report import PointReport

SCHEMA_VERSION = 2
LEFT_OUT = frozenset({"Invalid", "Skipped", "Superseded"})
PERMILLES = {
    **{"p001": 1, "p01": 10, "p05": 50, "p10": 100, "p25": 250, "p50": 500},
    **{"p75": 750, "p90": 900, "p95": 950, "p99": 990, "p999": 999},
}
SECOND, MILLISECOND = 1e9, 1e6

JsonObject = dict[str, Any]
Bucket = tuple[int, int, int]
"""(from, below, weight)."""


def as_guidellm(run: Run) -> bytes:
    """The report; a benchmark a load point, those of all targets in the order of the status."""
    points = [
        (point, report)
        for point in run.points
        if (report := point.report) is not None and point.row.get("validity") not in LEFT_OUT
    ]
    strategies = [_strategy(run, report) for _, report in points]
    document = {
        "metadata": {
            "version": SCHEMA_VERSION,
            "guidellm_version": f"none: exported by enginebench {__version__}",
            "python_version": "",
            "platform": "",
        },
        "config": {
            "spec": {
                "profile": _profile(strategies),
                "data": [{"kind": "in_memory_item_list", "data": []}],
                "backend": {"kind": "openai_http", "target": "http://enginebench.invalid", "model": ""},
            },
        },
        "benchmarks": [
            _benchmark(run, point, report, strategies[number], number) for number, (point, report) in enumerate(points)
        ],
    }
    return msgspec.json.encode(document)


def _strategy(run: Run, report: PointReport) -> JsonObject:
    """The point's load in GuideLLM's words."""
    if report.request_rate is None:
        return {"type_": "concurrent", "streams": report.concurrency}
    load = run.object["spec"]["workload"]["load"]
    said = load.get("requestRate") or (load.get("sweep") or {}).get("requestRate") or {}
    return {"type_": said.get("arrival", "Poisson").lower(), "rate": report.request_rate}


def _profile(strategies: Sequence[JsonObject]) -> JsonObject:
    """What would run these strategies; without any, the least there is."""
    kind = strategies[0]["type_"] if strategies else "concurrent"
    member = "streams" if kind == "concurrent" else "rate"
    return {"kind": kind, member: sorted({s[member] for s in strategies if member in s}) or [1]}


def _benchmark(run: Run, point: Point, report: PointReport, strategy: JsonObject, number: int) -> JsonObject:
    target = point.row["target"]
    counts = report.requests
    done = counts.succeeded + counts.incomplete + counts.errored
    totals = {
        "successful": counts.succeeded,
        "incomplete": counts.incomplete,
        "errored": counts.errored,
        "total": done,
    }
    uid = run.object["metadata"]["uid"]
    return {
        "type_": "generative_benchmark",
        "config": {
            "id_": f"{uid}/{target}/{point.row['attempt']}/{report.index}",
            "run_id": uid,
            "run_index": number,
            "strategy": strategy,
            "constraints": {},
            "profile": _profile([strategy]),
            "requests": {},
            "backend": {"target": target},
            "environment": {"generator": f"{report.generator} {report.generator_version}", "validity": point.row},
        },
        "scheduler_state": {
            "start_time": report.started_at,
            "end_time": report.ended_at,
            "created_requests": done,
            "processed_requests": done,
            "successful_requests": counts.succeeded,
            "errored_requests": counts.errored,
            "cancelled_requests": counts.incomplete,
        },
        "scheduler_metrics": {
            "start_time": report.started_at,
            "request_start_time": report.started_at,
            "measure_start_time": report.opened_at,
            "measure_end_time": report.opened_at + report.window_seconds,
            "request_end_time": report.ended_at,
            "end_time": report.ended_at,
            "requests_made": totals,
            "strategy_type": strategy["type_"],
            **dict.fromkeys(AVERAGES, 0.0),
        },
        "metrics": _metrics(report, totals),
        "requests": {"successful": [], "incomplete": [], "errored": [], "total": None},
    }


AVERAGES = (
    *("queued_time_avg", "resolve_start_delay_avg", "resolve_targeted_start_delay_avg", "request_start_delay_avg"),
    *("request_targeted_start_delay_avg", "request_time_avg", "resolve_end_delay_avg", "resolve_time_avg"),
    *("finalized_delay_avg", "processed_delay_avg"),
)
"""Of GuideLLM's own scheduler, which has not run."""
NOT_MEASURED = (
    *("request_streaming_iterations_count", "total_token_count", "time_per_output_token_ms"),
    *("time_to_first_output_token_ms", "time_to_last_round_trip_ms", "avg_round_trip_time_ms"),
    *("prompt_tokens_per_second", "output_tokens_per_iteration", "iter_tokens_per_iteration"),
)
KINDS = {
    "text": ("tokens", "words", "characters"),
    "image": ("tokens", "images", "pixels", "bytes"),
    "video": ("tokens", "frames", "seconds", "bytes"),
    "audio": ("tokens", "samples", "seconds", "bytes"),
    "tool_call": ("tokens", "mixed_tokens", "count"),
}
"""Of content, by kind: null where nothing is told."""


def _metrics(report: PointReport, totals: Mapping[str, int]) -> JsonObject:
    count = report.requests.succeeded
    return {
        "request_totals": totals,
        "requests_per_second": _all_alike(report.requests_per_second, count),
        "request_concurrency": _all_alike(report.concurrency, count),
        "request_latency": _distribution(report, "requestLatency", SECOND),
        "prompt_token_count": _all_alike(report.prompt_tokens_mean, count),
        "output_token_count": _all_alike(report.output_tokens_mean, count),
        "time_to_first_token_ms": _distribution(report, "ttft", MILLISECOND),
        "inter_token_latency_ms": _distribution(report, "itl", MILLISECOND),
        "output_tokens_per_second": _all_alike(report.output_tokens_per_second, count),
        "tokens_per_second": _all_alike(report.total_tokens_per_second, count),
        **{name: _of_successful(EMPTY) for name in NOT_MEASURED},
        **{kind: dict.fromkeys(members) for kind, members in KINDS.items()},
    }


def _summary(buckets: Sequence[tuple[float, float]], mean: float, least: float, most: float, count: int) -> JsonObject:
    """A distribution from (value, weight) in order of values."""
    total = math.fsum(weight for _, weight in buckets)
    variance = math.fsum(weight * (value - mean) ** 2 for value, weight in buckets) / total if total else 0.0
    percentiles = {name: _at(buckets, permille / 1000 * total) for name, permille in PERMILLES.items()}
    return {
        "mean": mean,
        "median": percentiles["p50"],
        "mode": max(buckets, key=lambda bucket: bucket[1], default=(0.0, 0.0))[0],
        "variance": variance,
        "std_dev": math.sqrt(variance),
        "min": least,
        "max": most,
        "count": count,
        "total_sum": mean * count,
        "percentiles": percentiles,
    }


def _at(buckets: Sequence[tuple[float, float]], rank: float) -> float:
    seen = 0.0
    for value, weight in buckets:
        seen += weight
        if seen >= rank:
            return value
    return 0.0


EMPTY = _summary((), 0.0, 0.0, 0.0, 0)


def _of_successful(summary: JsonObject) -> JsonObject:
    return {"successful": summary, "incomplete": EMPTY, "errored": EMPTY, "total": summary}


def _all_alike(value: float | None, count: int) -> JsonObject:
    """Of a quantity of which only the mean is kept."""
    if value is None or not count:
        return _of_successful(EMPTY)
    return _of_successful(_summary([(value, 1.0)], value, value, value, count))


def _distribution(report: PointReport, name: str, unit: float) -> JsonObject:
    data = report.histograms.get(name)
    if data is None:
        return _of_successful(EMPTY)
    histogram = Histogram.from_bytes(data)
    least, most = histogram.minimum / unit, histogram.maximum / unit
    buckets = [
        (min(most, max(least, (start + below - 1) / 2 / unit)), float(weight))
        for start, below, weight in histogram.buckets()
    ]
    return _of_successful(_summary(buckets, (histogram.mean() or 0.0) / unit, least, most, histogram.samples))
