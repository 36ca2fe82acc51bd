"""When our means and the engine's own do not fit together, and when they cannot be held side by side."""

from typing import Any

import pytest

from enginebench.results.point_report import EngineMetrics, Evidence, GpuState
from enginebench.workflow.observed import StoredPoint
from enginebench.workflow.readback import engine_status
from enginebench.workflow.rules.collect import collect
from enginebench.workflow.verdicts import judge_point
from tests.unit.workflow.build import engine, observed, received, report, spec, target

AGREED: dict[str, Any] = {
    "names": {"ttft": "vllm:time_to_first_token_seconds"}, "scrapes": 7, "seconds": 30.0,
    "running_mean": 4.0, "running_max": 8.0, "waiting_mean": 0.123456, "waiting_max": 2.0,
    "kv_cache_usage_mean": 0.25, "kv_cache_usage_max": 0.5, "preemptions": 3.0, "prefix_cache_hit_rate": 0.1,
    "ttft_count": 400, "ttft_mean": 200.0, "own_ttft_count": 400, "own_ttft_mean": 203.0,
    "itl_count": 4000, "itl_mean": 20.0, "own_gap_count": 4000, "own_gap_mean": 20.1,
}  # fmt: skip
"""A healthy point."""


@pytest.mark.parametrize(
    ("changes", "want"),
    [
        ({}, ""),
        ({"own_ttft_mean": 209.9}, ""),
        ({"own_ttft_mean": 210.1}, "the mean TTFT is 210.1 ms here and 200 ms by the engine's own metrics"),
        ({"own_ttft_mean": 189.9}, "the mean TTFT is 189.9 ms here and 200 ms by the engine's own metrics"),
        ({"ttft_mean": 10.0, "own_ttft_mean": 14.9}, ""),  # HTTP, which the engine does not count
        ({"ttft_mean": 10.0, "own_ttft_mean": 15.1}, "the mean TTFT is 15.1 ms here and 10 ms"),
        ({"ttft_mean": 10.0, "own_ttft_mean": 9.6}, ""),
        ({"ttft_mean": 10.0, "own_ttft_mean": 9.4}, "the mean TTFT is 9.4 ms here and 10 ms"),  # before it was there
        ({"own_ttft_mean": 400.0, "own_ttft_count": 29, "ttft_count": 29}, ""),  # too few
        ({"own_ttft_mean": 400.0, "ttft_count": 390}, ""),  # not the same ones
        ({"own_gap_mean": 21.1}, "the mean ITL is 21.1 ms here and 20 ms by the engine's own metrics"),
        ({"own_gap_mean": 18.9}, "the mean ITL is 18.9 ms here and 20 ms by the engine's own metrics"),
        ({"itl_mean": 2.0, "own_gap_mean": 2.4}, ""),
        ({"own_gap_mean": 23.0, "own_gap_count": 3400}, ""),  # events that hold several outputs
        ({"own_gap_mean": 26.0, "own_gap_count": 3400}, "the mean ITL is 22.1 ms here and 20 ms"),
        ({"own_gap_mean": 40.0, "own_gap_count": 99}, ""),
        ({"own_ttft_mean": 400.0, "own_gap_mean": 40.0}, "the mean TTFT is 400 ms"),
        ({"ttft_count": None, "own_ttft_mean": 400.0}, ""),
    ],
)
def test_disagreement(changes: dict[str, Any], want: str) -> None:
    verdict = judge_point(report(engine_metrics=EngineMetrics(**(AGREED | changes))))
    assert verdict.reasons == (("EngineDisagrees",) if want else ())
    assert verdict.validity == ("Limited" if want else "Valid")
    assert want in verdict.message


@pytest.mark.parametrize(("own", "agrees"), [(20.0, True), (30.0, True), (39.9, True), (42.5, False), (18.0, False)])
def test_an_event_of_several_tokens_stands_for_several_gaps_or_for_one(own: float, agrees: bool) -> None:
    metrics = EngineMetrics(**(AGREED | {"own_gap_mean": own, "own_gap_count": 2000}))
    verdict = judge_point(report(engine_metrics=metrics, evidence=Evidence(tokens_per_event=2.0)))
    assert ("EngineDisagrees" in verdict.reasons) != agrees


