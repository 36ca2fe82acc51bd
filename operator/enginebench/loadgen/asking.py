"""What an engine says of itself: version, models, memory, when its process began. One class a dialect."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.address import Address
from enginebench.loadgen.http import ProtocolError
from enginebench.loadgen.models import same_model
from enginebench.loadgen.plain import UNREACHABLE, Response, fetch

Fact = str | int | float | bool
_NOT_FOUND = 404
_PROCESS_START = re.compile(rb"^process_start_time_seconds(?:\{[^}]*\})? ([0-9.eE+]+)", re.MULTILINE)

_CACHE_INFO = re.compile(r"^vllm:cache_config_info\{(.*)\} ", re.MULTILINE)
"""The first engine's, where there are several."""
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_CACHE: dict[str, tuple[str, Callable[[str], Fact]]] = {
    "num_gpu_blocks": ("kvCacheBlocks", int),
    "block_size": ("blockSize", int),
    "kv_cache_size_tokens": ("kvCacheTokens", int),
    "enable_prefix_caching": ("prefixCaching", lambda text: text == "True"),
    "gpu_memory_utilization": ("gpuMemoryUtilization", float),
    "cache_dtype": ("kvCacheDtype", str),
}
"""Label → our name: vLLM 0.9.1 and 0.32 (config/cache.py, metrics_info)."""
_SNAPSHOT = re.compile(r"/snapshots/([0-9a-f]{40})/")
"""Where llama.cpp keeps what it downloads (common/hf-cache.cpp), as huggingface_hub does."""
_FILE = {"n_params": "modelParameters", "size": "modelBytes"}
"""Of llama.cpp's /v1/models: what the weights are by number and size, where nothing names their contents."""
_LOADED = {"size": "sizeBytes", "size_vram": "sizeVramBytes", "context_length": "contextLength"}
"""Of /api/ps: how much of the model lies where, and with what context. 0.9.2 does not tell the context."""
_SHOWN = {"quantization_level": "quantization", "parameter_size": "parameterSize"}
"""Of /api/show."""


class Refused(Exception):  # noqa: N818  # named for what happened
    """The engine answered, but not with what was asked for; the text is its own."""


class Dialect(Protocol):
    """How an engine is asked. Every call raises one of UNREACHABLE while nobody answers."""

    pulls: bool
    """Models are fetched through its API."""
    has_slots: bool
    """It answers a fixed number of requests at once, which it does not tell."""

    async def models(self) -> Mapping[str, str]:
        """Names of what can be asked for, with the model's digest where it is told; Refused if it will not say."""

    async def version(self) -> str:
        """The engine's version; empty where it does not tell."""

    async def load(self, seconds: float) -> None:
        """Have the model put into memory, where that waits for a first request; Refused if it cannot be."""

    async def digest(self) -> str:
        """Of the model that serves, where its entry in `models` has none; empty where nothing tells it."""

    async def effective(self) -> dict[str, Fact]:
        """What is in force, as far as the API tells; asked after a completion, when the model is loaded."""


class OpenAi:
    """vLLM, and whatever else speaks OpenAI's API."""

    pulls = False
    has_slots = False

    def __init__(self, address: Address, plan: LoadPlan) -> None:
        self._address = address
        self._plan = plan

    async def models(self) -> Mapping[str, str]:
        return {entry["id"]: "" for entry in await self._listed()}

    async def version(self) -> str:
        return await _version(self._address, "/version")

    async def load(self, seconds: float) -> None:
        """It serves when it has loaded."""

    async def digest(self) -> str:
        return ""

    async def effective(self) -> dict[str, Fact]:
        found = await self._cache()
        for entry in await self._listed():
            if same_model(entry["id"], self._plan) and isinstance(entry.get("max_model_len"), int):
                found["maxModelLen"] = entry["max_model_len"]
        return found

    async def _cache(self) -> dict[str, Fact]:
        """By `vllm:cache_config_info` of /metrics; whoever is no vLLM need not have any."""
        try:
            response = await fetch(self._address, "/metrics")
        except UNREACHABLE:
            if self._plan.dialect == "vllm":
                raise
            return {}
        info = _CACHE_INFO.search(response.body.decode(errors="replace")) if response.ok else None
        labels = dict(_LABEL.findall(info[1])) if info is not None else {}
        found: dict[str, Fact] = {}
        for name, (ours, read) in _CACHE.items():
            with suppress(KeyError, ValueError):  # not told, or `None`
                found[ours] = read(labels[name])
        blocks, size = found.get("kvCacheBlocks"), found.get("blockSize")
        if isinstance(blocks, int) and isinstance(size, int):
            found.setdefault("kvCacheTokens", blocks * size)  # as 0.9.1 reckons in its log
        return found

    async def _listed(self) -> list[dict[str, Any]]:
        response = await fetch(self._address, "/v1/models")
        if not response.ok:
            raise Refused(f"GET /v1/models: {response.words()}")
        return _named(_member(response, "data"), "id")


