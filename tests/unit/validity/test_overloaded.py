"""The published experiment's hardest case, an engine with 4 slots under 256 users, thirty times as fast."""

from pathlib import Path

import pytest

from enginebench.api.loadplan import DatasetPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.loadgen import point
from enginebench.loadgen.point import measure
from enginebench.results.point_report import Censored, Figure
from enginebench.workflow.verdicts import judge_point
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.points import site_of
from tests.unit.validity import pods

SLOTS, USERS, TOKENS = 4, 256, 33
STEP_MILLISECONDS = 10
SERVICE = STEP_MILLISECONDS * TOKENS
QUEUED = (USERS / SLOTS - 1) * SERVICE
"""Milliseconds that a request waits behind all others."""


def told(figure: Figure) -> list[float | Censored]:
    values = (figure.p50, figure.p90, figure.p95, figure.p99)
    return [value for value in values if value is not None]


async def test_a_queue_that_never_drains_is_limited_and_nothing_flatters_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point, "MIN_DRAIN_SECONDS", 1.0)
    monkeypatch.setattr(point, "DRAIN_MEDIANS", 0)
    rows = DatasetPlan(synthetic=SyntheticRows(rows=50, prompt_tokens=8, output_tokens=TOKENS))
    with pods.engine(slots=SLOTS) as (_, url):
        what = plan(
            url,
            dataset=rows,
            request=RequestPlan(max_output_tokens=TOKENS),
            duration_seconds=10,
            warmup_max_seconds=4,
        )
        report = await measure(await site_of(what), PointPlan(index=0, concurrency=USERS))
    assert report is not None
    verdict = judge_point(report)
    assert verdict.validity == "Limited", verdict.message
    assert verdict.reasons[:2] == ("Censored", "TooFewSamples")
    assert report.evidence.warmup_bound_reached
    assert report.evidence.drain_bound_reached
    # Its true throughput: each of the slots has a token a step, whoever waits.
    assert report.output_tokens_per_second == pytest.approx(1000 * SLOTS / STEP_MILLISECONDS, rel=0.02)
    assert report.requests_per_second == pytest.approx(1000 * SLOTS / SERVICE, rel=0.1)
    # Whoever asked in the window waited behind all others: 21 s. After 11 s that is not known, and not made up.
    assert report.requests.errored == 0
    assert report.ttft.censored == report.requests.incomplete == report.ttft.count > 0
    for value in told(report.ttft) + told(report.request_latency):
        assert isinstance(value, Censored)
        assert value.at_least <= QUEUED + SERVICE
    assert report.ttft.mean is None
    assert told(report.itl) == []
