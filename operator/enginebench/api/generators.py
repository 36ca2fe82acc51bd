"""Which program makes the load: EngineBench's own, or GuideLLM."""

from typing import Annotated, Literal

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.rules import Rule, exactly_one, text
from enginebench.api.types import Image

GUIDELLM = "guidellm"
"""Its name in status and results; EngineBench's own is not named in the status."""
GUIDELLM_IMAGE = "docker.io/enginebench/guidellm"
"""Its tags are GuideLLM's versions."""

OWN_GUIDELLM_ARGS = (
    *("--target", "--backend-type", "--backend-args", "--model", "--backend", "--profile", "--rate-type", "--rate"),
    *("--constraint", "--max-seconds", "--max-requests", "--warmup-percent", "--cooldown-percent", "--override"),
    *("--data", "--data-args", "--data-sampler", "--config", "-c", "--scenario"),
    *("--output", "--output-path", "--output-sampling", "--disable-progress"),
    *("--disable-console", "--disable-console-outputs", "--disable-console-interactive"),
)
"""Of both versions: what makes it load this engine, as the run says, and tell us of it."""


def _is_own(arg: str) -> bool:
    return any(arg == own or arg.startswith(own + "=") for own in OWN_GUIDELLM_ARGS)


class NativeGenerator(SpecObject):
    """EngineBench's own load generator."""


class GuideLlm(SpecObject):
    """GuideLLM, in a container of its own in the load pod."""

    version: Literal["0.2.1", "0.8.1"]
    """The version in the image. Another one in it is refused before anything is loaded."""
    image: Image | None = None
    """An image with this version and a python3 that knows it. docker.io/enginebench/guidellm:<version> where absent."""
    args: (
        Annotated[
            list[Annotated[str, Field(max_length=4096)]],
            Field(max_length=64),
            Rule(
                sentence="target, load, data and output are set by the operator: remove "
                "--target, --backend, --model, --profile, --rate, --constraint, --max-seconds, --data, --output and what "
                "belongs to them",
                cel=f"!self.exists(a, [{', '.join(map(text, OWN_GUIDELLM_ARGS))}]"
                ".exists(own, a == own || a.startsWith(own + '=')))",
                holds=lambda args: not any(map(_is_own, args)),
            ),
        ]
        | None
    ) = None
    """More arguments of `guidellm run` (0.8.1) or `guidellm benchmark` (0.2.1), such as --label=site=lab."""


class TargetGenerator(SpecObject):
    """The load generator of one target."""

    rules = (exactly_one("native", "guidellm"),)

    native: NativeGenerator | None = None
    """EngineBench's own load generator."""
    guidellm: GuideLlm | None = None
    """GuideLLM."""
