"""Pods are killed in the middle: no collected point is lost, counted twice or measured again."""

import time
from typing import Any

from tests.support.cluster import SUCCESS, Cluster, Namespace, outcome
from tests.support.runs import benchmark, simulated

LEVELS = [1, 2, 3, 4]


def measured(status: dict[str, Any]) -> list[tuple[str, int]]:
    """(target, level) of every point that counts."""
    return [(p["target"], p["load"]["concurrency"]) for p in status["points"] if p["validity"] != "Superseded"]


def points_done(status: dict[str, Any]) -> int:
    done: int = status.get("progress", {}).get("pointsDone", 0)
    return done


def test_the_operator_is_killed_again_and_again(namespace: Namespace, cluster: Cluster) -> None:
    """It changes nothing: the same attempt, every point once, from the log that the load pod left."""
    namespace.apply(benchmark("run", simulated("a-sim"), simulated("b-sim"), levels=LEVELS, seconds=2))
    kills = 0
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and not namespace.status("run").get("completionTime"):
        cluster.rollout()
        cluster.kill_operator()
        kills += 1
        time.sleep(2.5)
    status = namespace.wait_finished("run", within=60)
    assert kills >= 4
    assert outcome(status) == SUCCESS
    assert measured(status) == [(target, level) for target in ("a-sim", "b-sim") for level in LEVELS]
    assert len(status["points"]) == len(measured(status)), "nothing was measured twice"
    assert [len(target["attempts"]) for target in status["targets"]] == [1, 1]
    cluster.rollout()


def test_the_load_pod_is_killed(namespace: Namespace) -> None:
    namespace.apply(benchmark("run", levels=LEVELS, seconds=2))
    before = namespace.wait_status("run", lambda s: points_done(s) >= 1, what="the first point")
    namespace.kubectl("delete", "pod", namespace.a_pod("load"), "--grace-period=0", "--force")
    status = namespace.wait_finished("run")
    assert outcome(status) == SUCCESS
    assert measured(status) == [("engine-sim", level) for level in LEVELS]
    attempts = status["targets"][0]["attempts"]
    assert [a["number"] for a in attempts] == [1, 2]
    assert attempts[0]["reason"] == "LoadPodDeleted"
    assert status["points"][0] == before["points"][0], "a complete point is not measured again"


def test_the_load_pod_ends_by_itself(namespace: Namespace) -> None:
    """Killed from inside its container, as by the kernel: the target fails, in words."""
    small = {"resources": {"requests": {"cpu": "50m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}}}
    namespace.apply(benchmark("run", simulated(prefillMicrosecondsPerToken=100), levels=[64], loadGenerator=small))
    status = namespace.wait_finished("run")
    assert status["phase"] == "Failed"
    target = status["targets"][0]
    assert target["attempts"][-1]["reason"] == "LoadPodDied"
    for words in ("137", "OOMKilled", "spec.loadGenerator.resources.limits.memory"):
        assert words in target["message"]


def test_the_engine_pod_is_killed(namespace: Namespace) -> None:
    """Nothing failed, it was taken away: what is missing is measured on a new one."""
    namespace.apply(benchmark("run", levels=LEVELS, seconds=2))
    namespace.wait_status("run", lambda s: points_done(s) >= 1, what="the first point")
    first = namespace.a_pod("engine")
    namespace.kubectl("delete", "pod", first, "--grace-period=0", "--force")
    status = namespace.wait_finished("run")
    assert outcome(status) == SUCCESS
    assert measured(status) == [("engine-sim", level) for level in LEVELS]
    attempts = status["targets"][0]["attempts"]
    assert [a["number"] for a in attempts] == [1, 2]
    assert attempts[0]["reason"] == "EngineDeleted"
    assert attempts[0]["podUID"] != attempts[1]["podUID"]


def test_the_engine_crashes_under_load(namespace: Namespace) -> None:
    """Its process ends in the middle: that target failed, and its finished points stay."""
    namespace.apply(benchmark("run", levels=LEVELS, seconds=2))
    namespace.wait_status("run", lambda s: points_done(s) >= 1, what="the first point")
    kill = "import os, signal; os.kill(1, signal.SIGTERM)"
    namespace.kubectl("exec", namespace.a_pod("engine"), "--", "python3", "-c", kill)
    status = namespace.wait_finished("run")
    assert status["phase"] == "Failed"
    assert status["targets"][0]["attempts"][-1]["reason"] == "EngineExited"
    assert status["points"][0]["validity"] in ("Valid", "Limited")
    assert outcome(status)["ResultsAvailable"] == "True"
