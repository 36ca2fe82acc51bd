"""Ollama. Its variables: envconfig/config.go of the pinned version; what its log says: `ollama_log`."""

from typing import Any

from enginebench.api import resolve
from enginebench.api.pod_resolve import gpu_count
from enginebench.api.v1alpha1 import BenchmarkRunSpec, Target
from enginebench.engines import ollama_log
from enginebench.engines.base import GPU_OFFLOAD, Fetches, Platform
from enginebench.workflow.observed import Fact

PORT = 11434


class OllamaEngine:
    """An Ollama server. What the user leaves open is left to Ollama, and `facts` tells what it chose."""

    deployed = True
    pulls_model = True
    fetches: Fetches = "Server"
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

    def asked(self, spec: BenchmarkRunSpec, target: Target) -> dict[str, Fact]:
        said = target.ollama
        assert said is not None
        settings: dict[str, Fact | None] = {
            "numParallel": said.num_parallel,
            "contextLength": said.context_length,
            "maxQueue": said.max_queue,
            "flashAttention": said.flash_attention,
            "kvCacheType": said.kv_cache_type,
            GPU_OFFLOAD: 100 if gpu_count(spec, target) else None,  # a GPU is there for all of the model
        }
        return {name: value for name, value in settings.items() if value is not None}

    def facts(self, log: str) -> dict[str, Fact]:
        return ollama_log.facts(log)
