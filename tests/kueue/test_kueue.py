"""A run in a queue of a real Kueue: its engine waits for quota, loses it to who has priority, and never runs beside it."""

from typing import Any

from enginebench.workflow.kueue import JOB_UID, MANAGED, QUEUE
from tests.kueue.conftest import GPU, Install
from tests.support.cluster import SUCCESS, Namespace, eventually, held_up, outcome
from tests.support.endpoints import server
from tests.support.runs import benchmark, simulated

PRIORITY = "kueue.x-k8s.io/priority-class"


def run(name: str, queue: str = "gpu-queue", *, seconds: int = 1, **changes: Any) -> dict[str, Any]:
    engine = simulated(pod={"gpu": {"count": 1}})
    made = benchmark(name, engine, levels=[1], seconds=seconds, **changes)
    made["metadata"]["labels"] = {QUEUE: queue, PRIORITY: "low"}
    return made


def engines(namespace: Namespace, name: str) -> list[dict[str, Any]]:
    """The engine pods of a run."""
    return [pod for pod in namespace.pods("engine") if pod["metadata"]["labels"]["enginebench.dev/run"] == name]


def no_workload(namespace: Namespace) -> bool:
    return not namespace.cluster.get("workloads", f"--namespace={namespace.name}")["items"]


def test_a_run_waits_for_the_quota_that_another_has(queued: Namespace) -> None:
    queued.apply(run("first", seconds=15))
    queued.wait_status("first", lambda s: s.get("phase") == "Running", what="its turn")
    [engine] = engines(queued, "first")
    assert engine["metadata"]["labels"][MANAGED] == "true"
    queued.apply(run("second", timeouts={"schedulingSeconds": 10}))
    status = queued.wait_status("second", lambda s: GPU in s.get("message", ""), what="why it waits")
    assert status["phase"] == status["targets"][0]["phase"] == "Queued"
    assert "gpu-queue" in status["message"]
    assert "insufficient unused quota" in status["message"], "Kueue's own words"
    assert "since" not in status["active"], "no deadline runs"
    [waiting] = engines(queued, "second")
    workloads = queued.cluster.get(
        "workloads", f"--namespace={queued.name}", f"--selector={JOB_UID}={waiting['metadata']['uid']}"
    )["items"]
    assert len(workloads) == 1, "which the message is of"
    for name in ("first", "second"):
        status = queued.wait_finished(name)
        assert outcome(status) == SUCCESS or held_up(status), status["message"]
    eventually(lambda: no_workload(queued), within=60, what="no workload left")


def test_an_engine_that_is_preempted_goes_back_into_its_queue(queued: Namespace) -> None:
    queued.apply(run("run", seconds=20, activeDeadlineSeconds=300))
    queued.wait_status("run", lambda s: s.get("targets", [{}])[0].get("phase") == "Loading", what="a load point")
    queued.apply(prior(queued))
    status = queued.wait_status("run", lambda s: s["phase"] == "Queued", what="Queued once more")
    [attempt] = [a for a in status["targets"][0]["attempts"] if "endTime" in a]
    assert attempt["reason"] == "EngineEvicted"
    assert "reempted to accommodate a workload" in attempt["message"], "Kueue's own words"
    queued.kubectl("wait", "--for=condition=Ready", "pod/prior", "--timeout=60s")
    queued.kubectl("delete", "pod", "prior")
    status = queued.wait_finished("run", within=180)
    assert outcome(status) == SUCCESS
    assert [a["reason"] for a in status["targets"][0]["attempts"]] == ["EngineEvicted", "Completed"]


def prior(namespace: Namespace) -> dict[str, Any]:
    """A pod that wants the GPU and goes before the runs."""
    sleeping, _ = server(namespace.cluster.image, ["python3", "-c", "import time; time.sleep(600)"])
    sleeping["spec"]["containers"][0]["resources"] = {
        "limits": {GPU: "1"},
        "requests": {"cpu": "10m", "memory": "16Mi"},
    }
    return {**sleeping, "metadata": {"name": "prior", "labels": {QUEUE: "gpu-queue", PRIORITY: "high"}}}


def test_a_queue_that_is_not_there_is_told_and_the_run_can_be_cancelled(queued: Namespace) -> None:
    queued.apply(run("run", queue="nobodys"))
    status = queued.wait_status("run", lambda s: "nobodys" in s.get("message", ""), what="which queue")
    assert status["phase"] == "Queued"
    queued.wait_status("run", lambda s: "exist" in s["message"], what="Kueue's own words")
    queued.kubectl("patch", "bmr", "run", "--type=merge", '--patch={"spec": {"cancel": true}}')
    assert queued.wait_finished("run")["phase"] == "Cancelled"
    eventually(lambda: not queued.pods("engine") and no_workload(queued), within=60, what="pod and workload gone")


def test_a_deleted_run_leaves_nothing_in_the_queue(queued: Namespace) -> None:
    queued.apply(prior(queued))
    queued.kubectl("wait", "--for=condition=Ready", "pod/prior", "--timeout=60s")
    queued.apply(run("run"))
    queued.wait_status("run", lambda s: s.get("phase") == "Queued", what="Queued")
    queued.kubectl("delete", "bmr", "run", "--timeout=60s")
    eventually(lambda: not queued.pods("engine"), within=60, what="its pod gone")
    queued.kubectl("delete", "pod", "prior")
    eventually(lambda: no_workload(queued), within=60, what="no workload left")


def test_a_queue_that_pods_are_not_held_to_is_told(kueue: Install, queued: Namespace) -> None:
    kueue(["batch/job"])
    queued.apply(run("run"))
    status = queued.wait_finished("run")
    assert outcome(status) == SUCCESS | {"Succeeded": "False", "Stalled": "True", "ResultsAvailable": "False"}
    assert status["targets"][0]["message"].startswith("KueuePodIntegrationDisabled: ")
