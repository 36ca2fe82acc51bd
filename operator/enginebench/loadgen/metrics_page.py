"""The metrics of an engine in Prometheus' text format, as far as they are known here.

llama.cpp's (tools/server/server-task.cpp) are counts alone: prompt tokens without those that its cache gave, and these.

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

_LLAMA_CPP_PROMPT = "llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total"
NAMES: dict[str, tuple[str | tuple[str, ...], ...]] = {
    "running": ("vllm:num_requests_running", "llamacpp:requests_processing"),
    "waiting": ("vllm:num_requests_waiting", "llamacpp:requests_deferred"),
    "kvCacheUsage": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    "preemptions": ("vllm:num_preemptions_total",),
    "prefixQueries": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total", _LLAMA_CPP_PROMPT),
    "prefixHits": (
        *("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
        "llamacpp:prompt_tokens_cached_total",
    ),
    "promptTokens": ("vllm:prompt_tokens_total", _LLAMA_CPP_PROMPT, "llamacpp:prompt_tokens_total"),
    "generationTokens": ("vllm:generation_tokens_total", "llamacpp:tokens_predicted_total"),
    "ttft": ("vllm:time_to_first_token_seconds",),
    "itl": ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
}
"""Ours → the engine's, the newest first; several together are their sum."""


def _each(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


_AVERAGED = frozenset({"kvCacheUsage"})
"""Of several engine cores behind one server (data parallelism) these are averaged, all others summed."""
_SAMPLE = re.compile(
    rb"^(%s)(_sum|_count)?(?:\{.*\})? (\S+)"
    % b"|".join(re.escape(name.encode()) for theirs in NAMES.values() for one in theirs for name in _each(one)),
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
        told = (_each(one) for one in candidates)
        theirs = next((each for each in told if all((name, part) in found for name in each for part in parts)), None)
        if theirs is None:
            continue
        names[ours] = " + ".join(theirs)
        for part in parts:
            samples = [sample for name in theirs for sample in found[name, part]]
            values[ours + part] = fmean(samples) if ours in _AVERAGED else math.fsum(samples)
    return names, values
