"""llama.cpp's server as an engine under test."""

from typing import Annotated, ClassVar

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.refs import SecretKeyRef
from enginebench.api.rules import Rule, matches, text
from enginebench.api.types import Dialect, Image

OWN_LLAMA_CPP_ARGS = (
    *("--host", "--port", "--reuse-port", "--api-prefix", "--ssl-key-file", "--ssl-cert-file"),
    *("--api-key", "--api-key-file", "--alias", "-a"),
    *("--model", "-m", "--model-url", "-mu", "--hf-repo", "-hf", "-hfr", "--docker-repo", "-dr", "--hf-token", "-hft"),
    *("--parallel", "-np", "--ctx-size", "-c"),
)
"""Arguments that the operator sets, or that would hide the engine from the load pod."""
PADDING = 256
"""GGML_PAD of the context of a slot, in llama-context.cpp."""


def spelled(arg: str) -> str:
    """An option as llama-server understands it: it takes `_` for `-`."""
    return arg.replace("_", "-")


class LlamaCpp(SpecObject):
    """llama.cpp's server (llama-server). What is not set here is left to it, and what is in force is reported."""

    dialect: ClassVar[Dialect] = "llamacpp"

    rules = (
        Rule(
            sentence="is tokens of each slot, and how many slots there are says llamaCpp.parallel: set that, too",
            cel="!has(self.contextLength) || has(self.parallel)",
            holds=lambda self: self.context_length is None or self.parallel is not None,
            field=".contextLength",
        ),
    )

    model: Annotated[
        str,
        Field(min_length=1, max_length=256),
        matches(
            "/[^\\s,]+[.]gguf|[A-Za-z0-9][-A-Za-z0-9_.]*/[A-Za-z0-9][-A-Za-z0-9_.]*(:[A-Za-z0-9][-A-Za-z0-9_.]*)?",
            "must be a GGUF file in the mounted cache, such as /models/llama-3.1-8b.gguf, or a repository of GGUF files "
            "on Hugging Face, owner/name or owner/name:Q8_0",
        ),
    ]
    """A GGUF file in the mounted cache (/models/….gguf), or a repository on Hugging Face (owner/name:quantization), which
    the server downloads as it starts."""
    image: Image
    """The server's image: ghcr.io/ggml-org/llama.cpp with a tag such as server-cuda-b11549. Several builds appear each day,
    so none is the default."""
    parallel: Annotated[int, Field(ge=1, le=256)] | None = None
    """--parallel: requests that are answered at the same time, each in its slot."""
    context_length: (
        Annotated[
            int,
            Field(ge=PADDING, le=10485760),
            Rule(
                sentence=f"must be a multiple of {PADDING}: llama.cpp rounds it up to one",
                cel=f"self % {PADDING} == 0",
                holds=lambda tokens: tokens % PADDING == 0,
            ),
        ]
        | None
    ) = None
    """Tokens of context of each slot: --ctx-size is this times parallel."""
    args: (
        Annotated[
            list[Annotated[str, Field(max_length=2048)]],
            Field(max_length=128),
            Rule(
                sentence="sets what the operator sets: remove it, and use llamaCpp.model, parallel, contextLength or "
                f"tokenSecretRef where they say the same ({', '.join(OWN_LLAMA_CPP_ARGS)})",
                cel=f"!self.exists(a, a.replace('_', '-') in [{', '.join(map(text, OWN_LLAMA_CPP_ARGS))}])",
                holds=lambda args: not set(map(spelled, args)) & set(OWN_LLAMA_CPP_ARGS),
            ),
        ]
        | None
    ) = None
    """More arguments of llama-server, an option and its value one entry each: --flash-attn, "on"."""
    token_secret_ref: SecretKeyRef | None = None
    """A Hugging Face token, for models that ask for one."""
