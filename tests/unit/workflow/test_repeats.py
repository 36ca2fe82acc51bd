"""Repeats: whose turn it is, which points it has, and what the repeats come to."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from enginebench.api.resolve import points
from enginebench.api.v1alpha1 import Attempt, BenchmarkRunSpec, PointStatus, RepeatsStatus
from enginebench.results.point_report import Censored, Figure, RequestCounts
from enginebench.workflow.decide import decide
from enginebench.workflow.observed import Observed, Role, StoredPoint
from enginebench.workflow.plan import Create
from enginebench.workflow.repeats import engines_differ, mean_rows, over_repeats
from enginebench.workflow.rules.collect import supersede
from enginebench.workflow.turns import turns
from enginebench.workflow.verdicts import peak
from tests.unit.workflow.build import at, figure, heard, observed, received, row, spec, step, terminated

A, B = "a-sim", "b-sim"


def repeated(
    count: int, unit: str = "Engine", *, levels: tuple[int, ...] = (1, 2), targets: int = 2
) -> BenchmarkRunSpec:
    workload = spec().workload.document() | {
        "load": {"concurrency": {"levels": list(levels)}},
        "repeats": {"count": count, "unit": unit},
    }
    names = [f"{letter}-sim" for letter in "abcdefgh"[:targets]]
    return spec(workload=workload, targets=[{"name": n, "simulated": {"api": "vLLM", "model": "m"}} for n in names])


@pytest.mark.parametrize(
    ("said", "want"),
    [
        (spec(), [(0, None), (1, None)]),
        (repeated(1, "Engine"), [(0, None), (1, None)]),
        (repeated(3, "Point"), [(0, None), (1, None)]),
        (repeated(2, "Engine", targets=3), [(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1)]),
        (repeated(3, "Engine"), [(0, 0), (1, 0), (1, 1), (0, 1), (0, 2), (1, 2)]),
    ],
)
def test_turns(said: BenchmarkRunSpec, want: list[tuple[int, int | None]]) -> None:
    assert list(turns(said)) == want


def test_points_of_repeats_are_shuffled_from_the_second_on() -> None:
    levels = (1, 2, 4, 8, 16, 32)
    plan = points(repeated(4, levels=levels))
    assert [p.index for p in plan] == list(range(24))
    assert [p.repeat for p in plan] == [r for r in range(4) for _ in levels]
    orders = [tuple(p.concurrency or 0 for p in plan if p.repeat == r) for r in range(4)]
    assert orders[0] == levels
    assert all(sorted(order) == list(levels) for order in orders)
    assert len(set(orders)) == 4


def test_the_seed_sets_the_order_of_load_points() -> None:
    said = repeated(2, levels=(1, 2, 4, 8, 16, 32))
    other = spec(workload=said.workload.document() | {"dataset": said.workload.dataset.document() | {"seed": 1}})
    assert points(said) == points(said.model_copy(deep=True))
    assert points(said) != points(other)


# Whole runs


def play(
    seen: Observed, *, until: float = 4000.0, broken: str = ""
) -> tuple[Observed, list[tuple[str, int, tuple[int, ...]]]]:
    """Each load pod measures what it is told to; (target, attempt, indices) of the plans. The engine of `broken`
    crashes in its second attempt."""
    plans, now = [], 0.0
    while now < until:
        seen, plan = step(seen, now)
        now += 10.0
        for action in plan.actions:
            if isinstance(action, Create) and action.role is Role.LOAD:
                plans.append((action.target, action.attempt, action.points))
                assert seen.spec is not None
                by_index = {p.index: p for p in points(seen.spec)}
                told = [
                    received(
                        i, repeat=by_index[i].repeat, concurrency=by_index[i].concurrency, ended=now,
                        output_tokens_per_second=1000.0 * (by_index[i].concurrency or 0) + by_index[i].repeat,
                    )
                    for i in action.points
                ]  # fmt: skip
                pod = next(
                    p
                    for p in seen.pods
                    if p.role is Role.LOAD and (p.target, p.attempt) == (action.target, action.attempt)
                )
                crashes = (action.target, action.attempt) == (broken, 2)
                said = heard(*(() if crashes else told), verified=not crashes, ended=not crashes, now=now)
                engines = {p.uid: {"parallel": 4} for p in seen.pods if p.role is Role.ENGINE}
                seen = replace(seen, heard={**seen.heard, pod.uid: said}, engine_facts={**seen.engine_facts, **engines})
                if crashes:
                    dead = terminated(1, "boom", ended=now)
                    seen = replace(
                        seen, pods=tuple(replace(p, **dead) if p.role is Role.ENGINE else p for p in seen.pods)
                    )
        if seen.status.completion_time is not None:
            return seen, plans
    raise AssertionError(f"never finished: {seen.status.message}")


def test_each_repeat_starts_every_engine_anew_in_alternating_order() -> None:
    seen, plans = play(observed(spec=repeated(3)))
    assert [(target, attempt) for target, attempt, _ in plans] == [(A, 1), (B, 1), (B, 2), (A, 2), (A, 3), (B, 3)]
    assert [indices for target, _, indices in plans if target == A] == [(0, 1), (2, 3), (4, 5)]
    assert seen.status.phase == "Completed"
    rows = seen.status.points or []
    assert [(r.target, r.index, r.repeat, r.attempt) for r in rows] == [
        (target, index, index // 2, index // 2 + 1) for target in (A, B) for index in range(6)
    ]
    first = (seen.status.targets or [])[0]
    assert [(a.number, a.repeat, a.reason) for a in first.attempts or ()] == [
        (n, n - 1, "Completed") for n in (1, 2, 3)
    ]
    assert first.message == "6 of 6 load points measured"
    assert first.repeats is not None
    assert len(first.repeats.engines or ()) == 3
    assert len(set(first.repeats.engines or ())) == 1


def test_the_figures_of_the_run_are_means_with_their_interval() -> None:
    seen, _ = play(observed(spec=repeated(3)))
    document = seen.status.document()
    two = next(one for one in document["targets"][0]["repeats"]["loads"] if one["load"] == {"concurrency": 2})
    assert two["count"] == 3
    assert two["outputTokensPerSecond"] == {"mean": 2001.0, "low": 1998.5, "high": 2003.5}
    assert two["ttftP99Milliseconds"] == {"mean": 3.0, "low": 3.0, "high": 3.0}
    assert document["targets"][0]["peak"]["outputTokensPerSecond"] == 2001.0
    assert document["summary"]["outputTokensPerSecond"] == 2001.0
    assert (
        "2001 output tokens/s (mean of 3 repeats, 95 % interval 1998 to 2004) with 2 users"
        in document["summary"]["text"]
    )


def test_one_engine_measures_all_repeats_of_its_points() -> None:
    seen, plans = play(observed(spec=repeated(3, "Point")))
    assert plans == [(A, 1, tuple(range(6))), (B, 1, tuple(range(6)))]
    assert [r.repeat for r in seen.status.points or () if r.target == A] == [0, 0, 1, 1, 2, 2]
    assert all(a.repeat is None for t in seen.status.targets or () for a in t.attempts or ())


def test_a_target_that_fails_in_one_repeat_has_no_further_one() -> None:
    seen, plans = play(observed(spec=repeated(3)), broken=A)
    assert [(target, attempt) for target, attempt, _ in plans] == [(A, 1), (B, 1), (B, 2), (A, 2), (B, 3)]
    first, second = seen.status.targets or []
    assert (first.phase, second.phase) == ("Failed", "Succeeded")
    assert [r.index for r in seen.status.points or () if r.target == A] == [0, 1]
    assert first.peak is not None


def test_nothing_is_lost_when_attempts_are_no_longer_told_of() -> None:
    seen, plans = play(observed(spec=repeated(8)))
    assert len(plans) == 16
    first = (seen.status.targets or [])[0]
    assert [a.number for a in first.attempts or ()] == [4, 5, 6, 7, 8]
    assert len(seen.status.points or ()) == 32
    assert first.repeats is not None
    assert len(first.repeats.engines or ()) == 8
    assert [one.count for one in first.repeats.loads or ()] == [8, 8]


def test_between_two_repeats_a_target_waits() -> None:
    rows = [row(i, target=A, repeat=0) for i in (0, 1)]
    done = Attempt(number=1, repeat=0, reason="Completed", start_time=at(0), end_time=at(5), fingerprint="f")
    status = {
        "observedGeneration": 1,
        "points": [r.document() for r in rows],
        "targets": [{"name": A, "phase": "Loading", "attempts": [done.document()]}],
    }
    seen = observed(spec=repeated(2))
    seen = replace(seen, status=type(seen.status).model_validate(status))
    plan = decide(seen, at(10))
    assert plan.status is not None
    first, second = plan.status.targets or []
    assert (first.phase, first.message) == ("Waiting", "2 of 4 load points measured; the next repeat comes in its turn")
    assert second.phase == "Scheduling"
    assert plan.status.message == "b-sim: creating the engine's pod"
    assert plan.status.progress is not None
    assert (plan.status.progress.points_done, plan.status.progress.points_total) == (2, 8)
    assert plan.status.progress.targets_done == 0


def test_a_new_attempt_is_not_ready_because_the_one_before_was() -> None:
    seen, _ = step(observed(spec=repeated(2, targets=1)), 0)
    pod = next(p for p in seen.pods if p.role is Role.LOAD)
    said = heard(received(0), received(1), ended=True)
    seen = replace(
        seen, heard={pod.uid: said}, engine_facts={p.uid: {"x": 1} for p in seen.pods if p.role is Role.ENGINE}
    )
    for seconds in (20, 30):
        seen, _ = step(seen, seconds)
    first = (seen.status.targets or [])[0]
    assert [(a.number, a.repeat) for a in first.attempts or ()] == [(1, 0), (2, 1)]
    assert first.phase == "Scheduling"
    assert [(c.type, c.status) for c in first.conditions or ()] == [("Ready", "False"), ("SettingsInForce", "Unknown")]


# What counts


def test_engines_of_different_repeats_may_differ() -> None:
    attempts = (
        Attempt(number=1, repeat=0, reason="Completed", fingerprint="a"),
        Attempt(number=2, repeat=1, reason="Suspended", fingerprint="b"),
        Attempt(number=3, repeat=1, fingerprint="c"),
    )
    rows = [row(0, repeat=0), row(2, attempt=2, repeat=1), row(3, attempt=3, repeat=1)]
    assert [r.validity for r in supersede(rows, {A: attempts})] == ["Valid", "Superseded", "Valid"]
    found = over_repeats(rows, attempts, None)
    assert found is not None
    assert found.engines == ["a", "c"]
    assert engines_differ(found)
    assert not engines_differ(RepeatsStatus(engines=["a", "", "a"]))
    assert not engines_differ(None)


def of(repeat: int, tps: float, **changes: Any) -> PointStatus:
    values: dict[str, Any] = {"repeat": repeat, "load": {"concurrency": 4}, "outputTokensPerSecond": tps}
    return row(repeat, **values | changes)


def loads(*rows: PointStatus) -> list[dict[str, Any]]:
    found = over_repeats(rows, (), None)
    loads: list[dict[str, Any]] = found.document()["loads"] if found is not None else []
    return loads


def test_two_repeats_have_no_interval() -> None:
    assert loads(of(0, 10.0), of(1, 20.0)) == [
        {"load": {"concurrency": 4}, "count": 2, "outputTokensPerSecond": {"mean": 15.0}}
    ]


def test_what_is_not_usable_counts_in_no_mean() -> None:
    assert loads(of(0, 10.0), of(1, 99.0, validity="Invalid"), of(2, 20.0, validity="Superseded")) == [
        {"load": {"concurrency": 4}, "count": 1, "outputTokensPerSecond": {"mean": 10.0}}
    ]
    assert loads(of(0, 99.0, validity="Invalid")) == []


def test_a_censored_repeat_makes_the_mean_a_lower_bound() -> None:
    plain = [of(i, 1.0, ttftMilliseconds={"p99": 10.0}) for i in range(2)]
    (found,) = loads(*plain, of(2, 1.0, ttftMilliseconds={"p99": {"atLeast": 80.0}}))
    assert found["ttftP99Milliseconds"] == {"mean": {"atLeast": 20.0}}


def test_the_peak_goes_by_the_means() -> None:
    """One lucky repeat of a load makes no peak."""
    low = [row(i, repeat=i, load={"concurrency": 1}, outputTokensPerSecond=t) for i, t in enumerate((90.0, 91.0, 92.0))]
    high = [
        row(3 + i, repeat=i, load={"concurrency": 8}, outputTokensPerSecond=t)
        for i, t in enumerate((40.0, 120.0, 50.0))
    ]
    found = peak(mean_rows(A, over_repeats([*low, *high], (), None)))
    assert found is not None
    assert (found.concurrency, found.output_tokens_per_second) == (1, 91.0)


@pytest.mark.parametrize(
    ("count", "levels", "unit"), [(2, 32, "Point"), (2, 32, "Engine"), (3, 21, "Engine"), (4, 16, "Engine")]
)
def test_the_status_stays_under_its_bound(count: int, levels: int, unit: str) -> None:
    big = repeated(count, unit, levels=tuple(range(1, levels + 1)), targets=8)
    limited = RequestCounts(succeeded=12345, errored=1, incomplete=123)
    value = Censored(at_least=123456.789)
    censored = Figure(count=12468, p50=12345.678, p90=value, p95=value, p99=value, censored=123)
    long = figure(p99=12345.678)
    stored = tuple(
        StoredPoint(
            target.name,
            point.repeat + 1,
            received(
                point.index, repeat=point.repeat, concurrency=point.concurrency, requests=limited, ttft=censored,
                itl=long, output_tokens_per_second=12345.678 + 100 * point.repeat, requests_per_second=123.45678,
            ),
        )
        for target in big.targets
        for point in points(big)
    )  # fmt: skip
    plan = decide(observed(spec=big, name="r" * 40, stored=stored), at(0))
    assert plan.status is not None
    assert len(plan.status.points or ()) == 8 * count * levels
    assert len(json.dumps(plan.status.document(), separators=(",", ":"))) < 256 * 1024
