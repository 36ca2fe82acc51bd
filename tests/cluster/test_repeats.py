"""Runs with repeats: engines started anew in alternating order, or kept; means with intervals."""

import itertools
from typing import Any

from tests.cluster.test_runs import watch_to_the_end
from tests.support.cluster import SUCCESS, Namespace, outcome
from tests.support.runs import benchmark, simulated

LEVELS = [1, 4]


def rows(status: dict[str, Any], target: str) -> list[dict[str, Any]]:
    return [point for point in status["points"] if point["target"] == target]


def check_means(target: dict[str, Any], points: list[dict[str, Any]]) -> None:
    """Each load has the mean of its three points, between the ends of its interval."""
    loads = target["repeats"]["loads"]
    assert sorted(one["load"]["concurrency"] for one in loads) == LEVELS
    for one in loads:
        rates = [p["outputTokensPerSecond"] for p in points if p["load"] == one["load"]]
        assert one["count"] == len(rates) == 3
        for figure in ("outputTokensPerSecond", "ttftP99Milliseconds", "itlP99Milliseconds"):
            assert 0 <= one[figure]["low"] <= one[figure]["mean"] <= one[figure]["high"], one
        assert abs(one["outputTokensPerSecond"]["mean"] - sum(rates) / 3) < 0.001 * sum(rates)


def test_each_repeat_has_engines_of_its_own(namespace: Namespace) -> None:
    targets = [simulated(name) for name in ("first-sim", "second-sim")]
    run = benchmark("run", *targets, levels=LEVELS, workload={"repeats": {"count": 3}})
    status = namespace.measure(run, wait=lambda name: watch_to_the_end(namespace, name, within=420))
    assert outcome(status) == SUCCESS
    assert status["progress"]["pointsDone"] == status["progress"]["pointsTotal"] == 12
    turns = []
    for target in status["targets"]:
        mine = rows(status, target["name"])
        assert [(p["index"], p["repeat"], p["attempt"]) for p in mine] == [(i, i // 2, i // 2 + 1) for i in range(6)]
        assert [p["load"]["concurrency"] for p in mine[:2]] == LEVELS
        assert all(sorted(p["load"]["concurrency"] for p in mine[i : i + 2]) == LEVELS for i in (2, 4))
        attempts = target["attempts"]
        assert [(a["number"], a["repeat"], a["reason"]) for a in attempts] == [
            (n + 1, n, "Completed") for n in range(3)
        ]
        assert len({a["podUID"] for a in attempts}) == 3
        assert len(set(target["repeats"]["engines"])) == 1, "the same image on the same node"
        turns += [(a["startTime"], target["name"]) for a in attempts]
        check_means(target, mine)
    order = [name for _, name in sorted(turns)]
    assert order == ["first-sim", "second-sim", "second-sim", "first-sim", "first-sim", "second-sim"]
    assert "mean of 3 repeats, 95 % interval" in status["summary"]["text"]


def test_one_engine_measures_its_points_again(namespace: Namespace) -> None:
    workload = {"repeats": {"count": 3, "unit": "Point"}}
    run = benchmark("run", simulated("only-sim"), levels=LEVELS, workload=workload)
    status = namespace.measure(run, wait=lambda name: watch_to_the_end(namespace, name, within=240))
    assert outcome(status) == SUCCESS
    [target] = status["targets"]
    assert [a["number"] for a in target["attempts"]] == [1]
    mine = rows(status, "only-sim")
    assert [(p["index"], p["repeat"]) for p in mine] == [(i, i // 2) for i in range(6)]
    assert all(earlier["attempt"] == later["attempt"] for earlier, later in itertools.pairwise(mine))
    check_means(target, mine)
