"""The engine's own metrics of a point, and what they give away: each brought about for real."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from enginebench.api import loadplan
from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.results import engine_metrics
from enginebench.results.point_report import EngineMetrics, PointReport
from enginebench.workflow.verdicts import judge_point
from tests.unit.loadgen.plans import plan
from tests.unit.validity import pods
from tests.unit.validity.slow_way import slow_way

TOKENS = 16


def users(url: str, count: int, **changes: Any) -> LoadPlan:
    """Answers of 16 tokens, for six seconds."""
    settings: dict[str, Any] = {
        "dataset": DatasetPlan(synthetic=SyntheticRows(rows=40, prompt_tokens=64, output_tokens=TOKENS)),
        "request": RequestPlan(api="Completions", max_output_tokens=TOKENS),
        "points": (PointPlan(index=0, concurrency=count),),
        "duration_seconds": 6,
        "ramp_seconds": 1,
    }
    return plan(url, **({"api": "Completions"} | settings | changes))


def metrics_of(report: PointReport) -> EngineMetrics:
    assert report.engine_metrics is not None
    return report.engine_metrics


@pytest.mark.parametrize("count", [1, 8, 64])
def test_a_healthy_engine_agrees_with_us(count: int, tmp_path: Path) -> None:
    """At 256 streams: test_healthy."""
    with pods.engine(prefix=pods.realtime(), prefill_microseconds_per_token=50) as (_, url):
        report = pods.measured(users(url, count), tmp_path, prefix=pods.realtime())
    found = metrics_of(report)
    assert found.unobserved == ""
    assert found.names["itl"] == "vllm:inter_token_latency_seconds"
    assert found.scrapes == 3  # as the window opens, five seconds later, as it closes
    assert found.seconds == pytest.approx(6, abs=0.5)
    assert found.running_max is not None
    assert found.waiting_max is not None
    assert 0 < found.running_max <= count
    assert found.waiting_max <= count
    assert found.kv_cache_usage_mean is not None
    assert 0 < found.kv_cache_usage_mean < 0.1
    assert found.preemptions == 0
    assert found.prefix_cache_hit_rate is None  # it caches no prefixes
    assert found.own_ttft_count == pytest.approx(found.ttft_count, abs=count + 1)
    assert found.own_gap_mean == pytest.approx(found.itl_mean, rel=0.05, abs=0.5)
    columns = engine_metrics.decode(report.engine_series).columns
    assert sum(columns["generationTokens"]) == pytest.approx(found.generation_tokens, rel=1e-3)  # type: ignore[arg-type]
    assert not {"EngineDisagrees", "EngineShared", "CacheInfluenced"} & set(judge_point(report).reasons)


def test_a_way_that_delays_answers_is_seen_in_ttft(tmp_path: Path) -> None:
    with pods.engine() as (_, url), slow_way(url, delay=0.04) as slow:
        report = pods.measured(users(slow, 4), tmp_path)
    verdict, found = judge_point(report), metrics_of(report)
    assert "EngineDisagrees" in verdict.reasons, verdict
    assert "mean TTFT" in verdict.message
    assert found.own_ttft_mean is not None
    assert found.ttft_mean is not None
    assert found.own_ttft_mean - found.ttft_mean > 35
    assert f"{found.own_ttft_mean:.4g} ms here and {found.ttft_mean:.4g} ms" in verdict.message


def test_a_way_that_gathers_events_is_seen_in_itl(tmp_path: Path) -> None:
    with pods.engine() as (_, url), slow_way(url, gather=0.05) as slow:
        report = pods.measured(users(slow, 4), tmp_path)
    verdict, found = judge_point(report), metrics_of(report)
    assert "EngineDisagrees" in verdict.reasons, verdict
    assert "mean ITL" in verdict.message
    assert found.itl_mean == pytest.approx(10, rel=0.2)
    assert found.own_gap_mean is not None
    assert found.own_gap_mean < 1


def test_somebody_else_at_the_engine_is_seen(tmp_path: Path) -> None:
    others = tmp_path / "others"
    others.mkdir()
    with pods.engine() as (_, url):
        file = others / "plan.json"
        file.write_bytes(loadplan.encode(users(url, 8, duration_seconds=60)))
        command = pods.command("loadgen", "--plan", str(file))
        with subprocess.Popen(command, env=pods.ENVIRONMENT, stdout=subprocess.DEVNULL) as process:
            try:
                report = pods.measured(users(url, 4), tmp_path)
            finally:
                process.kill()
    verdict, found = judge_point(report), metrics_of(report)
    assert "EngineShared" in verdict.reasons, verdict
    assert found.ttft_count is not None
    assert found.own_ttft_count is not None
    assert found.ttft_count > 2 * found.own_ttft_count
    assert "somebody else uses it" in verdict.message


def test_prompts_from_the_prefix_cache_are_seen(tmp_path: Path) -> None:
    with pods.engine(flags=("--prefix-caching",)) as (_, url):
        repeated = pods.measured(users(url, 4, prompt_reuse="AsIs"), tmp_path)
        salted = pods.measured(users(url, 4), tmp_path)
    rate = metrics_of(repeated).prefix_cache_hit_rate
    assert rate is not None
    assert rate > 0.7  # of a prompt of a few tokens more than whole blocks
    assert "in its prefix cache" in judge_point(repeated).message
    assert metrics_of(salted).prefix_cache_hit_rate == 0
    assert "CacheInfluenced" not in judge_point(salted).reasons


def test_an_engine_without_metrics_is_said_to_be_unobserved(tmp_path: Path) -> None:
    with pods.engine(api="Ollama") as (_, url):
        ollama = pods.measured(users(url, 2, api="OllamaGenerate", model="tiny:latest"), tmp_path)
        endpoint = pods.measured(users(url, 2, dialect="openai", model="tiny:latest"), tmp_path)
    assert metrics_of(ollama).unobserved == "Ollama has no metrics of its own"
    assert metrics_of(endpoint).unobserved == "its /metrics has none of the names that are known"
    assert ollama.engine_series == endpoint.engine_series == b""
    assert not {"EngineDisagrees", "EngineShared"} & set(judge_point(ollama).reasons)
