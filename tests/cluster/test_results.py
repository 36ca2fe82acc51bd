"""Every request, kept on a volume that outlives the load pods."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import SUCCESS, Cluster, Namespace, eventually, outcome
from tests.support.runs import benchmark
from tests.support.volumes import claim

NODE_FOLDER = "/var/tmp"  # noqa: S108  # of the node: anyone may write there, as on a volume that honours fsGroup
READ = "import gzip, sys; sys.stdout.write(gzip.open('/kept/' + sys.argv[1], 'rt').read())"


@pytest.fixture
def kept(cluster: Cluster, namespace: Namespace) -> Iterator[str]:
    with claim(cluster, namespace, "kept", NODE_FOLDER, "ReadWriteMany") as name:
        yield name


def read(namespace: Namespace, claim: str, node: str, file: str) -> str:
    """The text of a file on the claim, through a pod."""
    container: dict[str, Any] = {
        "name": "read",
        "image": namespace.cluster.image,
        "command": ["python", "-c", READ, file],
        "volumeMounts": [{"name": "kept", "mountPath": "/kept"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "kept", "persistentVolumeClaim": {"claimName": claim}}],
    }
    namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "read"}, "spec": spec})
    ended = ("Succeeded", "Failed")
    eventually(
        lambda: namespace.cluster.get("pod", "read", f"--namespace={namespace.name}")["status"]["phase"] in ended,
        within=60,
        what="the file read",
    )
    return namespace.kubectl("logs", "read")


def test_every_request_is_kept(cluster: Cluster, namespace: Namespace, kept: str) -> None:
    worker = next(
        node["metadata"]["name"]
        for node in cluster.get("nodes")["items"]
        if "node-role.kubernetes.io/control-plane" not in node["metadata"]["labels"]
    )
    run = benchmark("run", levels=[2])
    run["spec"]["results"] = {"requests": True, "persistentVolumeClaim": {"claimName": kept}}
    run["spec"]["loadGenerator"]["nodeSelector"] = {"kubernetes.io/hostname": worker}
    status = namespace.measure(run)
    assert outcome(status) == SUCCESS
    [point] = status["points"]
    uid = cluster.get("bmr", "run", f"--namespace={namespace.name}")["metadata"]["uid"]
    lines = read(namespace, kept, worker, f"run-{uid[:8]}/engine-sim-a1-p0.jsonl.gz").splitlines()
    requests = [json.loads(line) for line in lines]
    tracked = [request for request in requests if request["tracked"]]
    assert sum(request["outcome"] == "succeeded" for request in tracked) == point["requests"]["succeeded"]
