"""vLLM: its OpenAI server. What its flags and variables do: https://docs.vllm.ai (serve arguments, environment)."""

import re
from collections.abc import Sequence
from typing import Any

from enginebench.api import resolve
from enginebench.api.pod_resolve import gpu_count
from enginebench.api.v1alpha1 import BenchmarkRunSpec, Target
from enginebench.engines import vllm_settings
from enginebench.engines.base import GPU_OFFLOAD, Fetches, Platform
from enginebench.workflow.observed import Fact

PORT = 8000
KNOWS_GENERATION_CONFIG = (0, 8)
"""The first version that takes sampling defaults from the model's generation_config.json unless told `vllm`; for
earlier ones the word would be the name of a folder."""

PARALLEL = re.compile(
    r"(?:--(?:tensor|pipeline|data)[-_]parallel[-_]size(?:[-_]local)?|-tp|-pp|-dp|-dpl)(?:=.*)?", re.DOTALL
)
"""Arguments by which the user deals the GPUs out himself."""

REVISIONS = ("--revision", "--tokenizer", "--hf-config-path")
"""Arguments with which another revision is asked for, or files of another repository, which has not this one's."""

_VERSION = re.compile(r":v?(\d+)\.(\d+)\.\d+")


class VllmEngine:
    """A vLLM server."""

    deployed = True
    pulls_model = False  # the server downloads its model itself as it starts
    fetches: Fetches = "Hub"
    ignores_eos = True

    def port(self, target: Target) -> int:  # noqa: ARG002  # the same for every target
        return PORT

    def template(self, spec: BenchmarkRunSpec, target: Target, platform: Platform) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        assert target.vllm is not None
        image, args, token = resolve.image(target), target.vllm.args or [], target.vllm.token_secret_ref
        return "vllm.yaml.j2", {
            "image": image,
            "port": PORT,
            "health": "/health",
            "model": target.model,
            "args": args,
            "own_sampling_defaults": _knows_generation_config(image)
            and not any(arg.replace("_", "-").startswith("--generation-config") for arg in args),
            "may_be_pinned": not any(arg.partition("=")[0].replace("_", "-") in REVISIONS for arg in args),
            "tensor_parallel": _tensor_parallel(gpu_count(spec, target), args),
            "token": token.document() if token is not None else None,
        }

    def asked(self, spec: BenchmarkRunSpec, target: Target) -> dict[str, Fact]:
        assert target.vllm is not None
        gpus, args = gpu_count(spec, target), target.vllm.args or []
        found = vllm_settings.asked(args)
        if parallel := _tensor_parallel(gpus, args):
            found["tensorParallelSize"] = parallel
        return found | ({GPU_OFFLOAD: 100} if gpus else {})

    def facts(self, log: str) -> dict[str, Fact]:
        found = vllm_settings.facts(log)
        device = found.get("device")
        return found if device is None else {**found, GPU_OFFLOAD: 0 if device == "cpu" else 100}


def _tensor_parallel(gpus: int, args: Sequence[str]) -> int | None:
    """Over how many GPUs each layer is spread; None: vLLM's default, one, or what the user says."""
    return gpus if gpus > 1 and not any(map(PARALLEL.fullmatch, args)) else None


def _knows_generation_config(image: str) -> bool:
    """By the version in the tag; an image that does not say is taken to be newer."""
    match = _VERSION.search(image)
    return match is None or (int(match[1]), int(match[2])) >= KNOWS_GENERATION_CONFIG
