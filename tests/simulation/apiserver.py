"""`KubeApi` in memory: the calls of the operator, each with its latency and, where a fault says so, its trouble."""

from collections.abc import Callable, Sequence

import msgspec

from enginebench.cluster.api import ApiError, Kind, Obj
from tests.simulation.admission import admit
from tests.simulation.selectors import by_fields, by_labels
from tests.simulation.store import CHECKED, RUN, Item, Store, clone
from tests.simulation.transcript import Transcript

LATENCY = 0.004
"""Seconds of virtual time a call takes; what happens in the cluster meanwhile happens between two calls."""

METADATA_ONLY = frozenset({"Service", "ConfigMap"})
"""Lists of these come as PartialObjectMetadata, as `cluster.client` asks for them."""

RUN_STATUS_AT_FIRST = {"observedGeneration": -1}
"""The CRD's default of `status`."""


class Call(msgspec.Struct, frozen=True):
    """One request of the operator."""

    number: int
    verb: str
    kind: str
    name: str
    body: Obj | None = None


CallHook = Callable[[Call], None]


class VirtualCluster:
    """The API server as the operator sees it. No call ever suspends: `coroutine.send(None)` runs a pass to its end."""

    def __init__(self, store: Store, transcript: Transcript, read_log: Callable[[Item], list[bytes]]) -> None:
        self.store = store
        self.timeline = store.timeline
        self.transcript = transcript
        self.calls = 0
        self.before: list[CallHook] = []
        self.after: list[CallHook] = []
        self.mutating: list[Callable[[str, Obj], None]] = []
        """Admission webhooks: they change what is created."""
        self.wrote_status: list[Callable[[Obj, Obj], None]] = []
        """Told with the run before and after each status PUT."""
        self.latency = LATENCY
        self.current: Call | None = None
        """The call that is being carried out."""
        self._read_log = read_log
        self._members = -1
        self._lists: dict[tuple[str, str, str], list[Item]] = {}

    def _begin(self, verb: str, kind: str, name: str, body: Obj | None = None) -> Call:
        """The request travels; it may be refused or lost before it is carried out."""
        self.calls += 1
        call = Call(self.calls, verb, kind, name, body)
        self.timeline.run_until(self.timeline.now + self.latency)
        self.transcript.call(call)
        if self.before:
            try:
                for hook in tuple(self.before):
                    hook(call)
            except ApiError as refusal:
                raise self._refused(call, refusal) from None
        self.current = call
        return call

    def _end(self, call: Call) -> None:
        """It was carried out; the answer may be lost."""
        self.current = None
        if self.after:
            for hook in tuple(self.after):
                hook(call)

    def _refused(self, call: Call, refusal: ApiError) -> ApiError:
        self.current = None
        self.transcript.answer(call, f"{refusal.status} {refusal.reason}: {refusal}")
        return refusal

    def _plain(self, body: Obj) -> Obj:
        """The body as it comes out of HTTP: nothing is shared with the caller. That there is only JSON in it, is looked
        after in every eighth call."""
        arrived = clone(body)
        if self.calls % CHECKED == 0 and msgspec.json.decode(msgspec.json.encode(body)) != arrived:
            raise AssertionError(f"what JSON cannot hold was sent: {body}")
        return arrived

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """The object, or None."""
        call = self._begin("get", kind, name)
        item = self.store.find(kind, namespace, name)
        found = None if item is None else item.copy()
        self._end(call)
        return found

    async def list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "") -> list[Obj]:
        """Objects by selector; of some kinds only their metadata."""
        call = self._begin("list", kind, labels or fields)
        try:
            items: Sequence[Item] = self._selected(kind, namespace, labels)
            if fields:
                fits = by_fields(kind, fields)
                items = [item for item in items if fits(item)]
        except ValueError as error:
            raise self._refused(call, ApiError(400, "BadRequest", str(error))) from error
        read = Item.outline if kind in METADATA_ONLY else Item.copy
        found = [read(item) for item in items]
        self._end(call)
        return found

    def _selected(self, kind: Kind, namespace: str, labels: str) -> Sequence[Item]:
        """By label; remembered until an object comes or goes."""
        if self._members != self.store.members:
            self._members, self._lists = self.store.members, {}
        key = (kind, namespace, labels)
        if (items := self._lists.get(key)) is None:
            fits = by_labels(labels)
            items = [i for i in self.store.all(kind) if (not namespace or i.namespace == namespace) and fits(i)]
            self._lists[key] = items
        return items

    async def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        """POST."""
        body = self._plain(body)
        meta = body.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = f"{meta['generateName']}{self.calls:05d}"
        call = self._begin("create", kind, meta.get("name", ""), body)
        for webhook in self.mutating:
            webhook(kind, body)
        try:
            admit(kind, namespace, body)
            if self.store.find(kind, namespace, meta["name"]) is not None:
                raise ApiError(409, "AlreadyExists", f'{kind} "{meta["name"]}" already exists')
        except ApiError as refusal:
            raise self._refused(call, refusal) from None
        meta["namespace"] = namespace
        if kind == "Pod":
            body["status"] = {"phase": "Pending"}
        stored = self.store.add(kind, body).copy()
        self._end(call)
        return stored

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        """DELETE of that very object; another of the name, or none: the client takes both for "gone"."""
        call = self._begin("delete", kind, name)
        item = self.store.find(kind, namespace, name)
        if item is not None and item.uid == uid:
            self.store.delete(item)
        self._end(call)

    async def replace_status(self, run: Obj) -> Obj:
        """PUT of the status; nothing else of the run is looked at."""
        new = run.get("status", {})
        if self.calls % CHECKED == 0:  # else the caller's own is stored, which nobody changes
            new = self._plain(new)
        meta = run["metadata"]
        call = self._begin("replace_status", RUN, meta["name"], {**run, "status": new})
        item = self.store.find(RUN, meta["namespace"], meta["name"])
        if item is None:
            raise self._refused(call, ApiError(404, "NotFound", f'benchmarkruns "{meta["name"]}" not found'))
        current = item.obj["metadata"]["resourceVersion"]
        if (meta.get("uid", item.uid), meta.get("resourceVersion")) != (item.uid, current):
            said = "the object has been modified; please apply your changes to the latest version"
            raise self._refused(call, ApiError(409, "Conflict", said))
        before, old = item.copy(), item.obj.get("status")
        if new != old:
            item.obj["status"] = new
            self.transcript.status(old, new)
            self.store.touch(item)
        after = item.copy()
        for told in self.wrote_status:
            told(before, after)
        self._end(call)
        return after

    async def serves(self, group: str) -> bool:
        """Discovery: here every group is there."""
        self._end(self._begin("discover", "APIGroup", group))
        return True

    async def pod_log(self, namespace: str, pod: str, *, limit_bytes: int) -> str:
        """The beginning of a log."""
        call = self._begin("pod_log", "Pod", pod)
        item = self.store.find("Pod", namespace, pod)
        try:
            if item is None:
                raise ApiError(404, "NotFound", f'pods "{pod}" not found')
            text = b"".join(self._read_log(item))[:limit_bytes]
        except ApiError as refusal:
            raise self._refused(call, refusal) from None
        finally:
            self.current = None
        self._end(call)
        return text.decode(errors="replace")
