"""A small `KubeApi` in memory, which writes down every call and refuses what it is told to refuse."""

import itertools
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import yaml

from enginebench.cluster.api import ApiError, Kind, Obj

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
CREATED = "2026-11-23T11:00:00Z"
RUN_UID = "11111111-2222-3333-4444-555555555555"

Refuse = Callable[[str, Kind, str], Exception | None]
"""(verb, kind, name) → what to raise instead."""


class FakeApi:
    """Objects by kind and name, of one namespace."""

    def __init__(self, *objects: Obj) -> None:
        self.objects: dict[tuple[Kind, str], Obj] = {}
        self.calls: list[str] = []
        self.logs: dict[str, str] = {}
        self.groups: set[str] = set()
        """API groups that are served."""
        self.refuse: Refuse = lambda verb, kind, name: None
        self._numbers = itertools.count(100)
        for obj in objects:
            self.put(obj)

    def put(self, obj: Obj) -> None:
        self.objects[obj["kind"], obj["metadata"]["name"]] = obj

    def writes(self) -> list[str]:
        """The calls that change something, without the names' hashes."""
        return [call.rsplit("-", 1)[0] for call in self.calls if call.split()[0] not in ("get", "list", "log")]

    def of(self, kind: Kind) -> list[Obj]:
        return [obj for (one, _), obj in self.objects.items() if one == kind]

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        self._call("get", kind, name)
        return deepcopy(self.objects.get((kind, name)))

    async def list(self, kind: Kind, namespace: str, *, labels: str = "", fields: str = "") -> list[Obj]:
        self._call("list", kind, labels or fields)
        key, _, value = (labels or fields).partition("=")
        found = []
        for obj in self.of(kind):
            have = obj["involvedObject"]["uid"] if fields else obj["metadata"].get("labels", {}).get(key)
            if have == value:
                found.append(deepcopy(obj))
        return found

    async def create(self, kind: Kind, namespace: str, body: Obj) -> Obj:
        name = body["metadata"]["name"]
        self._call("create", kind, name)
        if (kind, name) in self.objects:
            raise ApiError(409, "AlreadyExists", f'{kind} "{name}" already exists')
        made = deepcopy(body)
        made["metadata"].update(uid=f"uid-{next(self._numbers)}", creationTimestamp=CREATED)
        self.put(made)
        return made

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str) -> None:
        self._call("delete", kind, name)
        there = self.objects.get((kind, name))
        if there is not None and there["metadata"]["uid"] == uid:
            del self.objects[kind, name]

    async def replace_status(self, run: Obj) -> Obj:
        name = run["metadata"]["name"]
        self._call("status", "BenchmarkRun", name)
        there = self.objects["BenchmarkRun", name]
        if run["metadata"]["resourceVersion"] != there["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        there["status"] = deepcopy(run["status"])
        there["metadata"]["resourceVersion"] = str(next(self._numbers))
        return deepcopy(there)

    async def serves(self, group: str) -> bool:
        self._call("discover", "BenchmarkRun", group)
        return group in self.groups

    async def pod_log(self, namespace: str, pod: str, *, limit_bytes: int) -> str:
        self._call("log", "Pod", pod)
        return self.logs.get(pod, "")[:limit_bytes]

    def _call(self, verb: str, kind: Kind, name: str) -> None:
        self.calls.append(f"{verb} {kind} {name}".rstrip())
        if (error := self.refuse(verb, kind, name)) is not None:
            raise error


def run(text: str = "", **metadata: Any) -> Obj:
    """A BenchmarkRun with one simulated target `a-sim` and two load points; `text` (YAML) changes the spec."""
    spec = {
        "targets": [{"name": "a-sim", "simulated": {"api": "vLLM", "model": "m"}}],
        "workload": {
            "dataset": {"synthetic": {"rows": 10, "promptTokens": 8, "outputTokens": 8}},
            "load": {"concurrency": {"levels": [1, 4]}},
            "durationSeconds": 10,
        },
    }
    spec.update(yaml.safe_load(text) or {})
    return {
        "apiVersion": "enginebench.dev/v1alpha1",
        "kind": "BenchmarkRun",
        "metadata": {
            "name": "r",
            "namespace": "ns",
            "uid": RUN_UID,
            "generation": 1,
            "resourceVersion": "1",
            "creationTimestamp": CREATED,
            **metadata,
        },
        "spec": spec,
    }
