"""kube-controller-manager: the Job controller and the garbage collector, as far as a run meets them."""

from functools import partial
from random import Random
from typing import Any

from tests.simulation.eventlog import EventLog
from tests.simulation.store import Change, Item, Store, clone

Obj = dict[str, Any]
INDEX = "batch.kubernetes.io/job-completion-index"
TRACKING = "batch.kubernetes.io/job-tracking"
LATENCY = (0.01, 0.4)
POD_GC_SECONDS = 20.0
DOWN_POLL = 1.0
"""A controller that is down looks again when it is back."""


class GarbageCollector:
    """Deletes what has lost its owner, in the background."""

    def __init__(self, store: Store, random: Random) -> None:
        self._store = store
        self._random = random
        self.down = False
        store.watch(self._watch)

    def _watch(self, change: Change, item: Item) -> None:
        if change == "deleted":
            self._soon(item.uid)
        elif change == "added":
            for owner in item.owners:
                if self._store.of_uid(owner) is None:  # created for an owner that is gone already
                    self._soon(owner)

    def _soon(self, owner: str) -> None:
        self._store.timeline.after(self._random.uniform(*LATENCY), lambda: self._collect(owner))

    def _collect(self, owner: str) -> None:
        if self.down:
            self._store.timeline.after(DOWN_POLL, lambda: self._collect(owner))
            return
        for item in self._store.everything():
            if owner in item.owners and all(self._store.of_uid(uid) is None for uid in item.owners):
                self._store.delete(item)


class JobController:
    """One pod per completion of an Indexed Job, never replaced: what `backoffLimit: 0` comes to."""

    def __init__(self, store: Store, events: EventLog, random: Random) -> None:
        self._store = store
        self._events = events
        self._random = random
        self.refusal = ""
        """Why pods cannot be created now (quota, admission); empty: they can."""
        self.down = False
        store.watch(self._watch, "Job", "Pod")

    def _watch(self, change: Change, item: Item) -> None:
        if item.kind == "Job" and change != "modified":
            self._soon(item.uid)
        elif item.kind == "Pod" and item.owners and (item.over or item.deleting or change == "deleted"):
            self._soon(item.owners[0])

    def _soon(self, uid: str) -> None:
        self._store.timeline.after(self._random.uniform(*LATENCY), lambda: self._sync(uid))

    def _sync(self, uid: str) -> None:
        if self.down:
            self._store.timeline.after(DOWN_POLL, lambda: self._sync(uid))
            return
        job = self._store.of_uid(uid)
        pods = [pod for pod in self._store.all("Pod") if uid in pod.owners]
        if job is None:  # deleted: its pods are the garbage collector's, but for our finalizer
            for pod in pods:
                self._store.drop_finalizer(pod, TRACKING)
            return
        if job.kind != "Job" or job.obj["spec"].get("suspend"):
            return
        status = job.obj.setdefault("status", {})
        ended = any(c["type"] in ("Complete", "Failed") for c in status.get("conditions") or ())
        if not ended and len(status.setdefault("started", [])) < job.obj["spec"]["completions"]:
            self._create_pod(job, len(status["started"]))
            if not pods:
                return
            pods = [pod for pod in self._store.all("Pod") if uid in pod.owners]
        for pod in pods:
            if pod.deleting and not pod.node and not pod.over:
                self._store.timeline.after(POD_GC_SECONDS, partial(self._give_up, pod))
        if not ended:
            self._judge(job, pods)
        for pod in pods:
            if pod.over:
                self._store.drop_finalizer(pod, TRACKING)

    def admit(self, name: str) -> None:
        """A queue lets the suspended Job go on, if it is still there."""
        for job in self._store.all("Job"):
            if job.name == name and job.obj["spec"].pop("suspend", False):
                self._store.touch(job)
                self._soon(job.uid)

    def _judge(self, job: Item, pods: list[Item]) -> None:
        """It is complete when all pods have succeeded; it fails with the first that has failed or is gone."""
        status = job.obj["status"]
        succeeded: set[str] = {*status.get("succeededIndexes", ())}
        succeeded |= {pod.labels[INDEX] for pod in pods if pod.phase == "Succeeded"}
        status["succeededIndexes"] = sorted(succeeded)
        left = succeeded | {pod.labels[INDEX] for pod in pods if pod.phase != "Failed"}
        if len(succeeded) == job.obj["spec"]["completions"]:
            self._finish(job, "Complete")
        elif len(left) < len(status["started"]):
            self._finish(job, "Failed")
            for pod in pods:
                if not pod.over and not pod.deleting:
                    self._store.delete(pod)

    def _create_pod(self, job: Item, index: int) -> None:
        if self.refusal:
            self._events.tell(job, "FailedCreate", f"Error creating: {self.refusal}", component="job-controller")
            self._store.timeline.after(10.0, lambda: self._sync(job.uid))
            return
        template = clone(job.obj["spec"]["template"])
        meta = template.get("metadata") or {}
        labels = meta.get("labels") or {}
        labels |= {
            "batch.kubernetes.io/controller-uid": job.uid,
            "batch.kubernetes.io/job-name": job.name,
            "job-name": job.name,
            INDEX: str(index),
        }
        name = f"{job.name[:50]}-{index}-{''.join(self._random.choices('bcdfghjklmnpqrstvwxz2456789', k=5))}"
        pod = {
            "metadata": {
                "name": name,
                "namespace": job.namespace,
                "labels": labels,
                "annotations": meta.get("annotations") or {},
                "finalizers": [TRACKING],
                "ownerReferences": [
                    {"apiVersion": "batch/v1", "kind": "Job", "name": job.name, "uid": job.uid, "controller": True}
                ],
            },
            "spec": template["spec"],
            "status": {"phase": "Pending"},
        }
        job.obj["status"]["started"].append(index)
        self._store.add("Pod", pod)
        self._store.touch(job)
        if index + 1 < job.obj["spec"]["completions"]:
            self._soon(job.uid)

    def _give_up(self, pod: Item) -> None:
        """Pod garbage collection ends a deleted pod that never had a node; only then the finalizer may go."""
        if self._store.of_uid(pod.uid) is pod and not pod.over:
            pod.obj["status"]["phase"] = "Failed"
            self._store.touch(pod)

    def _finish(self, job: Item, how: str) -> None:
        reason = {"Complete": "CompletionsReached", "Failed": "BackoffLimitExceeded"}[how]
        conditions = job.obj["status"].setdefault("conditions", [])
        conditions.append(
            {"type": how, "status": "True", "reason": reason, "lastTransitionTime": self._store.timeline.stamp}
        )
        self._store.touch(job)
