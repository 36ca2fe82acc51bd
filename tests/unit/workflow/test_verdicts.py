"""What a point is worth, and which target is the best."""

from typing import Any

import pytest

from enginebench.api.v1alpha1 import AtLeast, LoadGeneratorStatus, Peak, PointStatus, TargetStatus
from enginebench.results.point_report import (
    Censored,
    Delivery,
    Drift,
    Evidence,
    Figure,
    PointReport,
    RequestCounts,
    Strained,
)
from enginebench.workflow.summary import summarize
from enginebench.workflow.verdicts import judge_point, outcome_of_points, peak, usable
from tests.unit.workflow.build import at, figure, report, row


def delivered(scheduled: int, sent: int, *, growth: float | None = None) -> Evidence:
    return Evidence(
        delivery=Delivery(scheduled=scheduled, sent=sent, lateness=Figure(count=sent), in_flight_growth=growth)
    )


def strained(client_cpu_percent: float | None = None, **changes: Any) -> Evidence:
    """Of GuideLLM on two processors."""
    values = {"cpus": 2.0, "busiest_percent": 70.0, "processes": 3, "memory_bytes": 0, "concurrency": 1.0} | changes
    return Evidence(client_cpu_percent=client_cpu_percent, strained=Strained(**values))


@pytest.mark.parametrize(
    ("changes", "want_validity", "want_reasons"),
    [
        ({}, "Valid", ()),
        ({"requests": RequestCounts(succeeded=300)}, "Valid", ()),
        ({"requests": RequestCounts(succeeded=299)}, "Limited", ("TooFewSamples",)),
        ({"requests": RequestCounts(succeeded=400, incomplete=1)}, "Limited", ("Censored",)),
        ({"requests": RequestCounts(succeeded=10, incomplete=9)}, "Limited", ("Censored", "TooFewSamples")),
        ({"evidence": Evidence(interrupted=True)}, "Limited", ("Interrupted",)),
        ({"requests": RequestCounts(succeeded=900, errored=100)}, "Valid", ()),
        ({"requests": RequestCounts(succeeded=899, errored=101)}, "Invalid", ("ErrorRate",)),
        ({"requests": RequestCounts(errored=3)}, "Invalid", ("ErrorRate", "TooFewSamples")),
        ({"evidence": Evidence(wrong_models=("other",))}, "Invalid", ("WrongModel",)),
        ({"evidence": Evidence(engine_start_before=1.0, engine_start_after=9.0)}, "Invalid", ("EngineRestarted",)),
        ({"evidence": Evidence(engine_start_before=1.0, engine_start_after=1.4)}, "Valid", ()),
        ({"evidence": Evidence(engine_start_before=1.0)}, "Valid", ()),
        ({"evidence": Evidence(throttled=0.001, stolen=0.01, coalesced_by_lag=0.01)}, "Valid", ()),
        ({"evidence": Evidence(throttled=0.0011)}, "Invalid", ("LoadGeneratorSaturated",)),
        ({"evidence": Evidence(stolen=0.011)}, "Invalid", ("LoadGeneratorSaturated",)),
        ({"evidence": Evidence(coalesced_by_lag=0.011)}, "Invalid", ("LoadGeneratorSaturated",)),
        ({"evidence": strained()}, "Valid", ()),
        ({"evidence": strained(busiest_percent=70.1)}, "Invalid", ("LoadGeneratorSaturated",)),
        ({"evidence": strained(client_cpu_percent=140.0)}, "Valid", ()),
        ({"evidence": strained(client_cpu_percent=141.0)}, "Invalid", ("LoadGeneratorSaturated",)),
        ({"evidence": strained(wait_milliseconds=0.2)}, "Valid", ()),
        ({"evidence": strained(wait_milliseconds=0.21)}, "Invalid", ("LoadGeneratorSaturated",)),
        ({"ttft": Figure(count=400, p50=500.0), "evidence": strained(wait_milliseconds=1.0)}, "Valid", ()),
        ({"concurrency": 4, "evidence": strained(concurrency=3.8)}, "Valid", ()),
        ({"concurrency": 4, "evidence": strained(concurrency=3.79)}, "Invalid", ("LoadGeneratorSaturated",)),
        ({"request_rate": 4.0, "evidence": strained(concurrency=0.1)}, "Valid", ()),
        ({"concurrency": 64, "requests_per_second": 82.0, "evidence": strained(concurrency=62.4)}, "Valid", ()),
        (
            {"concurrency": 64, "requests_per_second": 82.0, "evidence": strained(concurrency=61.5)},
            "Invalid",
            ("LoadGeneratorSaturated",),
        ),
        (
            {
                "concurrency": 64,
                "requests_per_second": 82.0,
                "ttft": Figure(count=400, p50=500.0),
                "evidence": strained(concurrency=61.5),
            },
            "Valid",
            (),
        ),
        ({"evidence": Evidence(token_rate_drift=Drift(change=0.03, t=99))}, "Valid", ()),
        ({"evidence": Evidence(token_rate_drift=Drift(change=0.2, t=7.9))}, "Valid", ()),
        ({"evidence": Evidence(token_rate_drift=Drift(change=-0.04, t=-8.1))}, "Limited", ("NotStationary",)),
        ({"evidence": Evidence(ttft_drift=Drift(change=0.1, t=99))}, "Valid", ()),
        ({"evidence": Evidence(ttft_drift=Drift(change=2.0, t=5.0))}, "Valid", ()),
        ({"evidence": Evidence(ttft_drift=Drift(change=0.11, t=5.1))}, "Limited", ("NotStationary",)),
        (
            {"requests": RequestCounts(succeeded=299), "evidence": Evidence(ttft_drift=Drift(change=2.0, t=99.0))},
            "Limited",
            ("TooFewSamples",),
        ),
        ({"evidence": Evidence(lost_shards=1)}, "Invalid", ("LoadPodLost",)),
        ({"window_seconds": 60.0, "evidence": Evidence(clock_uncertainty=0.1)}, "Valid", ()),
        ({"window_seconds": 60.0, "evidence": Evidence(clock_uncertainty=0.101)}, "Invalid", ("ClockUncertain",)),
        ({"window_seconds": 5.0, "evidence": Evidence(clock_uncertainty=0.05)}, "Valid", ()),
        ({"window_seconds": 5.0, "evidence": Evidence(clock_uncertainty=0.051)}, "Invalid", ("ClockUncertain",)),
        ({"evidence": Evidence(engine_busy_with="3 requests running")}, "Limited", ("EngineNotIdle",)),
        ({"evidence": Evidence(prompts_repeated=0.5)}, "Limited", ("CacheInfluenced",)),
        ({"evidence": Evidence(tokens_per_event=1.05)}, "Valid", ()),
        ({"evidence": Evidence(tokens_per_event=1.06)}, "Valid", ("MultiTokenEvents",)),
        ({"evidence": delivered(1000, 990)}, "Valid", ()),
        ({"evidence": delivered(1000, 989)}, "Invalid", ("LoadNotDelivered",)),
        ({"evidence": delivered(20, 19)}, "Valid", ()),
        ({"evidence": delivered(20, 18)}, "Invalid", ("LoadNotDelivered",)),
        ({"evidence": delivered(1000, 1000, growth=3.2)}, "Limited", ("Overloaded",)),
        ({"evidence": delivered(1000, 900, growth=3.2)}, "Invalid", ("LoadNotDelivered", "Overloaded")),
    ],
)
def test_judge_point(changes: dict[str, Any], want_validity: str, want_reasons: tuple[str, ...]) -> None:
    verdict = judge_point(report(**changes))
    assert (verdict.validity, verdict.reasons) == (want_validity, want_reasons)
    assert bool(verdict.message) == bool(want_reasons)


