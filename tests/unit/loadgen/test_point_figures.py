"""What a load point says, against a real server of known timing in the same process: figures, counts, distributions."""

import gzip
import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from enginebench.api.loadplan import RequestPlan
from enginebench.loadgen import point
from enginebench.results.frames import Encoder
from enginebench.results.grid import Grid
from enginebench.results.histogram import Histogram
from enginebench.results.series import decode
from tests.support.engine import Behaviour, Engine
from tests.unit.loadgen.points import measured, steady

ROUTES = ("ChatCompletions", "Completions", "OllamaChat", "OllamaGenerate")


@pytest.mark.parametrize("api", ROUTES)
async def test_figures_are_what_the_server_did_by_its_own_clock(api: str) -> None:
    engine = Engine(behave=steady(ttft=0.05, gap=0.01))
    report = await measured(engine, users=4, api=api)
    assert report.window_seconds == pytest.approx(1.0, abs=0.1)
    assert report.requests.errored == report.requests.incomplete == 0
    assert report.requests.succeeded >= 12
    did = {
        "ttft": median(1000 * (served.first - served.asked) for served in engine.served),
        "itl": median(1000 * (served.last - served.first) / 9 for served in engine.served),
        "latency": median(1000 * (served.last - served.asked) for served in engine.served),
    }
    said = {"ttft": report.ttft.p50, "itl": report.itl.p50, "latency": report.request_latency.p50}
    assert said == pytest.approx(did, rel=0.2, abs=2)
    assert did["ttft"] >= 49  # timers count in milliseconds
    assert report.inter_event_gap.count > 90
    assert (report.ttft.count, report.tpot.count) == (report.requests.succeeded, report.requests.succeeded)
    assert report.output_tokens_mean == 10
    assert report.prompt_tokens_mean == 7
    assert report.output_tokens_per_second == pytest.approx(10 * report.requests_per_second, rel=0.35)
    assert report.total_tokens_per_second == pytest.approx(1.7 * report.output_tokens_per_second, rel=0.35)
    evidence = report.evidence
    assert (evidence.token_source, evidence.tokens_per_event) == ("usage", 1.0)
    assert evidence.finish_reasons == {"length": report.requests.succeeded}
    assert evidence.errors == {}
    assert evidence.engine_start_before == evidence.engine_start_after == 1000.0
    assert evidence.client_cpu_percent is not None
    assert evidence.own_lag is not None
    bounds = (evidence.interrupted, evidence.warmup_bound_reached, evidence.drain_bound_reached)
    assert bounds == (False, False, False)


@pytest.mark.parametrize("api", ["ChatCompletions", "OllamaChat", "OllamaGenerate"])
async def test_the_first_output_token_is_told_apart_from_the_first_of_the_reasoning(api: str) -> None:
    engine = Engine(behave=steady(thinking=4, gap=0.02))
    report = await measured(engine, api=api, duration_seconds=None, max_requests=6)
    output = report.time_to_first_output_token
    assert output is not None
    assert output.count == report.ttft.count == 6
    assert isinstance(output.p50, float)
    assert isinstance(report.ttft.p50, float)
    assert output.p50 >= report.ttft.p50 + 4 * 19  # timers count in milliseconds
    assert report.output_tokens_mean == 10
    assert (report.evidence.token_source, report.evidence.tokens_per_event) == ("usage", 1.0)
    kept = Histogram.from_bytes(report.histograms["timeToFirstOutputToken"])
    assert kept.samples == 6
    assert (kept.quantile(50) or 0) / 1e6 == pytest.approx(output.p50, rel=0.004)
    assert "timeToFirstOutputTokenCensored" not in report.histograms


async def test_answers_that_never_leave_their_reasoning_have_their_time_kept_as_censored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(point, "MIN_DRAIN_SECONDS", 0.2)
    quick, slow = Behaviour(thinking=4), Behaviour(thinking=10, gap=1.0)
    report = await measured(Engine(behave=lambda n: slow if n >= 6 else quick), duration_seconds=1)
    output = report.time_to_first_output_token
    assert output is not None
    assert output.censored > 0
    assert 0 < report.evidence.tokens_estimated < 1
    assert Histogram.from_bytes(report.histograms["timeToFirstOutputTokenCensored"]).samples == output.censored


