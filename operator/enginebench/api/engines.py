"""The engines under test: one class each, and `Target`, which is one of them with its pod."""

from typing import Annotated, ClassVar, Literal, cast, get_args

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.endpoint import Endpoint
from enginebench.api.generators import TargetGenerator
from enginebench.api.llama_cpp import LlamaCpp
from enginebench.api.pods import PodSettings
from enginebench.api.refs import SecretKeyRef
from enginebench.api.rules import Rule, exactly_one, matches, text
from enginebench.api.types import PLAIN_HTTP, Dialect, Image, ModelName, OllamaModelName, Seed

EngineKind = Literal["vllm", "ollama", "llama_cpp", "endpoint", "simulated"]
"""The members of a target of which one is set."""
_KINDS: tuple[EngineKind, ...] = get_args(EngineKind)

VLLM_IMAGE = "docker.io/vllm/vllm-openai:v0.9.1"
OLLAMA_IMAGE = "docker.io/ollama/ollama:0.9.2"

OWN_VLLM_ARGS = ("--port", "--host", "--model", "--served-model-name", "--api-key")
"""Arguments that the operator sets: the load pod would not find its way to the engine otherwise."""

_SPELLINGS = sorted({arg for own in OWN_VLLM_ARGS for arg in (own, "--" + own[2:].replace("-", "_"))})


def _is_own(arg: str) -> bool:
    return any(arg == own or arg.startswith(own + "=") for own in _SPELLINGS)


class Vllm(SpecObject):
    """A vLLM server."""

    dialect: ClassVar[Dialect] = "vllm"
    default_image: ClassVar = VLLM_IMAGE

    model: ModelName
    """The model's name on Hugging Face, or a folder in the mounted cache (/models/…)."""
    image: Image | None = None
    """The server's image. docker.io/vllm/vllm-openai:v0.9.1 where absent."""
    args: (
        Annotated[
            list[Annotated[str, Field(max_length=4096)]],
            Field(max_length=128),
            Rule(
                sentence=f"{', '.join(OWN_VLLM_ARGS)} are set by the operator: remove them; "
                "the model is named in vllm.model",
                cel=f"!self.exists(a, [{', '.join(map(text, _SPELLINGS))}]"
                ".exists(own, a == own || a.startsWith(own + '=')))",
                holds=lambda args: not any(map(_is_own, args)),
            ),
        ]
        | None
    ) = None
    """More arguments of `vllm serve`, such as --max-model-len=8192."""
    token_secret_ref: SecretKeyRef | None = None
    """A Hugging Face token, for models that ask for one."""


class Ollama(SpecObject):
    """An Ollama server. What is not set here is left to Ollama, and what is in force is reported."""

    dialect: ClassVar[Dialect] = "ollama"
    default_image: ClassVar = OLLAMA_IMAGE

    model: OllamaModelName
    """The model's name in Ollama's library, or host:port/namespace/model:tag in another registry; pulled where it is
    not in the cache. With http:// before it: from a registry without TLS."""
    image: Image | None = None
    """The server's image. docker.io/ollama/ollama:0.9.2 where absent."""
    num_parallel: Annotated[int, Field(ge=1, le=1024)] | None = None
    """OLLAMA_NUM_PARALLEL: requests that are answered at the same time."""
    context_length: Annotated[int, Field(ge=1, le=10485760)] | None = None
    """OLLAMA_CONTEXT_LENGTH: tokens of context of each slot."""
    max_queue: Annotated[int, Field(ge=1, le=1048576)] | None = None
    """OLLAMA_MAX_QUEUE: requests that wait; more are refused with 503."""
    keep_alive: (
        Annotated[
            str,
            Field(min_length=1, max_length=16),
            matches("-1|0|([0-9]+(ms|s|m|h))+", 'must be a duration such as "10m", or "-1" for ever'),
        ]
        | None
    ) = None
    """OLLAMA_KEEP_ALIVE: how long an idle model stays loaded. For ever ("-1") where absent."""
    flash_attention: bool | None = None
    """OLLAMA_FLASH_ATTENTION."""
    kv_cache_type: Literal["f16", "q8_0", "q4_0"] | None = None
    """OLLAMA_KV_CACHE_TYPE: how the KV cache is quantized."""


