"""Pages of metrics as several vLLMs write them."""

import pytest

from enginebench.loadgen.metrics_page import read

OLD = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 3.0
vllm:num_requests_waiting{engine="0",model_name="tiny"} 1.0
vllm:gpu_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:gpu_prefix_cache_queries_total{engine="0",model_name="tiny"} 100.0
vllm:gpu_prefix_cache_queries_created{engine="0",model_name="tiny"} 1.7637e+09
vllm:gpu_prefix_cache_hits_total{engine="0",model_name="tiny"} 20.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="tiny"} 0.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="tiny"} 7.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="tiny"} 0.5
vllm:time_per_output_token_seconds_count{engine="0",model_name="tiny"} 70.0
vllm:time_per_output_token_seconds_sum{engine="0",model_name="tiny"} 2.0
"""
"""0.9.1's names."""
NEW = b"""vllm:num_requests_running{engine="0",model_name="a}b"} 3.0
vllm:num_requests_running{engine="1",model_name="a}b"} 4.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="a}b",reason="capacity"} 9.0
vllm:kv_cache_usage_perc{engine="0",model_name="a}b"} 0.2
vllm:kv_cache_usage_perc{engine="1",model_name="a}b"} 0.4
vllm:gpu_cache_usage_perc{engine="0",model_name="a}b"} 0.9
vllm:prefix_cache_queries_total{engine="0",model_name="a}b"} 1e+06
vllm:prompt_tokens_total{engine="0",model_name="a}b"} NaN
vllm:inter_token_latency_seconds_count{engine="0",model_name="a}b"} 70.0
vllm:inter_token_latency_seconds_sum{engine="0",model_name="a}b"} 2.0
vllm:time_per_output_token_seconds_count{engine="0",model_name="a}b"} 1.0
vllm:time_per_output_token_seconds_sum{engine="0",model_name="a}b"} 1.0
vllm:request_time_per_output_token_seconds_sum{engine="0",model_name="a}b"} 5.0
"""
"""Two engine cores, names of 0.32 beside older ones."""

LLAMA_CPP = b"""# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 70
llamacpp:prompt_tokens_cached_total 30
llamacpp:prompt_seconds_total 1.5
llamacpp:tokens_predicted_total 200
llamacpp:tokens_predicted_seconds_total 3
llamacpp:prompt_tokens_seconds 46
llamacpp:requests_processing 4
llamacpp:requests_deferred 12
"""
"""b11549's names, without those of speculation."""


def test_the_names_of_llama_cpp() -> None:
    names, values = read(LLAMA_CPP)
    assert values == {
        "running": 4.0, "waiting": 12.0, "prefixQueries": 100.0, "prefixHits": 30.0, "promptTokens": 100.0,
        "generationTokens": 200.0,
    }  # fmt: skip
    assert names["prefixQueries"] == "llamacpp:prompt_tokens_total + llamacpp:prompt_tokens_cached_total"
    _, before = read(LLAMA_CPP.replace(b"llamacpp:prompt_tokens_cached_total 30\n", b""))
    assert before["promptTokens"] == 70.0  # an earlier one tells nothing of its cache
    assert not {"prefixQueries", "prefixHits"} & set(before)


def test_the_names_of_an_old_version() -> None:
    names, values = read(OLD)
    assert values == {
        "running": 3.0, "waiting": 1.0, "kvCacheUsage": 0.25, "prefixQueries": 100.0, "prefixHits": 20.0,
        "ttftSum": 0.5, "ttftCount": 7.0, "itlSum": 2.0, "itlCount": 70.0,
    }  # fmt: skip
    assert names["kvCacheUsage"] == "vllm:gpu_cache_usage_perc"
    assert names["itl"] == "vllm:time_per_output_token_seconds"
    assert "preemptions" not in names


def test_the_newest_name_is_taken_and_engine_cores_are_put_together() -> None:
    names, values = read(NEW)
    assert values == {
        "running": 7.0, "kvCacheUsage": pytest.approx(0.3), "prefixQueries": 1e6, "itlSum": 2.0, "itlCount": 70.0,
    }  # fmt: skip
    assert names["kvCacheUsage"] == "vllm:kv_cache_usage_perc"
    assert names["itl"] == "vllm:inter_token_latency_seconds"


@pytest.mark.parametrize(
    "page", [b"", b"<html>vllm:num_requests_running</html>", b"vllm:num_requests_running x\n", b"\xff"]
)
def test_what_is_no_page_of_metrics_has_none(page: bytes) -> None:
    assert read(page) == ({}, {})
