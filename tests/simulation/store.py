"""Objects as an API server keeps them: resource versions, UIDs, deletion with finalizers, watchers.

Readers get a copy that they share as long as the version lasts: it must not be changed, which is looked after for
every eighth. Controllers of the virtual cluster change `Item.obj` in place and call `Store.touch`.
"""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from tests.simulation.timeline import Timeline, stamp

Obj = dict[str, Any]
RUN = "BenchmarkRun"
CHECKED = 8
Change = Literal["added", "modified", "deleted"]


class Item:
    """One stored object; its own fields that are asked for most often stand beside it."""

    __slots__ = (
        "_copy",
        "_given",
        "_outline",
        "_versions",
        "kind",
        "labels",
        "name",
        "namespace",
        "obj",
        "owners",
        "uid",
    )

    def __init__(self, kind: str, obj: Obj) -> None:
        meta = obj["metadata"]
        self.kind = kind
        self.obj = obj
        self.namespace: str = meta.get("namespace", "")
        self.name: str = meta["name"]
        self.uid: str = meta["uid"]
        self.labels: dict[str, str] = meta.get("labels") or {}
        self.owners: tuple[str, ...] = tuple(o["uid"] for o in meta.get("ownerReferences") or ())
        self._copy: Obj | None = None
        self._given: Obj | None = None
        """What the copy was when it was given, of versions that are checked."""
        self._outline: Obj | None = None
        self._versions = 0

    def copy(self) -> Obj:
        """The object as a reader gets it."""
        if self._copy is None:
            if self.kind == RUN:  # spec and status are replaced as a whole
                self._copy = {**self.obj, "metadata": clone(self.obj["metadata"])}
            else:
                self._copy = clone(self.obj)
            self._given = clone(self.obj) if self._versions % CHECKED == 0 else None
        return self._copy

    def outline(self) -> Obj:
        """The object as a list of metadata has it."""
        if self._outline is None:
            self._outline = {"metadata": clone(self.obj["metadata"])}
        return self._outline

    def changed(self) -> None:
        """A new version: what was read of the old one is of the past."""
        if self._given is not None and self._given != self._copy:
            raise AssertionError(f"{self} was changed by one who only read it")
        self._copy = self._outline = self._given = None
        self._versions += 1

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.obj["metadata"]

    @property
    def phase(self) -> str:
        """status.phase of a Pod."""
        phase: str = self.obj.get("status", {}).get("phase", "")
        return phase

    @property
    def over(self) -> bool:
        """A Pod that ended: it holds no resources any more."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def node(self) -> str:
        """spec.nodeName of a Pod."""
        node: str = self.obj["spec"].get("nodeName", "")
        return node

    def __repr__(self) -> str:
        return f"{self.kind}/{self.name}"


def clone(obj: Obj) -> Obj:
    """A deep copy of plain data, many times faster than `copy.deepcopy`."""
    copy: Obj = msgspec.to_builtins(obj)
    return copy


Watcher = Callable[[Change, Item], None]


class Store:
    """All objects of the cluster, by kind, namespace and name."""

    def __init__(self, timeline: Timeline, seed: int) -> None:
        self.timeline = timeline
        self._watchers: list[tuple[Watcher, tuple[str, ...]]] = []
        self._listening: dict[str, list[Watcher]] = {}
        """By kind, as far as they were asked for."""
        self._seed = seed
        self._version = 1000
        self._uids = 0
        self._by_kind: dict[str, dict[tuple[str, str], Item]] = {}
        self._by_uid: dict[str, Item] = {}
        self.members = 0
        """Raised when an object comes or goes; labels never change, so that lists by label stay true meanwhile."""

    def watch(self, watcher: Watcher, *kinds: str) -> None:
        """Have it told of every change, or of those of some kinds only; in the order in which they came."""
        self._watchers.append((watcher, kinds))
        self._listening = {}

    def find(self, kind: str, namespace: str, name: str) -> Item | None:
        return self._by_kind.get(kind, {}).get((namespace, name))

    def of_uid(self, uid: str) -> Item | None:
        return self._by_uid.get(uid)

    def all(self, kind: str) -> list[Item]:
        """Every object of the kind, oldest first."""
        return list(self._by_kind.get(kind, {}).values())

    def everything(self) -> Iterator[Item]:
        return iter(list(self._by_uid.values()))

    def add(self, kind: str, obj: Obj) -> Item:
        """Store a new object: gives it its UID, version and time."""
        meta = obj["metadata"]
        self._uids += 1
        meta["uid"] = f"{self._uids:08x}-51b0-4000-8000-{self._seed & 0xFFFFFFFFFFFF:012x}"
        meta["creationTimestamp"] = self.timeline.stamp
        item = Item(kind, obj)
        self._stamp(item)
        self._by_kind.setdefault(kind, {})[(item.namespace, item.name)] = item
        self._by_uid[item.uid] = item
        self.members += 1
        self._tell("added", item)
        return item

    def touch(self, item: Item) -> None:
        """`item.obj` was changed: a new version."""
        if self._by_uid.get(item.uid) is not item:
            return  # a controller was late: the object is gone
        self._stamp(item)
        self._tell("modified", item)

    def delete(self, item: Item, grace: int | None = None) -> None:
        """As DELETE does: at once, or after a Pod's grace and everybody's finalizers."""
        if self._by_uid.get(item.uid) is not item:
            return
        meta = item.obj["metadata"]
        seconds = self._grace(item, grace)
        if seconds == 0 and not meta.get("finalizers"):
            self.remove(item)
        elif not item.deleting or (seconds == 0 and meta.get("deletionGracePeriodSeconds")):
            meta["deletionTimestamp"] = stamp(int(self.timeline.now) + seconds)  # when it should be gone
            meta["deletionGracePeriodSeconds"] = seconds
            if item.kind == "BenchmarkRun":
                meta["generation"] += 1
            self.touch(item)

    def drop_finalizer(self, item: Item, finalizer: str) -> None:
        """A controller is done with an object; a deleted one goes with its last finalizer."""
        finalizers = item.obj["metadata"].get("finalizers") or []
        if finalizer not in finalizers or self._by_uid.get(item.uid) is not item:
            return
        finalizers.remove(finalizer)
        if item.deleting and not finalizers and not item.obj["metadata"].get("deletionGracePeriodSeconds"):
            self.remove(item)
        else:
            self.touch(item)

    def remove(self, item: Item) -> None:
        """The object is gone."""
        if self._by_uid.pop(item.uid, None) is None:
            return
        del self._by_kind[item.kind][(item.namespace, item.name)]
        self.members += 1
        self._version += 1
        self._tell("deleted", item)

    def _grace(self, item: Item, grace: int | None) -> int:
        """Only a Pod that may still run on a node is given time."""
        if item.kind != "Pod" or not item.node or item.over:
            return 0
        return int(item.obj["spec"].get("terminationGracePeriodSeconds", 30)) if grace is None else grace

    def _stamp(self, item: Item) -> None:
        self._version += 1
        item.obj["metadata"]["resourceVersion"] = str(self._version)
        item.changed()

    def _tell(self, change: Change, item: Item) -> None:
        told = self._listening.get(item.kind)
        if told is None:
            told = [watcher for watcher, kinds in self._watchers if not kinds or item.kind in kinds]
            self._listening[item.kind] = told
        for watcher in told:
            watcher(change, item)
