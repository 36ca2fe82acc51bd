"""What an engine says of itself: version, models, memory, when its process began. One class a dialect."""

import re
from collections.abc import Mapping
from typing import Any, Protocol

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.address import Address
from enginebench.loadgen.http import ProtocolError
from enginebench.loadgen.models import is_wrong
from enginebench.loadgen.plain import UNREACHABLE, Response, fetch

Fact = str | int | float | bool
_NOT_FOUND = 404
_PROCESS_START = re.compile(rb"^process_start_time_seconds(?:\{[^}]*\})? ([0-9.eE+]+)", re.MULTILINE)


class Refused(Exception):  # noqa: N818  # named for what happened
    """The engine answered, but not with what was asked for; the text is its own."""


class Dialect(Protocol):
    """How an engine is asked. Every call raises one of UNREACHABLE while nobody answers."""

    pulls: bool
    """Models are fetched through its API."""

    async def models(self) -> Mapping[str, str]:
        """Names of what can be asked for, with the model's digest where it is told; Refused if it will not say."""

    async def version(self) -> str:
        """The engine's version; empty where it does not tell."""

    async def effective(self) -> dict[str, Fact]:
        """What is in force, as far as the API tells; asked after a completion, when the model is loaded."""


class OpenAi:
    """vLLM, and whatever else speaks OpenAI's API."""

    pulls = False

    def __init__(self, address: Address, plan: LoadPlan) -> None:
        self._address = address
        self._plan = plan

    async def models(self) -> Mapping[str, str]:
        return {entry["id"]: "" for entry in await self._listed()}

    async def version(self) -> str:
        response = await fetch(self._address, "/version")
        return str(_member(response, "version") or "") if response.ok else ""

    async def effective(self) -> dict[str, Fact]:
        for entry in await self._listed():
            if not is_wrong(entry["id"], self._plan) and isinstance(entry.get("max_model_len"), int):
                return {"maxModelLen": entry["max_model_len"]}
        return {}

    async def _listed(self) -> list[dict[str, Any]]:
        response = await fetch(self._address, "/v1/models")
        if not response.ok:
            raise Refused(f"GET /v1/models: {response.words()}")
        entries = _member(response, "data")
        return [e for e in entries if isinstance(e, dict) and "id" in e] if isinstance(entries, list) else []


class Ollama:
    """Ollama's own API."""

    pulls = True

    def __init__(self, address: Address, plan: LoadPlan) -> None:
        self._address = address
        self._plan = plan

    async def models(self) -> Mapping[str, str]:
        return {m["name"]: str(m.get("digest") or "") for m in await self._listed("/api/tags")}

    async def version(self) -> str:
        response = await fetch(self._address, "/api/version")
        return str(_member(response, "version") or "") if response.ok else ""

    async def effective(self) -> dict[str, Fact]:
        names = {"size": "sizeBytes", "size_vram": "sizeVramBytes", "context_length": "contextLength"}
        for model in await self._listed("/api/ps"):
            if not is_wrong(model["name"], self._plan):
                return {ours: model[theirs] for theirs, ours in names.items() if isinstance(model.get(theirs), int)}
        return {}

    async def _listed(self, path: str) -> list[dict[str, Any]]:
        response = await fetch(self._address, path)
        if not response.ok:
            raise Refused(f"GET {path}: {response.words()}")
        models = _member(response, "models")
        return [m for m in models if isinstance(m, dict) and "name" in m] if isinstance(models, list) else []


def dialect_of(plan: LoadPlan, address: Address) -> Dialect:
    """Who knows how to ask the plan's engine."""
    return Ollama(address, plan) if plan.dialect == "ollama" else OpenAi(address, plan)


class ProcessStart:
    """When the engine's process began, by its /metrics; None from an engine that has none (as real Ollama)."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._told = True

    async def __call__(self) -> float | None:
        if not self._told:
            return None
        try:
            response = await fetch(self._address, "/metrics", timeout=5.0)
        except UNREACHABLE:
            return None
        found = _PROCESS_START.search(response.body) if response.ok else None
        if found is None:
            self._told = response.status != _NOT_FOUND
            return None
        return float(found[1])


def _member(response: Response, name: str) -> Any:
    """A member of the document; a body that is no object has none."""
    document = response.json()
    if not isinstance(document, dict):
        raise ProtocolError(f"not an object: {bytes(response.body[:80])!r}")
    return document.get(name)
