"""What differs between engines, and nothing else: the Protocol that each engine file fills."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Protocol

import jinja2
import yaml

from enginebench.api.v1alpha1 import BenchmarkRunSpec, Target
from enginebench.workflow.observed import Fact

ENGINE_CONTAINER = "engine"
HOME = "/home/engine"
"""HOME of the engine: an emptyDir, since the user ID is not one that the image knows."""

Fetches = Literal["Nothing", "Server", "Hub"]
"""Nothing: no Job does. Server: the engine itself, started without a GPU and asked over its API. Hub: a program of ours
in the engine's image, from Hugging Face into the cache that the engine reads."""

GPU_OFFLOAD = "gpuOffloadPercent"


@dataclass(frozen=True, slots=True)
class Platform:
    """Where the pods of a run will live."""

    image: str
    """The operator's own image: load pods and simulated engines run it."""
    image_pull_policy: str = ""
    fixed_ids: bool = True
    """Give pods user, group and fsGroup 10001. False on OpenShift, which gives each namespace IDs of its own."""
    proxy: Mapping[str, str] = field(default_factory=dict)
    """Environment variables by which a load pod finds the way out of the cluster; for downloads alone."""


class Engine(Protocol):
    """One kind of engine. Stateless: a target's settings come in with each call."""

    deployed: bool
    """It has a Pod and a Service; False for a server that stands already."""
    pulls_model: bool
    """The load pod asks it over its API to download the model."""
    fetches: "Fetches"
    """How a Job brings its model onto a claim."""
    ignores_eos: bool
    """Its API knows `ignore_eos`."""

    def port(self, target: Target) -> int:
        """Where it listens."""

    def template(self, spec: BenchmarkRunSpec, target: Target, platform: Platform) -> tuple[str, dict[str, Any]]:
        """The template's file name, and the JSON values of its own variables (`image`, `port` and `health` among
        them)."""

    def asked(self, spec: BenchmarkRunSpec, target: Target) -> dict[str, Fact]:
        """What the user asks of the engine, under the names and in the spelling of `facts` and of what the load pod
        finds: what is in force must be equal. Nothing where he leaves it to the engine."""

    def facts(self, log: str) -> dict[str, Fact]:
        """What the engine's own log says is in force, under the names that the status uses; only what it says.
        ARGUMENTS and ENVIRONMENT are its own lines, and stand apart in the status."""


def render(template: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The Pod of a template as a fresh dictionary."""
    pod: dict[str, Any] = json.loads(_rendered(template, json.dumps(values)))
    return pod


@lru_cache(maxsize=256)
def _rendered(template: str, values: str) -> str:
    """As JSON text, which is a hundred times faster to read again than the template is to render."""
    text = _TEMPLATES.get_template(template).render(json.loads(values))
    return json.dumps(yaml.load(text, Loader=_Loader))  # noqa: S506  # a SafeLoader, in C where there is one


def _yaml(value: object) -> str:
    """Any JSON value as YAML in one line; what is not plain ASCII goes as `\\U` escapes, which YAML always reads."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[^ -~]", lambda match: f"\\U{ord(match[0]):08x}", text)


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEMPLATES = jinja2.Environment(  # noqa: S701  # YAML, not HTML: every value goes through the filter `yaml`
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["yaml"] = _yaml
