"""Kubernetes Events as the scheduler, the kubelet and the controllers write them: counted, not repeated."""

from typing import Any

from tests.simulation.store import Item, Store

Obj = dict[str, Any]


class EventLog:
    """Writes Events about objects; the same one again raises its count."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, str, str], Item] = {}

    def tell(self, about: Item, reason: str, message: str, *, warning: bool = True, component: str = "kubelet") -> None:
        """One more occurrence."""
        now = self._store.timeline.stamp
        known = self._known.get((about.uid, reason, message))
        if known is not None and self._store.of_uid(known.uid) is known:
            known.obj["count"] += 1
            known.obj["lastTimestamp"] = now
            self._store.touch(known)
            return
        event = {
            "metadata": {"name": f"{about.name}.{len(self._known):016x}", "namespace": about.namespace},
            "involvedObject": {
                "apiVersion": "batch/v1" if about.kind == "Job" else "v1",
                "kind": about.kind, "namespace": about.namespace, "name": about.name, "uid": about.uid,
            },
            "reason": reason, "message": message, "type": "Warning" if warning else "Normal",
            "firstTimestamp": now, "lastTimestamp": now, "count": 1, "eventTime": None,
            "source": {"component": component}, "reportingComponent": component, "reportingInstance": "",
        }  # fmt: skip
        self._known[(about.uid, reason, message)] = self._store.add("Event", event)
