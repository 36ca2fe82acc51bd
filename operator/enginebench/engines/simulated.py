"""The simulated engine: `enginebench simulate` in the operator's own image."""

from typing import Any

from enginebench.api import resolve
from enginebench.api.types import Dialect
from enginebench.api.v1alpha1 import BenchmarkRunSpec, Target
from enginebench.engines import ollama, ollama_log, vllm
from enginebench.engines.base import Fetches, Platform
from enginebench.workflow.observed import Fact


class SimulatedEngine:
    """An engine for rehearsals; it speaks vLLM's or Ollama's API, and prints what a real one prints."""

    deployed = True
    fetches: Fetches = "Nothing"  # there is no model

    def __init__(self, dialect: Dialect) -> None:
        self._ollama = dialect == "ollama"
        self.pulls_model = self._ollama
        self.ignores_eos = not self._ollama

    def port(self, target: Target) -> int:  # noqa: ARG002  # the dialect says it
        return ollama.PORT if self._ollama else vllm.PORT

    def template(self, spec: BenchmarkRunSpec, target: Target, platform: Platform) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        assert target.simulated is not None
        said = resolve.resolve_simulated(target.simulated)
        port = self.port(target)
        return "simulated.yaml.j2", {
            "image": platform.image,
            "image_pull_policy": platform.image_pull_policy,
            "port": port,
            "health": "/api/version" if self._ollama else "/health",
            "options": {
                "--api": said.api,
                "--model": said.model,
                "--port": port,
                "--slots": said.slots,
                "--max-queue": said.max_queue,
                "--prefill-microseconds-per-token": said.prefill_microseconds_per_token,
                "--decode-step-microseconds": said.decode_step_microseconds,
                "--decode-step-microseconds-per-sequence": said.decode_step_microseconds_per_sequence,
                "--jitter-percent": said.jitter_percent,
                "--seed": said.seed,
            },
        }

    def asked(self, spec: BenchmarkRunSpec, target: Target) -> dict[str, Fact]:  # noqa: ARG002  # it uses no GPU
        assert target.simulated is not None
        return {"numParallel": resolve.resolve_simulated(target.simulated).slots} if self._ollama else {}

    def facts(self, log: str) -> dict[str, Fact]:
        return ollama_log.facts(log) if self._ollama else {}
