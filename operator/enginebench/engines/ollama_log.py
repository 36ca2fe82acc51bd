"""What Ollama's log says of its settings: llm/server.go and server/routes.go of 0.9.2, runner/*/runner.go of later ones."""

import re
from collections.abc import Mapping
from itertools import pairwise

from enginebench.workflow.observed import Fact
from enginebench.workflow.readback import ARGUMENTS, ENVIRONMENT

_RUNNER = re.compile(r'msg="starting (?:llama server|runner)" cmd="\S+ runner ([^"]*--ctx-size[^"]*)"')
_LOAD = re.compile(r"msg=load request=\"\{Operation:(?:commit|fit|alloc) ([^\"]*)\}\"")
"""The runner's start: its command line in the versions up to 0.11, the request to it in later ones."""
_CONFIG = re.compile(r'msg="server config" env="map\[(.*)\]"')
_VARIABLE = re.compile(
    r"(?:^| )([A-Z][A-Z0-9_]+|https?_proxy|no_proxy):(.*?)(?= (?:[A-Z][A-Z0-9_]+|https?_proxy|no_proxy):|$)"
)
_LEFT_OUT = re.compile(
    r"OLLAMA_(DEBUG|HOST|MODELS|NOHISTORY|ORIGINS)|.*_proxy|.*_PROXY|.*(KEY|TOKEN|SECRET|PASSWORD).*"
)
"""They do not change how fast it is; a proxy's address may hold a password."""
_CHANCE = re.compile(r" --port \d+")

_OPTIONS = {
    "numParallel": "--parallel",
    "batchSize": "--batch-size",
    "gpuLayers": "--n-gpu-layers",
    "threads": "--threads",
}
_MEMBERS = {"numParallel": "Parallel", "batchSize": "BatchSize", "gpuLayers": "GPULayers", "threads": "NumThreads"}
_WORDS = {"true": True, "enabled": True, "false": False, "disabled": False}
_PLAIN_CACHE = "f16"


def facts(log: str) -> dict[str, Fact]:
    """Of the last runner that was started, and of the server before it. The log's context is that of all slots."""
    found: dict[str, Fact] = {}
    if lines := _RUNNER.findall(log):
        words = lines[-1].split()
        options = dict(pairwise(words))
        found = _counts(options, _OPTIONS)
        context, flash, cache = options.get("--ctx-size"), str("--flash-attn" in words), options.get("--kv-cache-type")
    elif lines := _LOAD.findall(log):
        options = dict(word.split(":", 1) for word in lines[-1].split() if ":" in word)
        found = _counts(options, _MEMBERS)
        context, flash, cache = options.get("KvSize"), options.get("FlashAttention", ""), options.get("KvCacheType")
    if lines:
        found |= {ARGUMENTS: _CHANCE.sub("", lines[-1]), "kvCacheType": cache or _PLAIN_CACHE}
        if flash.lower() in _WORDS:
            found["flashAttention"] = _WORDS[flash.lower()]
        slots = found.get("numParallel")
        if slots and context and context.isdigit():
            found["contextLength"] = int(context) // int(slots)
    return found | _server(log)


def _counts(options: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Fact]:
    """Those of the named options that are numbers; GPULayers goes on after its number."""
    read = {ours: re.match(r"\d+", options.get(name, "")) for ours, name in names.items()}
    return {name: int(number[0]) for name, number in read.items() if number}


def _server(log: str) -> dict[str, Fact]:
    """The environment as the server understood it."""
    line = _CONFIG.search(log)
    if line is None:
        return {}
    said = {name: value for name, value in _VARIABLE.findall(line[1]) if value and not _LEFT_OUT.fullmatch(name)}
    found: dict[str, Fact] = {ENVIRONMENT: " ".join(f"{name}={value}" for name, value in sorted(said.items()))}
    if (queue := said.get("OLLAMA_MAX_QUEUE", "")).isdigit():
        found["maxQueue"] = int(queue)
    return found
