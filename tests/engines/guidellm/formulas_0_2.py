"""Run by a Python that has GuideLLM 0.2.1: its own formulas over a trace (JSON on stdin) as JSON on stdout.

The calls are those of its `GenerativeBenchmark.from_stats`.
"""

import json
import sys

from guidellm.benchmark.benchmark import GenerativeTextResponseStats  # type: ignore[import-not-found]
from guidellm.objects import StatusDistributionSummary as Summary  # type: ignore[import-not-found]
from guidellm.scheduler import SchedulerRequestInfo  # type: ignore[import-not-found]

requests = [
    GenerativeTextResponseStats(
        request_id=None,
        request_type="chat_completions",
        scheduler_info=SchedulerRequestInfo(process_id=0),
        prompt="p",
        output="o",
        prompt_tokens=one["promptTokens"],
        output_tokens=one["outputTokens"],
        start_time=one["start"],
        end_time=one["last"],
        first_token_time=one["first"],
        last_token_time=one["last"],
    )
    for one in json.load(sys.stdin)
]
kinds = ["successful"] * len(requests)
spans = [(one.start_time, one.end_time) for one in requests]
metrics = {
    "ttft": Summary.from_values(kinds, [one.time_to_first_token_ms for one in requests]),
    "itl": Summary.from_values(
        kinds, [one.inter_token_latency_ms for one in requests], weights=[one.output_tokens - 1 for one in requests]
    ),
    "requestLatency": Summary.from_values(kinds, [1000 * one.request_latency for one in requests]),
    "requestsPerSecond": Summary.from_request_times(kinds, spans, distribution_type="rate"),
    "outputTokensPerSecond": Summary.from_iterable_request_times(
        request_types=kinds,
        requests=spans,
        first_iter_times=[one.first_token_time for one in requests],
        iter_counts=[one.output_tokens for one in requests],
    ),
}
json.dump({name: summary.successful.model_dump() for name, summary in metrics.items()}, sys.stdout)
