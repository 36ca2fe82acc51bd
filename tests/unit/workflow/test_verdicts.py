"""What a point is worth, and which target is the best."""

from typing import Any

import pytest

from enginebench.api.v1alpha1 import AtLeast, Peak, PointStatus, TargetStatus
from enginebench.results.messages import Evidence, RequestCounts
from enginebench.workflow.summary import summarize
from enginebench.workflow.verdicts import judge_point, outcome_of_points, peak, usable
from tests.unit.workflow.build import at, report, row


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
    ],
)
def test_judge_point(changes: dict[str, Any], want_validity: str, want_reasons: tuple[str, ...]) -> None:
    verdict = judge_point(report(**changes))
    assert (verdict.validity, verdict.reasons) == (want_validity, want_reasons)
    assert bool(verdict.message) == bool(want_reasons)


@pytest.mark.parametrize(("ended", "want"), [(9.9, "Invalid"), (10.1, "Valid")])
def test_an_engine_that_ended_before_the_point_did(ended: float, want: str) -> None:
    assert judge_point(report(ended=10), engine_ended_at=at(ended).timestamp()).validity == want


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


def test_the_summary_compares_only_like_with_like() -> None:
    summary = summarize([best("a", 10), best("b", 200), best("c-sim", 900, simulated=True)])
    assert summary is not None
    assert summary.text == (
        "b peaks at 200 output tokens/s with 8 users, P99 TTFT ≥ 50 ms, P99 ITL -. "
        "a peaks at 10 output tokens/s with 8 users, P99 TTFT ≥ 50 ms, P99 ITL -. b has 20.0 times its output."
    )