@pytest.mark.parametrize(("theirs", "shared"), [(410, False), (421, False), (422, True), (4000, True), (300, False)])
def test_first_tokens_that_are_not_ours(theirs: int, shared: bool) -> None:
    verdict = judge_point(report(engine_metrics=EngineMetrics(**(AGREED | {"ttft_count": theirs}))))
    assert verdict.reasons == (("EngineShared",) if shared else ())


@pytest.mark.parametrize(("rate", "want"), [(0.2, ()), (0.21, ("CacheInfluenced",)), (None, ())])
def test_a_prefix_cache_that_answers(rate: float | None, want: tuple[str, ...]) -> None:
    verdict = judge_point(report(engine_metrics=EngineMetrics(**(AGREED | {"prefix_cache_hit_rate": rate}))))
    assert verdict.reasons == want


def test_the_row_tells_the_engines_own_metrics() -> None:
    stored = (
        StoredPoint("a-sim", 1, received(0, engine_metrics=EngineMetrics(**AGREED))),
        StoredPoint("b-sim", 1, received(0, engine_metrics=EngineMetrics(unobserved="GET /metrics: HTTP 404"))),
        StoredPoint("b-sim", 1, received(1)),
    )
    rows, _ = collect(observed(stored=stored))
    told = [row.engine.document() if row.engine is not None else None for row in rows]
    assert told == [
        {
            "runningMean": 4.0, "runningMax": 8.0, "waitingMean": 0.12346, "waitingMax": 2.0, "kvCacheUsageMean": 0.25,
            "kvCacheUsageMax": 0.5, "preemptions": 3, "prefixCacheHitRate": 0.1,
        },
        {"unobserved": "GET /metrics: HTTP 404"},
        None,
    ]  # fmt: skip


HOT = GpuState(gpus=1, samples=9, sm_clock_mean=1234.5678, temperature_max=88.0, thermal_throttling=0.5)
MONITORED = {"monitoring": {"prometheus": {"url": "http://prometheus:9090"}}}


@pytest.mark.parametrize(
    ("state", "want"),
    [
        (None, ()),
        (GpuState(unobserved="nobody"), ()),
        (GpuState(thermal_throttling=0.0, power_throttling=1.0, thermal_violation_seconds=0.0), ()),
        (HOT, ("GPUThrottled",)),
        (GpuState(thermal_violation_seconds=0.01), ("GPUThrottled",)),
    ],
)
def test_a_gpu_that_was_too_hot(state: GpuState | None, want: tuple[str, ...]) -> None:
    assert judge_point(report(gpu_state=state)).reasons == want


@pytest.mark.parametrize(
    ("monitoring", "states", "want"),
    [
        ({}, [], "Unobserved"),
        (MONITORED, [], None),
        (MONITORED, [GpuState(unobserved="nobody there")], "Unobserved"),
        (MONITORED, [GpuState(unobserved="nobody there"), HOT], "Observed"),
    ],
)
def test_the_target_says_whether_its_gpus_were_observed(
    monitoring: dict[str, Any], states: list[GpuState], want: str | None
) -> None:
    run = spec(engineDefaults={"gpu": {"count": 1}}, **monitoring)
    stored = tuple(StoredPoint("a-sim", 1, received(n, gpu_state=state)) for n, state in enumerate(states))
    rows, _ = collect(observed(spec=run, stored=stored))
    told = [row.gpu_state.document() if row.gpu_state is not None else None for row in rows]
    assert told == [
        {"unobserved": "nobody there"} if state.unobserved else
        {"smClockMean": 1234.6, "temperatureMax": 88.0, "thermalThrottling": 0.5}
        for state in states
    ]  # fmt: skip
    seen = observed(spec=run, pods=(engine(image_id="x@sha256:1"),))
    status = engine_status(seen, target(spec=run.targets[0], rows=tuple(rows)))
    assert status is not None
    assert status.gpu is not None
    assert status.gpu.state == want
