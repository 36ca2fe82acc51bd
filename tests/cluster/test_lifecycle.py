"""What a user may do to a run: suspend, resume, cancel, delete, let it expire, edit it."""

import re

import pytest

from tests.support.cluster import SUCCESS, Cluster, KubectlError, Namespace, condition, eventually, outcome
from tests.support.runs import benchmark, simulated

LEVELS = [1, 2, 3, 4]


def patch(namespace: Namespace, text: str) -> str:
    return namespace.kubectl("patch", "bmr", "run", "--type=merge", f"--patch={text}")


def start(namespace: Namespace) -> None:
    """A run of four points on the GPU, under way in its first."""
    namespace.apply(benchmark("run", simulated(pod={"gpu": {"count": 1}}), levels=LEVELS, seconds=3))
    loading = "Loading"
    namespace.wait_status("run", lambda s: s.get("targets", [{}])[0].get("phase") == loading, what=loading)


def test_a_suspended_run_frees_the_gpu_and_goes_on(namespace: Namespace) -> None:
    start(namespace)
    namespace.wait_status("run", lambda s: s["progress"]["pointsDone"] >= 1, what="the first point")
    patch(namespace, '{"spec": {"suspend": true}}')
    status = namespace.wait_status("run", lambda s: s["phase"] == "Suspended", what="Suspended")
    assert condition(status, "Reconciling")["reason"] == "Suspended"
    assert outcome(status)["Finished"] == "False"
    eventually(lambda: not namespace.pods("engine"), within=45, what="the GPU free")
    first = namespace.status("run")["points"][0]
    patch(namespace, '{"spec": {"suspend": false}}')
    status = namespace.wait_finished("run")
    assert outcome(status) == SUCCESS
    counted = [p for p in status["points"] if p["validity"] != "Superseded"]
    assert sorted(p["load"]["concurrency"] for p in counted) == LEVELS
    assert counted[0] == first, "a complete point is not measured again"
    assert [a["reason"] for a in status["targets"][0]["attempts"]] == ["Suspended", "Completed"]


def test_a_run_that_begins_suspended_waits(namespace: Namespace) -> None:
    namespace.apply(benchmark("run", levels=[1], suspend=True))
    namespace.wait_status("run", lambda s: s.get("phase") == "Suspended", what="Suspended")
    assert namespace.pods("engine") == []
    patch(namespace, '{"spec": {"suspend": false}}')
    assert outcome(namespace.wait_finished("run")) == SUCCESS


def test_a_cancelled_run_keeps_what_was_measured(namespace: Namespace) -> None:
    start(namespace)
    status = namespace.wait_status("run", lambda s: s["progress"]["pointsDone"] >= 1, what="the first point")
    patch(namespace, '{"spec": {"cancel": true}}')
    status = namespace.wait_finished("run", within=60)
    assert status["phase"] == "Cancelled"
    assert outcome(status) == SUCCESS | {"Succeeded": "False"}, "cancelled is neither success nor stalled"
    assert condition(status, "Succeeded")["reason"] == "Cancelled"
    [point, *_] = status["points"]
    assert point["requests"]["succeeded"] > 0, point
    assert point["validity"] in ("Valid", "Limited"), point
    with pytest.raises(KubectlError, match="cancel"):
        patch(namespace, '{"spec": {"cancel": false}}')


def test_a_deleted_run_goes_with_all_it_had(namespace: Namespace) -> None:
    start(namespace)
    namespace.kubectl("delete", "bmr", "run", "--timeout=30s")
    eventually(lambda: not namespace.objects() - namespace.ours, within=60, what="everything gone")
    namespace.apply(benchmark("run", levels=[1]))
    assert outcome(namespace.wait_finished("run")) == SUCCESS, "the name is free for a new one"


def test_a_finished_run_expires(namespace: Namespace) -> None:
    namespace.apply(benchmark("run", levels=[1], ttlSecondsAfterFinished=600))
    namespace.wait_finished("run")
    patch(namespace, '{"spec": {"ttlSecondsAfterFinished": 0}}')
    namespace.kubectl("wait", "--for=delete", "bmr/run", "--timeout=30s")
    eventually(lambda: not namespace.objects() - namespace.ours, within=60, what="its results gone")


def test_a_deadline_ends_a_run(namespace: Namespace) -> None:
    namespace.apply(benchmark("run", levels=[1, 2], seconds=5, activeDeadlineSeconds=12))
    status = namespace.wait_finished("run", within=60)
    assert condition(status, "Succeeded")["reason"] == "DeadlineExceeded"
    assert "activeDeadlineSeconds" in status["message"]


def test_an_edit_after_the_end_is_observed(namespace: Namespace) -> None:
    """Else `kubectl wait` would ignore the conditions for ever."""
    namespace.apply(benchmark("run", levels=[1]))
    namespace.wait_finished("run")
    patch(namespace, '{"spec": {"ttlSecondsAfterFinished": 600}}')
    generation = namespace.run("run")["metadata"]["generation"]
    assert generation == 2
    status = namespace.wait_status("run", lambda s: s["observedGeneration"] == generation, what="generation 2")
    assert {c["observedGeneration"] for c in status["conditions"]} == {generation}
    namespace.wait_finished("run", within=10)


def test_an_edit_of_what_is_fixed_is_refused(namespace: Namespace) -> None:
    namespace.apply(benchmark("run", levels=[1], suspend=True))
    with pytest.raises(KubectlError, match=r"spec\.workload"):
        patch(namespace, '{"spec": {"workload": {"durationSeconds": 9}}}')


def test_the_operator_may_do_what_it_does_and_no_more(cluster: Cluster) -> None:
    asked = cluster.kubectl(
        "auth", "can-i", "--list", "--as=system:serviceaccount:enginebench-system:enginebench-operator"
    )
    assert re.search(r"benchmarkruns\.enginebench\.dev/status\s.*\[update\]", asked)
    for forbidden in ("secrets", "finalizers", "pods/exec", "deployments", r"\*\.\*"):
        assert not re.search(rf"^{forbidden}\s", asked, re.MULTILINE), forbidden