class Simulated(SpecObject):
    """An engine for rehearsals without a GPU: it answers on the clock of a declared latency model."""

    api: Literal["vLLM", "Ollama"]
    """Whose API it speaks."""
    model: ModelName
    """The name it serves."""
    slots: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Requests that are answered at the same time. 32 where absent."""
    max_queue: Annotated[int, Field(ge=0, le=1048576)] | None = None
    """Requests that wait for a slot; more are refused with 503. 512 where absent."""
    prefill_microseconds_per_token: Annotated[int, Field(ge=0, le=10000000)] | None = None
    """Time to read one token of the prompt. 100 where absent."""
    decode_step_microseconds: Annotated[int, Field(ge=0, le=10000000)] | None = None
    """Time of one decoding step, whatever the batch. 10000 where absent."""
    decode_step_microseconds_per_sequence: Annotated[int, Field(ge=0, le=10000000)] | None = None
    """What each sequence in the batch adds to a step. 100 where absent."""
    jitter_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """How far each time strays from the model, up and down. 0 where absent."""
    seed: Seed | None = None
    """Seeds the jitter. 0 where absent."""

    @property
    def dialect(self) -> Dialect:
        """Of the engine that it plays."""
        return "vllm" if self.api == "vLLM" else "ollama"


class Target(SpecObject):
    """One engine with one setting. Targets run one after another, in this order."""

    rules = (
        exactly_one("vllm", "ollama", "llamaCpp", "endpoint", "simulated"),
        Rule(
            sentence="the name of a simulated target must end in -sim, and only its: "
            "add -sim to it, or remove it where the engine is real",
            cel="has(self.simulated) == self.name.endsWith('-sim')",
            holds=lambda self: (self.simulated is not None) == self.name.endswith("-sim"),
            field=".name",
        ),
        Rule(
            sentence="an endpoint has no pod, nothing is deployed for it: remove pod",
            cel="!(has(self.endpoint) && has(self.pod))",
            holds=lambda self: self.endpoint is None or self.pod is None,
            field=".pod",
        ),
        Rule(
            sentence="a simulated engine loads no model: remove modelCache",
            cel="!(has(self.simulated) && has(self.pod) && has(self.pod.modelCache))",
            holds=lambda self: self.simulated is None or self.pod is None or self.pod.model_cache is None,
            field=".pod.modelCache",
        ),
    )

    name: Annotated[
        str,
        Field(min_length=1, max_length=40),
        matches(
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            "must begin with a lower-case letter and hold only lower-case letters, digits and '-' (not at the end)",
        ),
    ]
    """Names the target in the status and its children. Ends in -sim if, and only if, it is simulated."""
    vllm: Vllm | None = None
    """A vLLM server."""
    ollama: Ollama | None = None
    """An Ollama server."""
    llama_cpp: LlamaCpp | None = None
    """A server of llama.cpp."""
    endpoint: Endpoint | None = None
    """A server that stands already."""
    simulated: Simulated | None = None
    """A simulated engine."""
    pod: PodSettings | None = None
    """This target's own pod settings, merged over engineDefaults."""
    load_generator: TargetGenerator | None = None
    """The load generator of this target, where it is not the run's (spec.loadGenerator). Two targets with the same engine
    and different load generators show these side by side."""

    @property
    def engine_kind(self) -> EngineKind:
        """Which of the members is set."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def engine(self) -> Vllm | Ollama | LlamaCpp | Endpoint | Simulated:
        """The member that is set."""
        return cast(Vllm | Ollama | LlamaCpp | Endpoint | Simulated, getattr(self, self.engine_kind))

    @property
    def model(self) -> str:
        """The model's name as the engine calls it; empty for an endpoint that is to say itself which one it has."""
        return (self.engine.model or "").removeprefix(PLAIN_HTTP)

    @property
    def pulled_without_tls(self) -> bool:
        """The model's registry is one of plain HTTP."""
        return (self.engine.model or "").startswith(PLAIN_HTTP)