@pytest.mark.parametrize(("ended", "want"), [(9.9, "Invalid"), (10.1, "Valid")])
def test_an_engine_that_ended_before_the_point_did(ended: float, want: str) -> None:
    assert judge_point(report(ended=10), engine_ended_at=at(ended).timestamp()).validity == want


def lagging(p99: float, *, count: int = 1000, **figures: Any) -> PointReport:
    """A point whose load generator was `p99` ms late at its worst percentile, and punctual else; answers of 11 tokens.
    Nothing of it is in the gaps, unless they are given."""
    lag = Figure(count=count, p50=0.0, p90=0.1, p95=0.2, p99=p99)
    figures = {"inter_event_gap": figure(p99=1000.0)} | figures
    return report(evidence=Evidence(own_lag=lag), output_tokens_mean=11.0, **figures)


@pytest.mark.parametrize(
    ("point", "want"),
    [
        (lagging(2.0), ()),
        (lagging(2.1), ("LoadGeneratorSaturated",)),
        (lagging(2.1, count=299), ()),  # too few samples of the lag for its P99
        (lagging(5.0, ttft=figure(p99=50.0)), ()),
        (lagging(5.1, ttft=figure(p99=50.0)), ("LoadGeneratorSaturated",)),
        (lagging(20.0, ttft=figure(p99=200.0), itl=figure(p99=19.0)), ()),  # a tenth of it is an interval's share
        (lagging(20.1, ttft=figure(p99=201.0), itl=figure(p99=19.0)), ("LoadGeneratorSaturated",)),
        (lagging(20.0, ttft=Figure(count=400, p99=Censored(at_least=200.0), censored=9)), ()),
        (lagging(20.1, ttft=Figure(count=400, p99=Censored(at_least=200.0), censored=9)), ("LoadGeneratorSaturated",)),
        (lagging(9.0, ttft=Figure(count=0)), ()),
    ],
)
def test_no_figure_may_be_the_load_generators_own_lag(point: PointReport, want: tuple[str, ...]) -> None:
    assert judge_point(point).reasons == want


