"""A folder of the worker node as a claim in a test's namespace."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.cluster import Cluster, Namespace

CLAIM = "models"
WORKER = {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "Exists"}]}


@contextmanager
def models_claim(cluster: Cluster, namespace: Namespace, folder: str) -> Iterator[str]:
    """The claim's name; its volume is one that nobody else can claim, and goes with the context."""
    name = f"{namespace.name}-models"
    rules: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            **rules,
            "capacity": {"storage": "1Gi"},
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace.name, "name": CLAIM},
            "hostPath": {"path": folder, "type": "Directory"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [WORKER]}},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {**rules, "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}},
    }
    cluster.apply(volume)
    namespace.apply(claim)
    try:
        yield CLAIM
    finally:
        cluster.kubectl("delete", "persistentvolume", name, "--wait=false")
