"""A real Kueue, installed for these tests and removed after them, with a queue for the one GPU."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from enginebench.workflow.kueue import MANAGED
from images.kueue.manifests import DEPLOYMENT, NAMESPACE, WEBHOOKS, manifests
from tests.cluster.conftest import cluster, make, namespace
from tests.support.cluster import Cluster, KubectlError, Namespace, eventually

__all__ = ["cluster", "namespace"]

Install = Callable[[Sequence[str]], None]
API = "kueue.x-k8s.io/v1beta2"
GPU = "nvidia.com/gpu"
ROOM = {"cpu": "64", "memory": "256Gi"}
"""Quota of what is not scarce: what a pod asks for and its queue does not know is never admitted."""


@pytest.fixture(scope="session")
def install(cluster: Cluster) -> Iterator[Install]:
    """Installs it with the integrations that are named; nothing of it is left afterwards."""
    make("kueue")
    there: list[dict[str, Any]] = []

    def installed(frameworks: Sequence[str]) -> None:
        wanted = manifests(frameworks)
        crds = [one for one in wanted if one["kind"] == "CustomResourceDefinition"]
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=_list(wanted))
        there[:] = wanted
        for crd in crds:
            cluster.kubectl("wait", "--for=condition=Established", f"crd/{crd['metadata']['name']}", "--timeout=30s")
        cluster.kubectl("rollout", "restart", DEPLOYMENT, f"--namespace={NAMESPACE}")
        cluster.kubectl("rollout", "status", DEPLOYMENT, f"--namespace={NAMESPACE}", "--timeout=180s", timeout=200)
        eventually(lambda: _queues(cluster), within=90, what="Kueue's webhooks answering", every=2)

    yield installed
    for kind in WEBHOOKS:  # first: they refuse everything once their server is gone
        names = [one["metadata"]["name"] for one in there if one["kind"] == kind]
        cluster.kubectl("delete", kind, *names, "--ignore-not-found")
    for kind in ("workloads", "localqueues", "clusterqueues", "resourceflavors"):  # its finalizers go while it is there
        cluster.kubectl("delete", f"{kind}.kueue.x-k8s.io", "--all", "--all-namespaces", "--timeout=60s")
    for pod in cluster.get("pods", "--all-namespaces", f"--selector={MANAGED}")["items"]:  # a failed test's
        where = (f"--namespace={pod['metadata']['namespace']}", "pod", pod["metadata"]["name"])
        cluster.kubectl("patch", *where, "--type=merge", '--patch={"metadata": {"finalizers": null}}')
    cluster.kubectl("delete", "--ignore-not-found", "--filename=-", "--timeout=120s", stdin=_list(there), timeout=150)


@pytest.fixture(scope="session")
def kueue(install: Install) -> Install:
    """It takes charge of pods."""
    install(["batch/job", "pod"])
    return install


@pytest.fixture(scope="session")
def kinds(kueue: Install, cluster: Cluster) -> str:
    """Every namespaced kind that can be listed, Kueue's own among them, but Events and what comes and goes by itself."""
    names = cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    return ",".join(name for name in names if not name.startswith(("events", "endpoint")))


@pytest.fixture
def queued(namespace: Namespace) -> Namespace:
    """The namespace with a queue, `gpu-queue`, for the one GPU."""
    queue = {"apiVersion": API, "kind": "LocalQueue", "metadata": {"name": "gpu-queue"}}
    namespace.apply({**queue, "spec": {"clusterQueue": "gpus"}})
    return namespace


def _queues(cluster: Cluster) -> bool:
    """Flavor, queue and priorities for the whole cluster; False while the webhooks do not answer yet."""
    quotas = [{"name": name, "nominalQuota": much} for name, much in {**ROOM, GPU: "1"}.items()]
    group = {"coveredResources": [*ROOM, GPU], "flavors": [{"name": "gpu", "resources": quotas}]}
    queue = {
        "namespaceSelector": {},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [group],
    }
    priorities = [
        {"apiVersion": API, "kind": "WorkloadPriorityClass", "metadata": {"name": name}, "value": value}
        for name, value in (("low", 100), ("high", 1000))
    ]
    flavor = {"nodeLabels": {"nvidia.com/gpu.present": "true"}}
    try:
        cluster.apply(
            {"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": "gpu"}, "spec": flavor},
            {"apiVersion": API, "kind": "ClusterQueue", "metadata": {"name": "gpus"}, "spec": queue},
            *priorities,
        )
    except KubectlError as error:
        if "webhook" not in str(error):
            raise
        return False
    return True


def _list(objects: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
