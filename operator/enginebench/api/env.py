"""Environment variables of the engine."""

from typing import Annotated

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.refs import ConfigMapKeyRef, SecretKeyRef
from enginebench.api.rules import Rule, exactly_one, matches, text

RESERVED_ENV = {
    "OLLAMA_NUM_PARALLEL": "ollama.numParallel",
    "OLLAMA_CONTEXT_LENGTH": "ollama.contextLength",
    "OLLAMA_MAX_QUEUE": "ollama.maxQueue",
    "OLLAMA_KEEP_ALIVE": "ollama.keepAlive",
    "OLLAMA_FLASH_ATTENTION": "ollama.flashAttention",
    "OLLAMA_KV_CACHE_TYPE": "ollama.kvCacheType",
    "OLLAMA_MODELS": "modelCache",
    "LLAMA_ARG_N_PARALLEL": "llamaCpp.parallel",
    "LLAMA_ARG_CTX_SIZE": "llamaCpp.contextLength",
    "LLAMA_CACHE": "modelCache",
    "HF_TOKEN": "tokenSecretRef",
    "HUGGING_FACE_HUB_TOKEN": "tokenSecretRef",
    "OLLAMA_HOST": "",
    **dict.fromkeys(("LLAMA_ARG_MODEL", "LLAMA_ARG_MODEL_URL", "LLAMA_ARG_HF_REPO"), "llamaCpp.model"),
    "LLAMA_ARG_N_GPU_LAYERS": "llamaCpp.args",
    **dict.fromkeys(
        (
            *("LLAMA_ARG_HOST", "LLAMA_ARG_PORT", "LLAMA_ARG_API_PREFIX", "LLAMA_ARG_ALIAS", "LLAMA_ARG_DOCKER_REPO"),
            *("LLAMA_API_KEY", "LLAMA_ARG_API_KEY_FILE", "LLAMA_ARG_SSL_KEY_FILE", "LLAMA_ARG_SSL_CERT_FILE"),
        ),
        "",
    ),
    "VLLM_API_KEY": "",
    "HOME": "",
}
"""Variables that the operator sets itself, with the field that says the same ("": there is none)."""


class EnvVarSource(SpecObject):
    """Where a variable's value comes from."""

    rules = (exactly_one("secretKeyRef", "configMapKeyRef"),)

    secret_key_ref: SecretKeyRef | None = None
    """A key of a Secret."""
    config_map_key_ref: ConfigMapKeyRef | None = None
    """A key of a ConfigMap."""


class EnvVar(SpecObject):
    """One environment variable of the engine."""

    rules = (
        Rule(
            sentence="value and valueFrom exclude each other: remove one of them",
            cel="!(has(self.value) && has(self.valueFrom))",
            holds=lambda self: self.value is None or self.value_from is None,
            field=".valueFrom",
        ),
        Rule(
            sentence="is set by the operator: remove it, and where there is a field for it use that: "
            + ", ".join(f"{field} for {name}" for name, field in RESERVED_ENV.items() if field),
            cel=f"!(self.name in [{', '.join(map(text, RESERVED_ENV))}])",
            holds=lambda self: self.name not in RESERVED_ENV,
            field=".name",
        ),
    )

    name: Annotated[
        str,
        Field(min_length=1, max_length=128),
        matches("[-._a-zA-Z][-._a-zA-Z0-9]*", "must be the name of a variable, such as NCCL_DEBUG"),
    ]
    """The variable's name. Those that the operator sets itself are refused."""
    value: Annotated[str, Field(max_length=4096)] | None = None
    """The value, as it is; empty where neither this nor valueFrom is given."""
    value_from: EnvVarSource | None = None
    """Takes the value from a Secret or a ConfigMap."""
