"""A server that stands already: nothing is deployed, nothing of it is read but what the load pod asks it."""

from typing import Any

from enginebench.api.v1alpha1 import BenchmarkRunSpec, Target
from enginebench.engines.base import Fetches, Platform
from enginebench.workflow.observed import Fact


class EndpointEngine:
    """Any OpenAI-compatible server."""

    deployed = False
    pulls_model = False
    fetches: Fetches = "Nothing"
    ignores_eos = False  # which server it is, nobody knows

    def port(self, target: Target) -> int:
        raise LookupError(f"target {target.name}: an endpoint's port is in its URL")

    def template(self, spec: BenchmarkRunSpec, target: Target, platform: Platform) -> tuple[str, dict[str, Any]]:  # noqa: ARG002
        raise LookupError(f"target {target.name}: an endpoint has no pod")

    def asked(self, spec: BenchmarkRunSpec, target: Target) -> dict[str, Fact]:  # noqa: ARG002  # its settings are not ours
        return {}

    def facts(self, log: str) -> dict[str, Fact]:  # noqa: ARG002  # it has no log of ours
        return {}
