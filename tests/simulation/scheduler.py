"""kube-scheduler: puts pods on nodes that have what they ask for, and says in its own words why it cannot."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from tests.simulation.eventlog import EventLog
from tests.simulation.store import Change, Item, Store

Obj = dict[str, Any]
UNITS = {"m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
LATENCY = (0.01, 0.3)
RETRY = 1.0
"""A scheduler that is down looks again when it is back."""


class Scheduler:
    """Watches pods and nodes."""

    def __init__(self, store: Store, events: EventLog, random: Random, has_claim: Callable[[str, str], bool]) -> None:
        self._store = store
        self._events = events
        self._random = random
        self._has_claim = has_claim
        self._booked = False
        self.down = False
        store.watch(self._watch, "Node", "Pod")

    def _watch(self, change: Change, item: Item) -> None:
        if item.kind == "Node" or item.over or change == "deleted" or not item.node:
            self._soon(self._random.uniform(*LATENCY))

    def look(self) -> None:
        """Something that pods wait for has come."""
        self._soon(self._random.uniform(*LATENCY))

    def _soon(self, seconds: float) -> None:
        if not self._booked:
            self._booked = True
            self._store.timeline.after(seconds, self._round)

    def _round(self) -> None:
        self._booked = False
        if self.down:
            self._soon(RETRY)
            return
        for pod in self._store.all("Pod"):
            if not pod.node and not pod.over and not pod.deleting and not pod.obj["spec"].get("schedulingGates"):
                self._place(pod)

    def _place(self, pod: Item) -> None:
        reasons: Counter[str] = Counter()
        nodes = self._store.all("Node")
        for claim in _claims(pod.obj["spec"]):
            if not self._has_claim(pod.namespace, claim):
                self._refuse(pod, f'persistentvolumeclaim "{claim}" not found', len(nodes))
                return
        for node in nodes:
            if reason := self._unfit(pod, node):
                reasons[reason] += 1
            else:
                self._bind(pod, node)
                return
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "no nodes available"
        self._refuse(pod, why, len(nodes))

    def _bind(self, pod: Item, node: Item) -> None:
        pod.obj["spec"]["nodeName"] = node.name
        self._condition(pod, {"status": "True"})
        self._store.touch(pod)

    def _refuse(self, pod: Item, why: str, nodes: int) -> None:
        message = (
            f"0/{nodes} nodes are available: {why}. preemption: 0/{nodes} nodes are available: "
            f"{nodes} No preemption victims found for incoming pod."
        )
        if self._condition(pod, {"status": "False", "reason": "Unschedulable", "message": message}):
            self._events.tell(pod, "FailedScheduling", message, component="default-scheduler")
            self._store.touch(pod)

    def _condition(self, pod: Item, what: Obj) -> bool:
        conditions = pod.obj["status"].setdefault("conditions", [])
        old = next((c for c in conditions if c["type"] == "PodScheduled"), None)
        if old is not None and (old["status"], old.get("message")) == (what["status"], what.get("message")):
            return False
        if old is not None:
            conditions.remove(old)
        conditions.append({"type": "PodScheduled", "lastTransitionTime": self._store.timeline.stamp, **what})
        return True

    def _unfit(self, pod: Item, node: Item) -> str:
        spec = pod.obj["spec"]
        labels = node.obj["metadata"].get("labels") or {}
        for taint in node.obj["spec"].get("taints") or ():
            if taint["effect"] != "PreferNoSchedule" and not tolerated(spec, taint):
                return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
        if not all(labels.get(key) == value for key, value in (spec.get("nodeSelector") or {}).items()):
            return "node(s) didn't match Pod's node affinity/selector"
        if not _affinity_allows(spec, node.name, labels):
            return "node(s) didn't match Pod's node affinity/selector"
        free = {name: amount(text) for name, text in node.obj["status"]["allocatable"].items()}
        for other in self._store.all("Pod"):
            if other.node == node.name and not other.over:
                for name, used in requests(other.obj["spec"]).items():
                    free[name] = free.get(name, 0.0) - used
        for name, wanted in requests(spec).items():
            if wanted > free.get(name, 0.0):
                return f"Insufficient {name}"
        return ""


def tolerated(spec: Obj, taint: Obj) -> bool:
    """Whether the pod bears the taint."""
    return any(
        (not t.get("key") or t["key"] == taint["key"])
        and (t.get("operator") == "Exists" or t.get("value", "") == taint.get("value", ""))
        and t.get("effect") in (None, "", taint["effect"])
        for t in spec.get("tolerations") or ()
    )


def requests(spec: Obj) -> dict[str, float]:
    """What the pod asks of its node."""
    total: dict[str, float] = {}
    for container in spec["containers"]:
        resources = container.get("resources") or {}
        for name, text in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}.items():
            total[name] = total.get(name, 0.0) + amount(text)
    return total


def amount(text: str | int | float) -> float:
    """A Kubernetes quantity as a number."""
    word = str(text)
    for unit in (word[-2:], word[-1:]):
        if unit in UNITS:
            return float(word[: -len(unit)]) * UNITS[unit]
    return float(word)


def _claims(spec: Obj) -> list[str]:
    volumes = spec.get("volumes") or ()
    return [v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v]


def _affinity_allows(spec: Obj, node: str, labels: dict[str, str]) -> bool:
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not required:
        return True
    return any(
        all(_matches(e, labels.get(e["key"])) for e in term.get("matchExpressions") or ())
        and all(_matches(e, node if e["key"] == "metadata.name" else None) for e in term.get("matchFields") or ())
        for term in required["nodeSelectorTerms"]
    )


def _matches(expression: Obj, value: str | None) -> bool:
    values = expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    raise ValueError(f"node affinity operator {expression['operator']}")