@pytest.mark.parametrize(
    ("point", "want"),
    [
        (lagging(2.0, ttft=figure(p99=50.0), inter_event_gap=figure(p99=3.0)), ()),
        (lagging(2.1, ttft=figure(p99=50.0), inter_event_gap=figure(p99=3.0)), ("LagInGaps",)),
        (lagging(2.1, ttft=figure(p99=50.0), inter_event_gap=figure(p99=3.0), count=299), ()),
        (lagging(5.0, ttft=figure(p99=50.0), inter_event_gap=figure(p99=50.0)), ()),
        (lagging(5.0, ttft=figure(p99=50.0), inter_event_gap=figure(p99=49.9)), ("LagInGaps",)),
        (lagging(5.0, ttft=figure(p99=50.0), inter_event_gap=Figure(count=0)), ()),
        (lagging(5.1, ttft=figure(p99=50.0), inter_event_gap=figure(p99=3.0)), ("LoadGeneratorSaturated",)),
    ],
)
def test_a_lag_that_only_the_gaps_feel_is_remarked(point: PointReport, want: tuple[str, ...]) -> None:
    verdict = judge_point(point)
    assert verdict.reasons == want
    assert verdict.validity == ("Invalid" if want == ("LoadGeneratorSaturated",) else "Valid")


def test_from_which_percentile_on_the_gaps_are_not_to_be_trusted() -> None:
    point = lagging(2.1, ttft=figure(p99=50.0), inter_event_gap=figure(p99=3.0))
    assert judge_point(point).message == (
        "the load generator's lag is in the gaps: 2.1 ms of its P99 gap between events of 3 ms are its own lag; take "
        "ITL, which spreads it"
    )


def test_what_is_known_of_a_saturated_load_generator_is_told() -> None:
    lag = Figure(count=1000, p50=0.0, p90=9.0, p95=9.0, p99=9.0)
    found = judge_point(report(evidence=Evidence(own_lag=lag, throttled=0.25), ttft=figure(p99=20.0)))
    assert found.message == (
        "the load generator could not keep up: 9 ms of its P90 TTFT of 2 ms are its own lag, "
        "9 ms of its P90 ITL of 2 ms are its own lag, its CPU limit held it up for 25.0% of the window"
    )


def test_in_which_direction_it_was_not_stationary() -> None:
    drifts = Evidence(token_rate_drift=Drift(change=-0.126, t=-9), ttft_drift=Drift(change=1.5, t=9))
    assert judge_point(report(evidence=drifts)).message == (
        "the token rate of the second half is −13% against the first, TTFT changed by +150% over the window"  # noqa: RUF001
    )


@pytest.mark.parametrize(
    ("finished", "want"),
    [
        (0, "0 finished requests are too few for P50 (30), P90 (100), P95 (200), P99 (300)"),
        (30, "30 finished requests are too few for P90 (100), P95 (200), P99 (300)"),
        (200, "200 finished requests are too few for P99 (300)"),
        (300, ""),
    ],
)
def test_which_percentiles_rest_on_too_few(finished: int, want: str) -> None:
    assert judge_point(report(requests=RequestCounts(succeeded=finished))).message == want


@pytest.mark.parametrize(
    ("version", "ttft", "want"),
    [
        ("0.2.1", 599.0, ("GeneratorOverhead",)),
        ("0.2.1", 600.0, ()),
        ("0.8.1", 199.0, ("GeneratorOverhead",)),
        ("0.8.1", 200.0, ()),
        ("", 1.0, ()),
    ],
)
def test_what_guidellm_adds_to_each_ttft_is_told(version: str, ttft: float, want: tuple[str, ...]) -> None:
    said: Any = {"generator": "guidellm", "generator_version": version} if version else {}
    verdict = judge_point(report(ttft=Figure(count=400, p50=ttft), **said))
    assert verdict.reasons == want
    assert verdict.validity == ("Limited" if want else "Valid")


def test_an_error_is_told_in_its_own_words() -> None:
    evidence = Evidence(errors={"HTTP 500: boom": 7, "timeout": 1})
    verdict = judge_point(report(requests=RequestCounts(errored=8), evidence=evidence))
    assert "8 of 8 finished requests failed, most with: HTTP 500: boom" in verdict.message


@pytest.mark.parametrize(
    ("point", "want"),
    [
        (row(0), True),
        (row(0, "Limited"), True),
        (row(0, "Limited", requests={"incomplete": 9}), False),
        # the hardest case: answers, but to earlier requests
        (row(0, "Limited", requests={"incomplete": 9}).model_copy(update={"requests_per_second": 0.16}), True),
        (row(0, "Invalid"), False),
        (row(0, "Superseded"), False),
    ],
)
def test_usable(point: PointStatus, want: bool) -> None:
    assert usable(point) is want