async def test_guidellms_way_of_counting_stands_beside_ours() -> None:
    report = await measured(Engine(), users=3)
    theirs = report.guidellm
    assert theirs is not None
    assert 0 < theirs.requests <= report.requests.succeeded
    assert theirs.seconds <= report.window_seconds
    assert theirs.requests_per_second == pytest.approx(theirs.requests / theirs.seconds)
    assert theirs.output_tokens_per_second == pytest.approx(10 * theirs.requests_per_second)
    assert report.time_to_first_output_token is None
    assert report.request is not None
    assert '"max_tokens":10' in report.request.json


async def test_distributions_and_series_agree_with_the_figures() -> None:
    report = await measured(Engine(), users=3)
    grid = Grid.from_bytes(report.histograms["ttftTpot"])
    assert grid.samples == report.requests.succeeded
    histograms = {name: Histogram.from_bytes(data) for name, data in report.histograms.items() if name != "ttftTpot"}
    assert set(histograms) == {"ttft", "requestLatency", "itl", "tpot", "interEventGap"}
    assert histograms["ttft"].samples == report.ttft.count
    assert histograms["itl"].weight == 9 * report.itl.count
    assert histograms["interEventGap"].samples == report.inter_event_gap.count
    series = decode(report.series)
    assert series.step_seconds == 1
    assert sum(series.started) == report.requests.succeeded
    assert sum(series.finished) == pytest.approx(report.requests_per_second * report.window_seconds)
    tokens = report.output_tokens_per_second * report.window_seconds
    assert sum(series.events) == pytest.approx(tokens)
    assert series.in_flight == [3]


async def test_a_point_keeps_within_its_bytes_and_keeps_its_figures() -> None:
    report = await measured(Engine(), users=3, duration_seconds=3, point_bytes=1500)
    assert sum(map(len, Encoder().message(report))) <= 1500
    assert len(report.histograms) < 5
    assert report.ttft.p50 is not None


async def test_usage_counts_tokens_where_events_carry_several() -> None:
    engine = Engine(behave=steady(tokens_per_event=3))
    report = await measured(engine, max_requests=8)
    assert (report.evidence.token_source, report.evidence.tokens_per_event) == ("usage", 3.0)
    assert report.output_tokens_mean == 30
    assert isinstance(report.itl.p50, float)
    assert isinstance(report.inter_event_gap.p50, float)
    did = median(1000 * (served.last - served.first) / 29 for served in engine.served)
    assert report.itl.p50 == pytest.approx(did, rel=0.2)


@pytest.mark.parametrize("api", ["ChatCompletions", "Completions"])
async def test_tokens_of_unfinished_requests_are_exact_where_every_event_counts_them(
    api: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The later answers carry twice as many tokens an event, and do not end in time."""
    monkeypatch.setattr(point, "MIN_DRAIN_SECONDS", 0.2)
    quick, slow = Behaviour(tokens_per_event=2), Behaviour(tokens_per_event=4, gap=1.0)
    for wanted in (True, False):
        engine = Engine(behave=lambda n: slow if n >= 6 else quick)
        request = RequestPlan(api=api, max_output_tokens=10, per_event_usage=wanted)
        report = await measured(engine, request=request, duration_seconds=1, requests_folder=str(tmp_path / "run"))
        kept = gzip.decompress((tmp_path / report.requests_file).read_bytes()).splitlines()
        unfinished = [line for line in map(json.loads, kept) if line["outcome"] == "open" and line["events"]]
        assert len(unfinished) == report.requests.incomplete == 2
        assert (report.evidence.token_source, report.evidence.tokens_per_event) == ("usage", 2.0)
        assert (report.evidence.tokens_estimated == 0) is wanted
        assert [line["outputTokens"] for line in unfinished] == [
            4 * line["events"] if wanted else None for line in unfinished
        ]


async def test_events_count_as_tokens_where_the_server_does_not_count() -> None:
    report = await measured(Engine(behave=steady(usage=False)), max_requests=8)
    assert (report.evidence.token_source, report.evidence.tokens_per_event) == ("events", None)
    assert report.evidence.tokens_estimated == 1.0
    assert report.prompt_tokens_mean is None
    assert report.total_tokens_per_second is None
    assert report.output_tokens_mean == 10