class LlamaCpp(OpenAi):
    """llama.cpp's server: OpenAI's API, and /props."""

    async def version(self) -> str:
        return str((await self._props()).get("build_info") or "")

    async def digest(self) -> str:
        """The commit of the hub's model, by the path of its file; a file that somebody has put there has none."""
        commit = _SNAPSHOT.search(str((await self._props()).get("model_path") or ""))
        return f"commit:{commit[1]}" if commit is not None else ""

    async def effective(self) -> dict[str, Fact]:
        props = await self._props()
        defaults = props.get("default_generation_settings")
        of_a_slot = _known(defaults if isinstance(defaults, dict) else {}, {"n_ctx": "contextLength"})
        said = next((entry for entry in await self._listed() if same_model(entry["id"], self._plan)), {})
        meta = said.get("meta")  # null while the model is loaded
        of_the_file = _known(meta if isinstance(meta, dict) else {}, _FILE)
        slots = _known(props, {"total_slots": "numParallel", "model_ftype": "quantization"})
        return {**slots, **of_a_slot, **of_the_file}

    async def _props(self) -> dict[str, Any]:
        """Nothing where they are not told."""
        response = await fetch(self._address, "/props")
        document = response.json() if response.ok else None
        return document if isinstance(document, dict) else {}


class Ollama:
    """Ollama's own API."""

    pulls = True
    has_slots = True

    def __init__(self, address: Address, plan: LoadPlan) -> None:
        self._address = address
        self._plan = plan

    async def models(self) -> Mapping[str, str]:
        return {m["name"]: str(m.get("digest") or "") for m in await self._listed("/api/tags")}

    async def version(self) -> str:
        return await _version(self._address, "/api/version")

    async def load(self, seconds: float) -> None:
        response = await fetch(
            self._address, "/api/generate", post={"model": self._plan.model, "stream": False}, timeout=seconds
        )
        if not response.ok:
            raise Refused(f"POST /api/generate: {response.words()}")

    async def digest(self) -> str:
        return ""  # `models` has told it

    async def effective(self) -> dict[str, Fact]:
        loaded = next((m for m in await self._listed("/api/ps") if same_model(m["name"], self._plan)), {})
        shown = await fetch(self._address, "/api/show", post={"model": self._plan.model})
        details = _member(shown, "details") if shown.ok else None
        return {**_known(loaded, _LOADED), **_known(details if isinstance(details, dict) else {}, _SHOWN)}

    async def _listed(self, path: str) -> list[dict[str, Any]]:
        response = await fetch(self._address, path)
        if not response.ok:
            raise Refused(f"GET {path}: {response.words()}")
        return _named(_member(response, "models"), "name")


_DIALECTS: dict[str, type[OpenAi | Ollama]] = {"llamacpp": LlamaCpp, "ollama": Ollama}


def dialect_of(plan: LoadPlan, address: Address) -> Dialect:
    """Who knows how to ask the plan's engine."""
    return _DIALECTS.get(plan.dialect, OpenAi)(address, plan)


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


def _known(document: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Fact]:
    """Those members that are there, under our names."""
    return {ours: document[name] for name, ours in names.items() if isinstance(document.get(name), str | int)}


async def _version(address: Address, path: str) -> str:
    response = await fetch(address, path)
    try:
        return str(_member(response, "version") or "") if response.ok else ""
    except ProtocolError:  # whoever answers every path with a page of its own has no version to tell
        return ""


def _named(entries: object, name: str) -> list[dict[str, Any]]:
    """The entries that have a name; null and what is no list have none."""
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get(name), str)]


def _member(response: Response, name: str) -> Any:
    """A member of the document; a body that is no object has none."""
    document = response.json()
    if not isinstance(document, dict):
        raise ProtocolError(f"not an object: {bytes(response.body[:80])!r}")
    return document.get(name)