@pytest.mark.parametrize(
    ("rows", "want"),
    [
        ([row(0), row(1, "Invalid")], "Completed"),
        (
            [row(0, "Invalid", requests={"errored": 5}), row(1, "Invalid", requests={"errored": 5})],
            "EveryRequestFailed",
        ),
        ([row(0, "Invalid"), row(1, "Invalid", requests={"errored": 5})], "NoUsablePoint"),
        ([row(0, "Superseded"), row(0, "Limited", attempt=2, requests={"incomplete": 4})], "NoUsablePoint"),
        ([], "NoUsablePoint"),
    ],
)
def test_outcome_of_points(rows: list[PointStatus], want: str) -> None:
    assert outcome_of_points(rows).reason == want


def test_the_peak_is_the_lowest_load_within_two_percent_of_the_highest() -> None:
    rows = [row(i, outputTokensPerSecond=tps) for i, tps in enumerate((100.0, 981.0, 1000.0, 990.0))]
    found = peak([*rows, row(9, "Invalid", outputTokensPerSecond=5000.0)])
    assert found is not None
    assert (found.concurrency, found.output_tokens_per_second) == (2, 981.0)
    assert peak([row(0, "Invalid")]) is None


def test_the_peak_of_rates_is_the_lowest_rate() -> None:
    rows = [
        row(i, outputTokensPerSecond=tps, load={"requestRate": rate})
        for i, (rate, tps) in enumerate(((20.0, 1000.0), (0.5, 30.0), (10.0, 990.0)))
    ]
    found = peak(rows)
    assert found is not None
    assert (found.concurrency, found.request_rate, found.output_tokens_per_second) == (None, 10.0, 990.0)
    summary = summarize([TargetStatus(name="a", peak=found)])
    assert summary is not None
    assert summary.request_rate == 10.0
    assert summary.text is not None
    assert summary.text.startswith("a peaks at 990 output tokens/s at 10 requests/s, ")


def best(name: str, tps: float | None, *, simulated: bool = False) -> TargetStatus:
    found = Peak(
        concurrency=8,
        output_tokens_per_second=tps,
        requests_per_second=2.0,
        ttft_p99_milliseconds=AtLeast(at_least=50.0),
    )
    return TargetStatus(name=name, simulated=simulated or None, peak=found if tps is not None else None)


@pytest.mark.parametrize(
    ("targets", "want", "want_column"),
    [
        ([best("a", 10), best("b", 20)], "b", "b"),
        ([best("a", 10), best("b-sim", 20, simulated=True)], "a", "a"),
        ([best("a", None), best("b-sim", 20, simulated=True)], "b-sim", "b-sim (SIMULATED)"),
    ],
)
def test_the_best(targets: list[TargetStatus], want: str, want_column: str) -> None:
    summary = summarize(targets)
    assert summary is not None
    assert summary.columns is not None
    assert (summary.target, summary.columns.best, summary.columns.ttft_p99) == (want, want_column, "≥ 50 ms")
    assert summarize([best("a", None)]) is None


def by_guidellm(target: TargetStatus) -> TargetStatus:
    return target.model_copy(update={"load_generator": LoadGeneratorStatus(generator="guidellm", version="0.8.1")})


def test_two_load_generators_stand_side_by_side_and_are_not_compared() -> None:
    summary = summarize([best("a", 10), by_guidellm(best("a-guidellm", 900)), best("b", 5)])
    assert summary is not None
    assert summary.target == "a", "what another load generator has measured is no better for it"
    assert summary.text is not None
    assert "a-guidellm (by GuideLLM 0.8.1) peaks at 900 output tokens/s" in summary.text
    assert "b peaks at 5 output tokens/s" in summary.text
    assert summary.text.count(" times its output") == 1
    assert "a has 2.0 times its output." in summary.text


def test_guidellm_alone_has_a_best() -> None:
    summary = summarize([by_guidellm(best("a", 10)), by_guidellm(best("b-sim", 20, simulated=True))])
    assert summary is not None
    assert summary.columns is not None
    assert summary.columns.best == "a (by GuideLLM 0.8.1)"


def test_the_summary_compares_only_like_with_like() -> None:
    summary = summarize([best("a", 10), best("b", 200), best("c-sim", 900, simulated=True)])
    assert summary is not None
    assert summary.text == (
        "b peaks at 200 output tokens/s with 8 users, P99 TTFT ≥ 50 ms, P99 ITL -. "
        "a peaks at 10 output tokens/s with 8 users, P99 TTFT ≥ 50 ms, P99 ITL -. b has 20.0 times its output."
    )
