"""Which rows of the status count, and which a later attempt has measured again."""

import pytest

from enginebench.api.v1alpha1 import Attempt, BenchmarkRunStatus, EngineStatus, PointStatus, TargetStatus
from enginebench.results.point_report import Evidence
from enginebench.workflow.observed import StoredPoint
from enginebench.workflow.rules.collect import _context_length, _message, collect, supersede
from enginebench.workflow.verdicts import Verdict, judge_point
from tests.unit.workflow.build import observed, received, report, row, spec

EVICTED = (Attempt(number=1, reason="EngineEvicted"), Attempt(number=2))
SUSPENDED = (Attempt(number=1, reason="Suspended"), Attempt(number=2))
CRASHED = (Attempt(number=1, reason="EngineExited"),)
OTHER_ENGINE = (Attempt(number=1, reason="Suspended", fingerprint="a"), Attempt(number=2, fingerprint="b"))


def because(reason: str, attempt: int = 1) -> PointStatus:
    return row(0, "Limited", attempt=attempt).model_copy(update={"reasons": [reason]})


@pytest.mark.parametrize(
    ("attempts", "rows", "want"),
    [
        (SUSPENDED, (row(0),), ["Valid"]),
        (SUSPENDED, (because("Interrupted"),), ["Superseded"]),
        (EVICTED, (because("EngineRestarted"),), ["Superseded"]),
        (EVICTED, (because("ErrorRate"),), ["Superseded"]),
        (EVICTED, (because("TooFewSamples"),), ["Limited"]),
        (CRASHED, (because("ErrorRate"),), ["Limited"]),
        (OTHER_ENGINE, (row(0), row(1, attempt=2)), ["Superseded", "Valid"]),
        # the pod of the first attempt came back from a lost node when the second had measured the point
        (EVICTED, (row(0), row(0, attempt=2)), ["Superseded", "Valid"]),
        (EVICTED, (row(0), because("Interrupted", attempt=2)), ["Valid", "Superseded"]),
    ],
)
def test_supersede(attempts: tuple[Attempt, ...], rows: tuple[PointStatus, ...], want: list[str]) -> None:
    assert [r.validity for r in supersede(rows, {rows[0].target: attempts})] == want


@pytest.mark.parametrize(
    ("words", "error", "want"),
    [
        ("", "", None),
        ("too few", "", "too few"),
        ("", "no room", "its single requests could not be kept: no room"),
        ("too few", "no room", "too few; its single requests could not be kept: no room"),
    ],
)
def test_requests_that_could_not_be_kept_are_told(words: str, error: str, want: str | None) -> None:
    assert _message(Verdict("Valid", message=words), report(requests_error=error)) == want


def test_a_warm_up_that_reached_its_bound_is_told_and_takes_nothing_away() -> None:
    cold = report(evidence=Evidence(warmup_bound_reached=True))
    assert judge_point(cold) == Verdict("Valid")
    said = "the warm-up reached its bound (workload.warmup.maxSeconds) before all that it had sent was answered"
    assert _message(judge_point(cold), cold) == said


@pytest.mark.parametrize(
    ("engine", "want"),
    [
        ({"ollama": {"model": "m"}}, 512),
        ({"llamaCpp": {"model": "a/b", "image": "i"}}, None),  # it refuses what is too long
    ],
)
def test_whose_context_cuts_prompts_off(engine: dict[str, object], want: int | None) -> None:
    told = TargetStatus(name="a", engine=EngineStatus(effective={"contextLength": 512}))
    seen = observed(spec=spec(targets=[{"name": "a", **engine}]), status=BenchmarkRunStatus(targets=[told]))
    assert _context_length(seen, "a") == want


def test_a_throughput_is_told_from_so_many_users() -> None:
    points = (received(0, concurrency=512), received(1, concurrency=512, throughput=True))
    rows, _ = collect(observed(stored=tuple(StoredPoint("a-sim", 1, point) for point in points)))
    assert [row.load.document() for row in rows] == [{"concurrency": 512}, {"concurrency": 512, "throughput": True}]
