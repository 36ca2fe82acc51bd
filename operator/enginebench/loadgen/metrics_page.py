"""The metrics of an engine in Prometheus' text format, as far as they are known here.

vLLM's names changed over its versions: of each metric the first name that is there is taken. Read in its sources
(vllm/v1/metrics/loggers.py): 0.9.1 has `gpu_cache_usage_perc`, `gpu_prefix_cache_*` and `time_per_output_token_seconds`;
0.32 has `kv_cache_usage_perc`, `prefix_cache_*` and `inter_token_latency_seconds`. Of what both mean by them:

- TTFT: from the request's arrival in the API server, after its HTTP was read, to when the first token came back to it.
- ITL: between two outputs of a request by the engine's own clock; an output is a token, or several with speculation.
"""

import math
import re
from statistics import fmean

from enginebench.results.engine_metrics import HISTOGRAMS

NAMES: dict[str, tuple[str, ...]] = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "kvCacheUsage": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "preemptions": ("vllm:num_preemptions_total",),
    "prefixQueries": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "prefixHits": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "promptTokens": ("vllm:prompt_tokens_total",),
    "generationTokens": ("vllm:generation_tokens_total",),
    "ttft": ("vllm:time_to_first_token_seconds",),
    "itl": ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
}
"""Ours → the engine's, the newest first."""
_AVERAGED = frozenset({"kvCacheUsage"})
"""Of several engine cores behind one server (data parallelism) these are averaged, all others summed."""
_SAMPLE = re.compile(
    rb"^(%s)(_sum|_count)?(?:\{.*\})? (\S+)" % b"|".join(re.escape(n.encode()) for ns in NAMES.values() for n in ns),
    re.MULTILINE,
)
_PARTS = {b"_sum": "Sum", b"_count": "Count", b"": ""}


def read(page: bytes) -> tuple[dict[str, str], dict[str, float]]:
    """(ours → the engine's name, ours → value). A histogram is `ttftSum` in seconds and `ttftCount`."""
    found: dict[tuple[str, str], list[float]] = {}
    for name, part, text in _SAMPLE.findall(page):
        try:
            value = float(text)
        except ValueError:
            continue
        if math.isfinite(value):
            found.setdefault((name.decode(), _PARTS[part]), []).append(value)
    names: dict[str, str] = {}
    values: dict[str, float] = {}
    for ours, candidates in NAMES.items():
        parts = ("Sum", "Count") if ours in HISTOGRAMS else ("",)
        theirs = next((name for name in candidates if all((name, part) in found for part in parts)), None)
        if theirs is None:
            continue
        names[ours] = theirs
        for part in parts:
            samples = found[theirs, part]
            values[ours + part] = fmean(samples) if ours in _AVERAGED else math.fsum(samples)
    return names, values
