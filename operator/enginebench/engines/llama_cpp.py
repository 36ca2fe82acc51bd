"""llama.cpp's server. What its options do: tools/server/README.md of its repository, read at b11434."""

import re
from typing import Any

from enginebench.api.llama_cpp import spelled
from enginebench.api.pod_resolve import gpu_count
from enginebench.api.v1alpha1 import BenchmarkRunSpec, LlamaCpp, Target
from enginebench.engines.base import GPU_OFFLOAD, Fetches, Platform
from enginebench.workflow.observed import Fact

PORT = 8080
ALL_LAYERS = 999
"""More than any model has. Where the number is not given, the server quietly leaves on the CPU what does not fit; with
it, the server fails, and says so. Older versions know no word for "all"."""
GPU_LAYERS = ("--n-gpu-layers", "--gpu-layers", "-ngl")

_SLOTS = re.compile(r"initializing, n_slots = (\d+), n_ctx_slot = (\d+)")
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_NO_GPU = re.compile(r"no usable GPU found")


class LlamaCppEngine:
    """A server of llama.cpp (llama-server)."""

    deployed = True
    pulls_model = False  # the server downloads its model itself as it starts
    fetches: Fetches = "Nothing"
    ignores_eos = True

    def port(self, target: Target) -> int:  # noqa: ARG002  # the same for every target
        return PORT

    def template(self, spec: BenchmarkRunSpec, target: Target, platform: Platform) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        said = _said(target)
        token = said.token_secret_ref
        settings: dict[str, int | None] = {
            "--parallel": said.parallel,
            "--ctx-size": (said.context_length or 0) * (said.parallel or 0) or None,
            "--n-gpu-layers": ALL_LAYERS if _all_on_gpus(spec, target) else None,
        }
        return "llama_cpp.yaml.j2", {
            "image": said.image,
            "port": PORT,
            "health": "/health",
            "model": said.model,
            "settings": {option: str(value) for option, value in settings.items() if value is not None},
            "args": said.args or [],
            "token": token.document() if token is not None else None,
        }

    def asked(self, spec: BenchmarkRunSpec, target: Target) -> dict[str, Fact]:
        said = _said(target)
        settings: dict[str, Fact | None] = {
            "numParallel": said.parallel,
            "contextLength": said.context_length,
            GPU_OFFLOAD: 100 if _all_on_gpus(spec, target) else None,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def facts(self, log: str) -> dict[str, Fact]:
        found: dict[str, Fact] = {}
        if slots := _SLOTS.search(log):
            found |= {"numParallel": int(slots[1]), "contextLength": int(slots[2])}
        if _NO_GPU.search(log):
            found[GPU_OFFLOAD] = 0
        elif layers := _OFFLOADED.search(log):  # told with --verbosity 4, and by versions of before 2026
            found[GPU_OFFLOAD] = 100 * int(layers[1]) // int(layers[2])
        return found


def _said(target: Target) -> LlamaCpp:
    assert target.llama_cpp is not None
    return target.llama_cpp


def _all_on_gpus(spec: BenchmarkRunSpec, target: Target) -> bool:
    """The whole model is to be on GPUs, and the user does not say otherwise."""
    return bool(gpu_count(spec, target)) and not set(GPU_LAYERS) & set(map(spelled, _said(target).args or ()))
