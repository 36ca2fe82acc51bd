"""Nodes and the node lifecycle controller: a node that is not heard of is tainted, its pods are evicted."""

from functools import partial
from random import Random
from typing import Any

from tests.simulation.kubelet import Kubelets, disrupted
from tests.simulation.store import Item, Store
from tests.simulation.surroundings import Surroundings

Obj = dict[str, Any]
MONITOR_GRACE = 50.0
"""Seconds without a heartbeat until a node is Unknown (1.32 and later)."""
DEFAULT_TOLERATION = 300.0
UNREACHABLE = "node.kubernetes.io/unreachable"


class Nodes:
    """Adds, loses and brings back nodes."""

    def __init__(self, store: Store, kubelets: Kubelets, around: Surroundings, random: Random) -> None:
        self._store = store
        self._kubelets = kubelets
        self._around = around
        self._random = random

    def add(self, name: str, *, gpus: int, labels: dict[str, str] | None = None) -> Item:
        """A node that is ready."""
        gpu = {"nvidia.com/gpu": str(gpus)} if gpus else {}
        node = {
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
            "spec": {},
            "status": {
                "allocatable": {"cpu": "64", "memory": "512Gi", "pods": "110", **gpu},
                "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            },
        }
        return self._store.add("Node", node)

    def lose(self, node: Item) -> None:
        """From now on nobody hears of it; after the grace the cluster acts."""
        self._around.unreachable.add(node.name)
        self._store.timeline.after(MONITOR_GRACE, lambda: self._unknown(node))

    def bring_back(self, node: Item, *, rebooted: bool) -> None:
        if node.name not in self._around.unreachable or self._store.of_uid(node.uid) is None:
            return
        self._around.unreachable.discard(node.name)
        self._ready(node, "True")
        node.obj["spec"]["taints"] = [t for t in node.obj["spec"].get("taints", ()) if t["key"] != UNREACHABLE]
        self._store.touch(node)
        self._kubelets.heard_again(node.name, rebooted=rebooted)

    def remove(self, node: Item) -> None:
        """The machine is gone for good: pod garbage collection ends its pods."""
        self._around.unreachable.add(node.name)
        self._store.remove(node)
        self._store.timeline.after(self._random.uniform(1.0, 60.0), lambda: self._collect(node.name))

    def _collect(self, name: str) -> None:
        for pod in self._store.all("Pod"):
            if pod.node == name:
                pod.obj["status"]["phase"] = "Failed"
                disrupted(self._store, pod, "DeletionByPodGC", "PodGC: node no longer exists")
                self._store.delete(pod, grace=0)

    def _unknown(self, node: Item) -> None:
        if node.name not in self._around.unreachable or self._store.of_uid(node.uid) is None:
            return
        self._ready(node, "Unknown")
        taints = node.obj["spec"].setdefault("taints", [])
        taints += [{"key": UNREACHABLE, "effect": effect} for effect in ("NoSchedule", "NoExecute")]
        self._store.touch(node)
        for pod in self._store.all("Pod"):
            if pod.node == node.name and not pod.over:
                wait = _toleration(pod.obj["spec"])
                self._store.timeline.after(wait, partial(self._evict, node, pod))

    def _evict(self, node: Item, pod: Item) -> None:
        if node.name in self._around.unreachable and self._store.of_uid(pod.uid) is pod and not pod.deleting:
            disrupted(self._store, pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint")
            self._store.delete(pod)

    def _ready(self, node: Item, status: str) -> None:
        node.obj["status"]["conditions"] = [{"type": "Ready", "status": status, "reason": "NodeStatusUnknown"}]


def _toleration(spec: Obj) -> float:
    for toleration in spec.get("tolerations") or ():
        if toleration.get("key") == UNREACHABLE and "tolerationSeconds" in toleration:
            return float(toleration["tolerationSeconds"])
    return DEFAULT_TOLERATION
