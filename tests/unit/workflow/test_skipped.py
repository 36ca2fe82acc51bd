"""Points that are not measured because lower loads have shown enough, as the operator comes to them by itself."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from enginebench.api import conditions as c
from enginebench.api.resolve import points, stop_when
from enginebench.api.v1alpha1 import BenchmarkRunSpec
from enginebench.results.measured import as_measured as of_report
from enginebench.results.messages import encode
from enginebench.results.point_report import Censored, Evidence, Figure, PointReport, RequestCounts
from enginebench.workflow.decide import decide
from enginebench.workflow.observed import Observed, ReceivedPoint, Role, StoredPoint
from enginebench.workflow.plan import Create
from enginebench.workflow.skipped import as_measured, skipped
from tests.unit.workflow.build import at, engine, figure, heard, load, observed, received, report, row, spec, step

A = "a-sim"
FAILING = RequestCounts(succeeded=4, errored=396)
BOTH = {"errorRatePercent": 50, "saturated": True}


def stopping(levels: tuple[int, ...] = (1, 2, 3, 4), *, targets: int = 1, **changes: Any) -> BenchmarkRunSpec:
    workload = spec().workload.document() | {"load": {"concurrency": {"levels": list(levels)}}, "stopWhen": BOTH}
    names = [f"{letter}-sim" for letter in "abcdefgh"[:targets]]
    run = [{"name": name, "simulated": {"api": "vLLM", "model": "m"}} for name in names]
    return spec(**{"workload": workload, "targets": run} | changes)


def failing_second(said: BenchmarkRunSpec, *, ended: bool = False) -> Observed:
    """The second point of the only target shows enough errors, and stands in the status."""
    seen, _ = step(observed(spec=said), 0)
    told = heard(received(0), received(1, requests=FAILING, ended=12), ended=ended, now=12)
    seen, _ = step(replace(seen, heard={load().uid: told}), 13)
    return seen


def validities(seen: Observed) -> list[str]:
    return [point.validity for point in seen.status.points or ()]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"requests": FAILING},
        {"requests": RequestCounts()},
        {"concurrency": None, "request_rate": 0.3},
        {"output_tokens_per_second": 1234.5678, "evidence": Evidence(token_rate_error=0.0123456)},
        {"ttft": Figure(count=3, p50=Censored(at_least=1234.5678), censored=3)},
        {"ttft": Figure(count=0)},
        {"ttft": Figure(count=400, p50=0.123456)},
    ],
)
def test_both_sides_see_the_same_figures(changes: dict[str, Any]) -> None:
    """The load pod its report, the operator the row; a rounding apart, and they would differ in what is skipped."""
    said = report(1, **changes)
    seen, _ = step(observed(spec=stopping()), 0)
    seen, _ = step(replace(seen, heard={load().uid: heard(received(1, **changes))}), 11)
    [told] = seen.status.points or []
    assert as_measured(told) == of_report(said)


def test_a_repeat_goes_by_its_own_points() -> None:
    said = stopping((1, 8, 16), workload=stopping((1, 8, 16)).workload.document() | {"repeats": {"count": 2}})
    stop, planned = stop_when(said), points(said)
    assert stop is not None
    first = [row(i, repeat=0, load={"concurrency": p.concurrency}) for i, p in enumerate(planned[:2])]
    failing = first[1].model_copy(update={"requests": row(1, requests={"succeeded": 1, "errored": 9}).requests})
    assert skipped(planned, first, stop) == []
    [found] = skipped(planned, [first[0], failing], stop)
    assert (found.index, found.repeat, found.attempt, found.load.concurrency) == (2, 0, 1, 16)
    assert (found.validity, found.reasons) == ("Skipped", ["StoppedErrorRate"])
    assert found.requests is None


def test_a_target_ends_with_what_was_skipped() -> None:
    seen = failing_second(stopping(), ended=True)
    assert validities(seen) == ["Valid", "Invalid", "Skipped", "Skipped"]
    assert [a.end_time for a in (seen.status.targets or [])[0].attempts or ()] == [None]  # its engine may have died
    seen, _ = step(seen, 18)
    [target] = seen.status.targets or []
    assert (target.phase, target.message) == ("Succeeded", "2 of 4 load points measured, 2 skipped")
    assert target.peak is not None
    assert target.peak.concurrency == 1
    seen, _ = step(replace(seen, children=(), pods=()), 30)
    assert c.is_true(seen.status.conditions, c.SUCCEEDED)
    assert seen.status.message == ("Measured: 2 load points of 1 target; 2 more skipped, as stopWhen asks.")
    progress = seen.status.progress
    assert progress is not None
    assert (progress.points_done, progress.points_total) == (4, 4)
    assert seen.status.results is not None
    assert len(seen.status.results.data or ()) == 2


def test_without_a_usable_point_the_target_fails_of_what_was_measured() -> None:
    seen, _ = step(observed(spec=stopping()), 0)
    nothing = heard(received(0, requests=RequestCounts(errored=400)), ended=True, now=10)
    seen, _ = step(replace(seen, heard={load().uid: nothing}), 16)
    assert validities(seen) == ["Invalid", "Skipped", "Skipped", "Skipped"]
    [target] = seen.status.targets or []
    assert (target.message or "").startswith("EveryRequestFailed")


def test_saturation_skips_beyond_noise_only() -> None:
    def curve(noise: float) -> tuple[PointReport, ...]:
        values = ((1000.0, 50.0), (1010.0, 70.0), (1015.0, 90.0))
        return tuple(
            report(
                i, output_tokens_per_second=tps, ttft=Figure(count=400, p50=p50),
                evidence=Evidence(token_rate_error=noise),
            )
            for i, (tps, p50) in enumerate(values)
        )  # fmt: skip

    for noise, want in ((0.001, ["StoppedSaturated"]), (0.04, None)):
        seen, _ = step(observed(spec=stopping()), 0)
        told = heard(*(ReceivedPoint(said, encode(said)) for said in curve(noise)))
        seen, _ = step(replace(seen, heard={load().uid: told}), 11)
        rows = {one.index: one for one in seen.status.points or ()}
        assert rows[0].output_tokens_per_second_error == 1000 * noise
        assert (rows[3].reasons if 3 in rows else None) == want


def test_what_rested_on_a_point_that_is_measured_again_is_not_skipped() -> None:
    """The engine was taken away: the errors may have been those of its end."""
    seen = failing_second(stopping())
    assert validities(seen) == ["Valid", "Invalid", "Skipped", "Skipped"]
    seen, _ = step(replace(seen, pods=(load(),)), 14)
    assert validities(seen) == ["Valid", "Superseded"]
    _, plan = step(replace(seen, pods=(), children=()), 16)
    begun = [a for a in plan.actions if isinstance(a, Create) and a.role is Role.LOAD_PLAN]
    assert [(a.attempt, a.points) for a in begun] == [(2, (1, 2, 3))]
    assert [(one.index, one.load) for one in begun[0].measured] == [(0, 1.0)]


def test_a_point_that_was_taken_for_skipped_and_comes_is_kept() -> None:
    """A row of the status that was only derived hides no result."""
    seen = failing_second(stopping())
    told = heard(received(0), received(1, requests=FAILING), received(2, ended=14), now=14)
    seen = replace(seen, pods=(engine(), load()), heard={load().uid: told})
    seen, plan = step(seen, 15)
    assert [keep.point.report.index for keep in plan.keep] == [2]
    assert validities(seen) == ["Valid", "Invalid", "Valid", "Skipped"]


def test_the_status_stays_under_its_bound() -> None:
    big = stopping(tuple(range(1, 65)), targets=8)
    value = Censored(at_least=123456.789)
    censored = Figure(count=12468, p50=12345.678, p90=value, p95=value, p99=value, censored=123)
    stored = tuple(
        StoredPoint(
            target.name,
            1,
            received(
                point.index, concurrency=point.concurrency, ttft=censored, itl=figure(p99=12345.678),
                requests=RequestCounts(succeeded=12345, errored=1, incomplete=123), requests_per_second=123.45678,
                output_tokens_per_second=12345.678 * (point.index + 1), evidence=Evidence(token_rate_error=0.0123456),
            ),
        )
        for target in big.targets
        for point in points(big)
    )  # fmt: skip
    plan = decide(observed(spec=big, name="r" * 40, stored=stored), at(0))
    assert plan.status is not None
    assert len([p for p in plan.status.points or () if p.output_tokens_per_second_error]) == 512
    assert len(json.dumps(plan.status.document(), separators=(",", ":"))) < 256 * 1024
