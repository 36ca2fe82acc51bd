"""Run by a Python that has GuideLLM 0.8.1: its own formulas over a trace (JSON on stdin) as JSON on stdout.

The calls are those of its `GenerativeMetrics.compile`.
"""

import json
import sys

from guidellm.schemas import (  # type: ignore[import-not-found]
    GenerativeRequestStats,
    RequestInfo,
    RequestTimings,
    UsageMetrics,
)
from guidellm.schemas import StatusDistributionSummary as Summary

requests = [
    GenerativeRequestStats(
        request_id=str(number),
        info=RequestInfo(
            status="completed",
            timings=RequestTimings(
                request_start=one["start"],
                first_token_iteration=one["first"],
                last_token_iteration=one["last"],
                token_iterations=one["outputTokens"],
                request_end=one["last"],
                resolve_end=one["last"],
            ),
        ),
        input_metrics=UsageMetrics(text_tokens=one["promptTokens"]),
        output_metrics=UsageMetrics(text_tokens=one["outputTokens"]),
    )
    for number, one in enumerate(json.load(sys.stdin))
]
of = {"successful": requests, "incomplete": [], "errored": []}
span = {
    "start_time": min(one.request_start_time for one in requests),
    "end_time": max(one.request_end_time for one in requests),
}
values, rates = Summary.from_values_function, Summary.rate_distribution_from_timings_function
metrics = {
    "ttft": values(function=lambda one: one.time_to_first_token_ms, **of),
    "itl": values(function=lambda one: (one.inter_token_latency_ms, one.output_tokens - 1.0), **of),
    "requestLatency": values(function=lambda one: 1000 * one.request_latency, **of),
    "requestsPerSecond": rates(function=lambda one: one.request_end_time, **of, **span),
    "outputTokensPerSecond": rates(function=lambda one: one.output_tokens_timings, **of, **span),
}
json.dump({name: summary.successful.model_dump() for name, summary in metrics.items()}, sys.stdout)
