"""Ollama. Its variables: envconfig/config.go of the pinned version; what its log says: llm/server.go."""

import re
from itertools import pairwise
from typing import Any

from enginebench.api import resolve
from enginebench.api.v1alpha1 import BenchmarkRunSpec, Target
from enginebench.engines.base import Fact, Platform

PORT = 11434

_RUNNER = re.compile(r'msg="starting (?:llama server|runner)" cmd="([^"]*--ctx-size[^"]*)"')
_LOAD = re.compile(r"msg=load request=\"\{Operation:(?:commit|fit|alloc) ([^\"]*)\}\"")
"""The runner's start: its command line in the versions up to 0.11, the request to it in later ones."""

_WORDS = {"true": True, "enabled": True, "false": False, "disabled": False}


class OllamaEngine:
    """An Ollama server. What the user leaves open is left to Ollama, and `facts` tells what it chose."""

    deployed = True
    pulls_model = True
    ignores_eos = False  # its OpenAI layer drops the field

    def port(self, target: Target) -> int:  # noqa: ARG002  # the same for every target
        return PORT

    def template(self, spec: BenchmarkRunSpec, target: Target, platform: Platform) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        said = target.ollama
        assert said is not None
        variables = {
            "OLLAMA_NUM_PARALLEL": said.num_parallel,
            "OLLAMA_CONTEXT_LENGTH": said.context_length,
            "OLLAMA_MAX_QUEUE": said.max_queue,
            "OLLAMA_FLASH_ATTENTION": None if said.flash_attention is None else int(said.flash_attention),
            "OLLAMA_KV_CACHE_TYPE": said.kv_cache_type,
        }
        return "ollama.yaml.j2", {
            "image": resolve.image(target),
            "port": PORT,
            "health": "/api/version",
            "keep_alive": said.keep_alive or resolve.KEEP_ALIVE,
            "load_timeout": resolve.timeouts(spec).startup_seconds,
            "said": {name: str(value) for name, value in variables.items() if value is not None},
        }

    def facts(self, log: str) -> dict[str, Fact]:
        return runner_facts(log)


def runner_facts(log: str) -> dict[str, Fact]:
    """Slots, context and KV cache of the last runner that was started. The log's context is that of all slots."""
    if lines := _RUNNER.findall(log):
        words = lines[-1].split()
        options = dict(pairwise(words))
        parallel, context = options.get("--parallel"), options.get("--ctx-size")
        flash, cache = str("--flash-attn" in words), options.get("--kv-cache-type")
    elif lines := _LOAD.findall(log):
        options = dict(word.split(":", 1) for word in lines[-1].split() if ":" in word)
        parallel, context = options.get("Parallel"), options.get("KvSize")
        flash, cache = options.get("FlashAttention", ""), options.get("KvCacheType")
    else:
        return {}
    found: dict[str, Fact] = {}
    if flash.lower() in _WORDS:
        found["flashAttention"] = _WORDS[flash.lower()]
    slots = int(parallel) if parallel and parallel.isdigit() else 0
    if slots:
        found["numParallel"] = slots
        if context and context.isdigit():
            found["contextLength"] = int(context) // slots
    if cache:
        found["kvCacheType"] = cache
    return found
