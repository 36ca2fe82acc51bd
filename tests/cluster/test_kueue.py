"""A run in a queue: its engine waits to be admitted, goes back into the queue when it is evicted, and is never run
beside the queue. Kueue's part is played by tests/support/kueue.py."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import kueue
from tests.support.cluster import SUCCESS, Cluster, Namespace, eventually, outcome
from tests.support.runs import benchmark

WHY = "couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu, 1 more needed"
PREEMPTED = "Preempted to accommodate a workload due to prioritization in the ClusterQueue"
QUEUE = {"kueue.x-k8s.io/queue-name": "gpu-queue", "kueue.x-k8s.io/priority-class": "low"}


@pytest.fixture
def queued(namespace: Namespace, cluster: Cluster) -> Iterator[Namespace]:
    """The namespace with the stand-in's webhook and CRD."""
    objects, configuration = kueue.webhook_server(cluster.image, namespace.name)
    cluster.apply(kueue.workload_crd())
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{kueue.CRD}", "--timeout=30s")
    namespace.apply(*objects)
    namespace.kubectl("wait", "--for=condition=Ready", "pod/server", "--timeout=60s")
    hook = f"mutatingwebhookconfiguration/{configuration['metadata']['name']}"
    cluster.apply(configuration)
    yield namespace
    cluster.kubectl("delete", hook)
    for pod in namespace.pods("engine"):
        kueue.release(namespace, pod["metadata"]["name"])
    cluster.kubectl("delete", "crd", kueue.CRD, "--timeout=60s")


def run(**changes: Any) -> dict[str, Any]:
    made = benchmark("run", levels=[1], **changes)
    made["metadata"]["labels"] = dict(QUEUE)
    return made


def an_engine(namespace: Namespace, besides: str = "") -> dict[str, Any]:
    """The engine's pod that has just been created."""

    def look() -> dict[str, Any] | None:
        return next((p for p in namespace.pods("engine") if p["metadata"]["uid"] != besides), None)

    return eventually(look, within=60, what="an engine's pod")


def running(namespace: Namespace, pod: str) -> None:
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Running", f"pod/{pod}", "--timeout=60s")


def over(namespace: Namespace, pod: str) -> None:
    """Its containers have ended; Kueue's finalizer goes."""
    phases = ("Succeeded", "Failed")
    where = ("get", "pod", pod, "--output=jsonpath={.status.phase}", "--ignore-not-found")
    eventually(lambda: namespace.kubectl(*where) in (*phases, ""), within=60, what=f"{pod} over")
    kueue.release(namespace, pod)


def test_an_engine_waits_in_its_queue_and_goes_back_when_it_is_evicted(queued: Namespace) -> None:
    queued.apply(run(seconds=20, timeouts={"schedulingSeconds": 10}, activeDeadlineSeconds=120))
    first = an_engine(queued)
    assert kueue.managed(first)
    assert QUEUE.items() <= first["metadata"]["labels"].items()
    kueue.says_why(queued, first, WHY)
    status = queued.wait_status("run", lambda s: WHY in s.get("message", ""), what="why it waits")
    assert status["phase"] == status["targets"][0]["phase"] == "Queued"
    assert "gpu-queue" in status["message"]
    assert "since" not in status["active"], "no deadline runs"
    assert queued.pods("load") == []
    name = first["metadata"]["name"]
    # Longer than schedulingSeconds: it does not count.
    eventually(lambda: queued.status("run")["phase"] == "Queued", within=15, what="Queued", every=12)
    kueue.admit(queued, name)
    queued.wait_status("run", lambda s: s["targets"][0].get("phase") == "Loading", what="a load point")
    kueue.evict(queued, name, PREEMPTED)
    over(queued, name)
    second = an_engine(queued, besides=first["metadata"]["uid"])
    queued.wait_status("run", lambda s: s["phase"] == "Queued", what="Queued once more")
    kueue.admit(queued, second["metadata"]["name"])
    running(queued, second["metadata"]["name"])
    queued.wait_status("run", lambda s: len(s.get("points", ())) >= 1, within=120, what="the point")
    over(queued, second["metadata"]["name"])
    status = queued.wait_finished("run")
    attempts = status["targets"][0]["attempts"]
    assert [a["reason"] for a in attempts] == ["EngineEvicted", "Completed"]
    assert PREEMPTED in attempts[0]["message"]
    flavor = ",".join(f"{label}={value}" for label, value in kueue.FLAVOR.items())
    nodes = queued.cluster.kubectl("get", "nodes", f"--selector={flavor}", "--output=name").split()
    assert f"node/{status['targets'][0]['engine']['node']}" in nodes, "where its flavor is"


def test_a_label_that_nobody_looks_at_is_told(namespace: Namespace) -> None:
    namespace.apply(run())
    status = namespace.wait_finished("run")
    assert outcome(status) == SUCCESS | {"Succeeded": "False", "Stalled": "True", "ResultsAvailable": "False"}
    assert status["targets"][0]["message"].startswith("KueuePodIntegrationDisabled: ")
    assert "gpu-queue" in status["message"]
