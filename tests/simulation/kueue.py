"""Kueue, as far as a run meets it: its webhook takes charge of pods with a queue's label, its controller admits them.

After pkg/controller/jobs/pod of its sources: a gate, a label and a finalizer as a pod is created; a Workload that says
why it waits; the finalizer goes when the pod is over; who is evicted gets a condition and is deleted.
"""

from random import Random
from typing import Any

from enginebench.workflow.kueue import JOB_UID, MANAGED, QUEUE, TERMINATED
from tests.simulation.store import Change, Item, Store

Obj = dict[str, Any]
GATE = "kueue.x-k8s.io/admission"
ADMITTED_WITHIN = 30.0
WAITING = {"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": "insufficient unused quota"}


class Kueue:
    """One queue for all."""

    def __init__(self, store: Store, random: Random) -> None:
        self._store = store
        self._random = random
        self.takes_pods = True
        """Its integration `pod` is enabled."""
        self.longest = ADMITTED_WITHIN
        """Seconds until a pod is admitted, at most."""
        self.waited: set[str] = set()
        """UIDs of pods that were queued."""
        store.watch(self._watch, "Pod")

    def mutate(self, kind: str, obj: Obj) -> None:
        """The webhook."""
        marks = obj["metadata"].get("labels") or {}
        if kind == "Pod" and QUEUE in marks and self.takes_pods:
            marks[MANAGED] = "true"
            obj["metadata"].setdefault("finalizers", []).append(MANAGED)
            obj["spec"].setdefault("schedulingGates", []).append({"name": GATE})

    def evict(self, pod: Item) -> None:
        """Somebody with a higher priority takes its quota."""
        conditions = pod.obj["status"].setdefault("conditions", [])
        said = "Preempted to accommodate a workload (UID: 1, JobUID: 2) due to prioritization in the ClusterQueue"
        conditions.append(
            {"type": TERMINATED, "status": "True", "reason": "WorkloadEvictedDueToPreempted", "message": said}
        )
        self._store.touch(pod)
        self._store.delete(pod)

    def _watch(self, change: Change, item: Item) -> None:
        if item.labels.get(MANAGED) != "true":
            return
        if change == "added":
            self.waited.add(item.uid)
            meta = {"name": f"pod-{item.name}-{item.uid}", "namespace": item.namespace, "labels": {JOB_UID: item.uid}}
            owner = {"apiVersion": "v1", "kind": "Pod", "name": item.name, "uid": item.uid, "controller": True}
            self._store.add(
                "Workload", {"metadata": meta | {"ownerReferences": [owner]}, "status": {"conditions": [WAITING]}}
            )
            self._store.timeline.after(self._random.uniform(0.1, self.longest), lambda: self._admit(item))
        elif change != "deleted" and (item.over or (item.deleting and not item.node)):
            self._store.timeline.after(
                self._random.uniform(0.1, 5.0), lambda: self._store.drop_finalizer(item, MANAGED)
            )

    def _admit(self, pod: Item) -> None:
        if self._store.of_uid(pod.uid) is not pod or pod.deleting:
            return
        gates = pod.obj["spec"].get("schedulingGates") or []
        pod.obj["spec"]["schedulingGates"] = [gate for gate in gates if gate["name"] != GATE]
        self._store.touch(pod)
