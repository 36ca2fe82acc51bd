"""The same rows from every source: in the run, packed in a ConfigMap, on a volume, at a URL."""

import base64
import gzip
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cluster import SUCCESS, Cluster, Namespace, eventually, outcome
from tests.support.endpoints import URL, file_server
from tests.support.runs import benchmark
from tests.support.volumes import claim

PROMPTS = ["Why is the sky blue?", "What is a tide?", "Who was Ada Lovelace?"]
LINES = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS).encode()
CONVERSATIONS = json.dumps(
    [{"conversations": [{"from": "human", "value": prompt}, {"from": "gpt", "value": "So."}]} for prompt in PROMPTS]
    + [{"conversations": [{"from": "gpt", "value": "Nobody asked."}]}]
).encode()
WRITE = "import base64, pathlib, sys; f = pathlib.Path(sys.argv[1]); f.parent.mkdir(exist_ok=True); " + (
    "f.write_bytes(base64.b64decode(sys.argv[2])); f.chmod(0o644)"
)


@pytest.fixture
def volume(cluster: Cluster, namespace: Namespace) -> Iterator[dict[str, Any]]:
    """The rows in a file on a claim: a folder in /tmp of a node, where any user may write."""
    path = f"{namespace.name}/prompts.jsonl"
    writer = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "writer"},
        "spec": {
            "restartPolicy": "Never",
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "writer",
                    "image": cluster.image,
                    "command": ["python3", "-c", WRITE, f"/data/{path}", base64.b64encode(LINES).decode()],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "prompts"}}],
        },
    }
    with claim(cluster, namespace, "prompts", "/tmp") as name:  # noqa: S108  # the node's
        namespace.apply(writer)
        eventually(
            lambda: cluster.get("pod", "writer", f"--namespace={namespace.name}")["status"]["phase"] == "Succeeded",
            within=60,
            what="the file on the volume",
        )
        yield {"claimName": name, "path": path}


def test_the_same_rows_from_every_source(cluster: Cluster, namespace: Namespace, volume: dict[str, Any]) -> None:
    packed = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "prompts"},
        "binaryData": {"prompts.jsonl.gz": base64.b64encode(gzip.compress(LINES)).decode()},
    }
    sources: dict[str, dict[str, Any]] = {
        "inline": {"inline": {"rows": [{"prompt": prompt} for prompt in PROMPTS]}},
        "packed": {"configMap": {"name": "prompts", "key": "prompts.jsonl.gz"}},
        "volume": {"persistentVolumeClaim": volume},
        "url": {
            "url": {"url": f"{URL}/chat.json?key=1", "sha256": hashlib.sha256(CONVERSATIONS).hexdigest()},
            "format": "ShareGPT",
        },
    }
    namespace.apply(packed, *file_server(cluster.image, CONVERSATIONS))
    read = {}
    for name, source in sources.items():
        run = benchmark(f"run-{name}", levels=[2], workload={"dataset": source})
        status = namespace.measure(run, within=180)
        assert outcome(status) == SUCCESS, name
        read[name] = status["resolved"]["dataset"]
    digest = read["inline"]["digest"]
    assert digest.startswith("sha256:")
    same = {"rows": 3, "digest": digest}
    assert read == {"inline": same, "packed": same, "volume": same, "url": same | {"skipped": 1}}
