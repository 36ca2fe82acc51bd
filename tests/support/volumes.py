"""A folder of the worker node as a claim in a test's namespace."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from tests.support.cluster import Cluster, Namespace

MODELS = "models"
WORKER = {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "Exists"}]}


@contextmanager
def claim(
    cluster: Cluster,
    namespace: Namespace,
    name: str,
    folder: str,
    mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce",
) -> Iterator[str]:
    """The claim's name; its volume is one that nobody else can claim, and goes with the context."""
    volume_name = f"{namespace.name}-{name}"
    access = {"accessModes": [mode], "storageClassName": ""}
    volume = {
        **access,
        "capacity": {"storage": "1Gi"},
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": {"namespace": namespace.name, "name": name},
        "hostPath": {"path": folder, "type": "Directory"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [WORKER]}},
    }
    wanted = {**access, "volumeName": volume_name, "resources": {"requests": {"storage": "1Gi"}}}
    cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": volume_name}, "spec": volume})
    namespace.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": wanted})
    try:
        yield name
    finally:
        cluster.kubectl("delete", "persistentvolume", volume_name, "--wait=false")


@contextmanager
def empty_folder(cluster: Cluster, namespace: Namespace) -> Iterator[str]:
    """A folder of the local cluster's worker where anyone may write, as on a volume that honours fsGroup."""
    worker = cluster.kubectl("get", "nodes", "--selector=nvidia.com/gpu.product", "--output=name").strip()
    on_worker = ["docker", "exec", worker.removeprefix("node/")]
    folder = f"/var/lib/{namespace.name}"
    subprocess.run([*on_worker, "sh", "-ec", 'rm -rf "$1"; mkdir -m 1777 "$1"', "-", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*on_worker, "rm", "-rf", folder], check=True)


def models_claim(cluster: Cluster, namespace: Namespace, folder: str) -> AbstractContextManager[str]:
    """The claim `models`, which several pods may have at once."""
    return claim(cluster, namespace, MODELS, folder, "ReadWriteMany")
