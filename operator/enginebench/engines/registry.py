"""Every engine, in one place."""

from enginebench.api import resolve
from enginebench.api.v1alpha1 import Target
from enginebench.engines.base import Engine
from enginebench.engines.endpoint import EndpointEngine
from enginebench.engines.llama_cpp import LlamaCppEngine
from enginebench.engines.ollama import OllamaEngine
from enginebench.engines.simulated import SimulatedEngine
from enginebench.engines.vllm import VllmEngine

_ENGINES: dict[str, Engine] = {
    "vllm": VllmEngine(),
    "ollama": OllamaEngine(),
    "llama_cpp": LlamaCppEngine(),
    "endpoint": EndpointEngine(),
}
_SIMULATED: dict[str, Engine] = {"vllm": SimulatedEngine("vllm"), "ollama": SimulatedEngine("ollama")}


def engine_of(target: Target) -> Engine:
    """The target's engine."""
    if target.simulated is not None:
        return _SIMULATED[resolve.dialect(target)]
    return _ENGINES[target.engine_kind]
