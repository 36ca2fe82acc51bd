"""Endpoints by reference, as a user has them: waited for in the object's words, loaded, and left as they were."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cluster import SUCCESS, Cluster, Namespace, eventually, outcome
from tests.support.endpoints import CA_REF, TOKEN_REF, file_server, secured_server, simulated_server
from tests.support.references import CRD, condition, inference_service, kserve_crd
from tests.support.runs import benchmark

POLICIES = Path(__file__).resolve().parents[2] / "examples" / "network-policies.yaml"
NOT_READY = [
    condition("PredictorReady", "False", "RevisionFailed", "0/2 nodes have a free GPU"),
    condition("Ready", "False", "PredictorNotReady"),
]


@pytest.fixture
def kserve(cluster: Cluster) -> Iterator[None]:
    """The CRD for as long as a test needs it."""
    cluster.apply(kserve_crd())
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=30s")
    yield
    cluster.kubectl("delete", "crd", CRD, "--timeout=60s")


def state(namespace: Namespace, *names: str) -> dict[str, tuple[str, str]]:
    """Object → its UID and resourceVersion."""
    found = namespace.cluster.get(f"--namespace={namespace.name}", *names)["items"]
    return {
        f"{o['kind']}/{o['metadata']['name']}": (o["metadata"]["uid"], o["metadata"]["resourceVersion"]) for o in found
    }


def say(namespace: Namespace, name: str, **status: Any) -> None:
    """Write the status, as KServe's controller would."""
    patch = json.dumps({"status": status})
    namespace.kubectl("patch", "inferenceservice", name, "--subresource=status", "--type=merge", f"--patch={patch}")


def message(namespace: Namespace, run: str) -> str:
    (target,) = namespace.status(run).get("targets", [{}])
    return str(target.get("message", ""))


def test_a_service_by_reference_over_tls_with_its_only_model(namespace: Namespace, cluster: Cluster) -> None:
    host = f"server.{namespace.name}.svc"
    namespace.apply(*secured_server(cluster.image, "served", host))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/server", "--timeout=60s")
    before = state(namespace, "pod,service", "--selector=!enginebench.dev/run")
    endpoint = {"serviceRef": {"name": "server"}, "tokenSecretRef": TOKEN_REF, "tls": {"caConfigMapRef": CA_REF}}
    status = namespace.measure(benchmark("run", {"name": "mine", "endpoint": endpoint}, levels=[2]))
    assert outcome(status) == SUCCESS
    engine = status["targets"][0]["engine"]
    assert engine["url"] == f"https://{host}:8000"
    assert engine["servedModel"] == "served"
    assert engine["effective"]["certificate"] == "verified"
    assert state(namespace, "pod,service", "--selector=!enginebench.dev/run") == before, "an endpoint is never touched"


@pytest.mark.usefixtures("kserve")
def test_an_inference_service_is_waited_for_in_its_own_words(namespace: Namespace, cluster: Cluster) -> None:
    pod, service = simulated_server(cluster.image, "served")
    namespace.apply(pod, service, inference_service("llama"))
    namespace.kubectl("wait", "--for=condition=Ready", "pod/server", "--timeout=60s")
    say(namespace, "llama", conditions=NOT_READY)
    target = {"name": "kserve", "endpoint": {"inferenceServiceRef": {"name": "llama"}, "model": "served"}}
    namespace.apply(benchmark("run", target, levels=[2]))
    words = "PredictorReady is False (RevisionFailed: 0/2 nodes have a free GPU)"
    eventually(lambda: words in message(namespace, "run"), within=60, what=words)
    assert namespace.pods("load") == []
    url = f"http://server.{namespace.name}.svc.cluster.local:8000"
    say(namespace, "llama", conditions=[condition("Ready", "True")], address={"url": url}, url="http://elsewhere.test")
    objects = ("pod/server", "service/server", "inferenceservice/llama")
    before = state(namespace, *objects)
    status = namespace.wait_finished("run")
    assert outcome(status) == SUCCESS
    assert status["targets"][0]["engine"]["url"] == url
    assert state(namespace, *objects) == before, "an endpoint is never touched"
    namespace.kubectl("delete", "inferenceservice", "llama")


def test_references_that_lead_nowhere_are_told_apart(namespace: Namespace, cluster: Cluster) -> None:
    pod, service = simulated_server(cluster.image, "served")
    service["spec"]["selector"] = {"app": "nobody"}
    namespace.apply(pod, service)
    endpoints = {
        "kserve": {"inferenceServiceRef": {"name": "llama"}},
        "missing": {"serviceRef": {"name": "no-such"}},
        "port": {"serviceRef": {"name": "server", "port": 9}},
        "nobody": {"serviceRef": {"name": "server"}},
    }
    for name, endpoint in endpoints.items():  # runs of their own, which wait at the same time
        target = {"name": name, "endpoint": endpoint}
        namespace.apply(benchmark(name, target, levels=[1], timeouts={"startupSeconds": 5}))
    said = {name: namespace.wait_finished(name)["targets"][0]["message"] for name in endpoints}
    assert said["kserve"].startswith("EndpointNotFound: endpoint.inferenceServiceRef: the cluster knows no Inference")
    assert said["missing"].startswith("EndpointNotFound: endpoint.serviceRef: there is no Service no-such")
    assert said["port"].startswith("EndpointUnusable: endpoint.serviceRef: Service server has the TCP ports 8000")
    assert said["nobody"].startswith("EndpointNotReady: Not ready within 5 s: Service server has no ready address")


def test_several_models_are_listed(namespace: Namespace, cluster: Cluster) -> None:
    page = json.dumps({"data": [{"id": "base"}, {"id": "adapter"}]}).encode()
    namespace.apply(*file_server(cluster.image, page))
    target = {"name": "mine", "endpoint": {"serviceRef": {"name": "server"}}}
    namespace.apply(benchmark("run", target, levels=[1], timeouts={"startupSeconds": 60}))
    status = namespace.wait_finished("run")
    assert status["targets"][0]["message"].startswith("ModelNotChosen: ")
    assert "serves adapter, base. Name the one" in status["targets"][0]["message"]


def test_a_run_in_a_namespace_that_denies_by_default(namespace: Namespace) -> None:
    """The policies of the example. The local network enforces none: what is shown is that
    they are taken, select the pods that they are meant for, and hinder nothing."""
    mine = list(yaml.safe_load_all(POLICIES.read_text()))
    namespace.apply(*mine)

    def look(run: str) -> dict[str, Any]:
        load, engine = namespace.a_pod("load"), namespace.a_pod("engine")
        for policy, pod in (("load-pods", load), ("engines", engine)):
            wanted = next(p for p in mine if p["metadata"]["name"] == policy)["spec"]["podSelector"]["matchLabels"]
            labels = ",".join(f"{key}={value}" for key, value in wanted.items())
            assert pod in namespace.kubectl("get", "pods", f"--selector={labels}", "--output=name")
        return namespace.wait_finished(run)

    assert outcome(namespace.measure(benchmark("run", levels=[1], seconds=5), wait=look)) == SUCCESS
