"""A folder of the worker node as a claim in a test's namespace."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Literal

from tests.support.cluster import Cluster, Namespace, eventually

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
        eventually(partial(_bound, namespace, name), within=60, what=f"the claim {name} bound to {volume_name}")
        yield name
    finally:
        cluster.kubectl("delete", "persistentvolume", volume_name, "--wait=false")


def _bound(namespace: Namespace, claim: str) -> bool:
    """Whether it is; if not, it is changed: what its controller could not bind at once it looks at again when that
    changes, and else every quarter of a minute."""
    if namespace.kubectl("get", f"pvc/{claim}", "--output=jsonpath={.status.phase}") == "Bound":
        return True
    namespace.kubectl("annotate", f"pvc/{claim}", "--overwrite", f"enginebench.dev/waited-for={time.monotonic()}")
    return False


@contextmanager
def empty_folder(cluster: Cluster, namespace: Namespace) -> Iterator[str]:
    """A folder of the local cluster's worker where anyone may write, as on a volume that honours fsGroup."""
    folder = f"/var/lib/{namespace.name}"
    _on_worker(cluster, 'rm -rf "$1"; mkdir -m 1777 "$1"', folder)
    try:
        yield folder
    finally:
        _on_worker(cluster, 'rm -rf "$1"', folder)


def open_folder(cluster: Cluster, folder: str) -> None:
    """The folder of the local cluster's worker is there, with what it has, and anyone may write in it."""
    _on_worker(cluster, 'mkdir -p -m 1777 "$1"', folder)


def _on_worker(cluster: Cluster, script: str, folder: str) -> None:
    worker = cluster.kubectl("get", "nodes", "--selector=nvidia.com/gpu.product", "--output=name").strip()
    command = ["docker", "exec", worker.removeprefix("node/"), "sh", "-ec", script, "-", folder]
    subprocess.run(command, check=True)


def models_claim(cluster: Cluster, namespace: Namespace, folder: str) -> AbstractContextManager[str]:
    """The claim `models`, which several pods may have at once."""
    return claim(cluster, namespace, MODELS, folder, "ReadWriteMany")
