"""The bench of the published experiment's hardest case: its settings, and what it calls untrue."""

import msgspec
import pytest

from bench.hardest_case import Case, lines, parser, untrue
from enginebench.results.point_report import Censored, Evidence, Figure, PointReport, RequestCounts
from enginebench.simulator import settings
from enginebench.workflow.verdicts import Verdict, judge_point

CASE = Case()
NOTHING = Figure(count=0)
BOUNDS = Figure(count=48, p50=Censored(at_least=726e3), p99=Censored(at_least=876e3), censored=48)
POINT = PointReport(
    index=0, concurrency=256, started_at=0.0, opened_at=130.0, ended_at=1000.0, window_seconds=300.0,
    requests=RequestCounts(incomplete=48), requests_per_second=0.16, output_tokens_per_second=41.0, ttft=BOUNDS,
    itl=NOTHING, tpot=NOTHING, inter_event_gap=NOTHING, request_latency=BOUNDS,
    evidence=Evidence(warmup_bound_reached=True, drain_bound_reached=True),
)  # fmt: skip


def test_it_is_the_published_case_unless_it_is_only_tried() -> None:
    plan = CASE.plan("http://127.0.0.1:1", parser().parse_args([]).seconds)
    assert [(point.concurrency, point.request_rate) for point in plan.points] == [(256, None)]
    assert (plan.duration_seconds, plan.request.max_output_tokens, plan.slots) == (300, 256, 4)
    assert (plan.ramp_seconds, plan.warmup_max_seconds) == (10, 120)
    tried = CASE.plan("http://127.0.0.1:1", parser().parse_args(["--seconds", "30"]).seconds)
    assert (tried.duration_seconds, tried.warmup_max_seconds) == (30, 30)


def test_the_simulated_engine_is_told_to_give_so_many_tokens() -> None:
    engine = settings.parse(CASE.options())
    assert engine.slots == 4
    assert engine.prefill_per_token == engine.decode_step_per_sequence == engine.jitter == 0
    assert engine.slots * 1e9 / engine.decode_step == pytest.approx(41.0, rel=1e-5)
    assert engine.max_queue >= 252  # all that have no slot


def test_a_true_point() -> None:
    verdict = judge_point(POINT)
    assert list(untrue(POINT, verdict, CASE)) == []
    text = "\n".join(lines(POINT, verdict, CASE))
    assert "Limited: Censored, TooFewSamples" in text
    assert "TTFT             P50 ≥ 726 s  P90 -  P95 -  P99 ≥ 876 s" in text
    assert "the model's TTFT 1574 s" in text  # 63 answers of 25 s, and a step


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"output_tokens_per_second": 40.0}, "40.00 tokens/s are not the model's 41.00"),
        ({"ttft": Figure(count=48, p50=120e3)}, "TTFT P50 is 1574 s, not 120.0 s"),
        ({"ttft": Figure(count=48, p99=Censored(at_least=2e6))}, "TTFT P99 is said to be ≥ 2000 s, but is 1574 s"),
    ],
)
def test_what_is_not_so_is_told(changes: dict[str, object], words: str) -> None:
    point = msgspec.structs.replace(POINT, **changes)
    assert list(untrue(point, Verdict("Limited", ("Censored",)), CASE)) == [words]


def test_a_verdict_that_flatters_is_told() -> None:
    assert list(untrue(POINT, Verdict("Valid"), CASE)) == ["the point is Valid, by no reason, not Limited by Censored"]
