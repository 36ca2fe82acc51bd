"""What the operator tells a load pod: one JSON file, mounted read-only.

The classes are msgspec structs, not pydantic models: the load pod must start in a fraction of a second, and
the operator's own contract with its users (`v1alpha1`) is a different document that changes at another pace.
JSON names are camelCase; an unknown field is an error, so that an old pod never half-understands a new plan.
"""

from typing import Literal

import msgspec

PLAN_FILE = "plan.json"
"""Key of the plan in its ConfigMap, and the file's name in the pod."""

PLAN_FOLDER = "/etc/enginebench"
DATASET_FOLDER = "/etc/enginebench-dataset"
"""Where the user's ConfigMap or volume with the data set is mounted."""
CA_FOLDER = "/etc/enginebench-ca"
"""Where the user's ConfigMap with CA certificates is mounted."""
TOKEN_VARIABLE = "ENGINEBENCH_TOKEN"  # noqa: S105  # a name
"""Environment variable of the load pod that holds the endpoint's bearer token. The plan never does."""
PROMETHEUS_CA_FOLDER = "/etc/enginebench-prometheus-ca"
PROMETHEUS_TOKEN_VARIABLE = "ENGINEBENCH_PROMETHEUS_TOKEN"  # noqa: S105  # a name
"""The same of the Prometheus that tells of the GPUs."""
DOWNLOAD_SECONDS = 600
"""A data set is downloaded within this time, all tries together, or not at all."""


SECRET_VARIABLE = "ENGINEBENCH_LOAD_SECRET"  # noqa: S105  # a name
"""Environment variable of several load pods: what they know each other by. The plan never holds it."""
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Kubernetes' own, in the pods of an Indexed Job; the pod of index 0 leads."""
LEADER_PORT = 8002
"""Where the first load pod listens for the others."""

CALIBRATION_SECONDS = 120
"""The load pod gives up measuring itself after this."""
CALIBRATION_PORT = 8001
"""Where the simulated engine in the load pod's own network listens."""


CALIBRATION_MODEL = "calibration-sim"
CALIBRATION_STREAMS = 1024
CALIBRATION_ENGINE = (
    *("--api", "vLLM", "--model", CALIBRATION_MODEL),
    *("--slots", str(CALIBRATION_STREAMS), "--max-queue", str(CALIBRATION_STREAMS)),
    *("--prefill-microseconds-per-token", "0"),
    *("--decode-step-microseconds", "10000", "--decode-step-microseconds-per-sequence", "0"),
)
"""Arguments of the simulated engine: every stream gets a token every 10 ms, however many there are."""

IDLE_SECONDS = 30
"""Before the burst and before each load point: so long it is waited until the engine is idle."""


EXCHANGE_FOLDER = "/exchange"
"""What the load pod's program and GuideLLM's container share: `loadgen.guidellm.agent` listens at AGENT_SOCKET in it."""
AGENT_FILE = "agent.py"
AGENT_SOCKET = "agent.sock"

RESULTS_FOLDER = "/results"
"""Where the volume for every request is mounted."""


class Wire(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything that goes between the operator and its load pods."""


class Message(Wire, frozen=True, kw_only=True):
    role: str
    content: str


class Row(Wire, frozen=True, kw_only=True):
    """One request of the data set: a prompt or chat messages, with known token counts where they are known."""

    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None


class SyntheticRows(Wire, frozen=True, kw_only=True):
    """Prompts of `prompt_tokens` words made from `seed`; the same seed gives the same rows on every machine."""

    rows: int
    prompt_tokens: int
    output_tokens: int
    seed: int = 0


class DownloadPlan(Wire, frozen=True, kw_only=True):
    """A file at an address, and the SHA-256 that it must have, in 64 hexadecimal digits."""

    url: str
    sha256: str


class DatasetPlan(Wire, frozen=True, kw_only=True):
    """Exactly one of `rows`, `file`, `download` and `synthetic`; none where a model is fetched."""

    rows: tuple[Row, ...] | None = None
    file: str | None = None
    download: DownloadPlan | None = None
    synthetic: SyntheticRows | None = None
    format: Literal["JSONL", "ShareGPT"] = "JSONL"
    """How the file is read, gzip or not."""
    source: str = ""
    """Where the file lies, in words for people."""
    digest: str = ""
    """SHA-256 that the rows must have (`sha256:…`); empty: not known yet."""


class SamplingPlan(Wire, frozen=True, kw_only=True):
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0


class RequestPlan(Wire, frozen=True, kw_only=True):
    api: Literal["ChatCompletions", "Completions", "OllamaChat", "OllamaGenerate"] = "ChatCompletions"
    max_output_tokens: int
    ignore_eos: bool = False
    """Sent only where the engine knows it (vLLM's dialect, llama.cpp's)."""
    sampling: SamplingPlan = SamplingPlan()
    per_event_usage: bool = False
    """Every event is to bring the count of tokens so far: OpenAI's routes, where the engine knows it."""
    extra_body_json: str = ""
    """A JSON object merged into every request body."""


class PointPlan(Wire, frozen=True, kw_only=True):
    """One load point: `concurrency` simultaneous users, or `request_rate` requests a second."""

    index: int
    repeat: int = 0
    concurrency: int | None = None
    """Closed loop: so many users, each sending the next request when the answer is complete."""
    throughput: bool = False
    """The users are a bound of what the engine is to take at once, and not a load of interest."""
    request_rate: float | None = None
    """Open loop: requests are sent when they are due, whatever the engine does."""
    arrival: Literal["Constant", "Poisson"] = "Poisson"
    """Open loop: equal gaps, or exponential ones."""
    max_concurrency: int = 4096
    """Open loop: so many connections at most."""


class SweepPlan(Wire, frozen=True, kw_only=True):
    """Points whose load is placed by what the ones before have shown (`results.sweep`)."""

    of: Literal["concurrency", "requestRate"]
    lowest: float
    highest: float
    arrival: Literal["Constant", "Poisson"] = "Poisson"
    max_concurrency: int = 4096


class Measured(Wire, frozen=True, kw_only=True):
    """A point that was measured: what the place of a sweep's next one, and whether a later one is skipped, follows from."""

    index: int = 0
    load: float
    """Users, or requests a second."""
    output_tokens_per_second: float
    repeat: int = 0
    tps_error: float = 0.0
    """Standard error of the output TPS; 0: not known."""
    ttft_p50: float | None = None
    """Milliseconds, or its lower bound; None: nothing came."""
    error_share: float = 0.0
    """Failed requests among the finished ones."""


class StopPlan(Wire, frozen=True, kw_only=True):
    """After what higher loads are skipped (`results.stop`)."""

    error_rate_percent: int | None = None
    saturated: bool = False


class AccessPlan(Wire, frozen=True, kw_only=True):
    """How a server is reached that asks who we are, or is to prove who it is."""

    said_in: str = "endpoint"
    """The part of the spec that says it, for words."""
    token_variable: str = TOKEN_VARIABLE
    """Environment variable of the load pod that holds the token."""
    token_from: str = ""
    """The Secret and key of the token, in words; empty: none is sent."""
    ca_file: str = ""
    """PEM file of the CAs to trust; empty: those of the image."""
    ca_from: str = ""
    """The ConfigMap and key of `ca_file`, in words."""
    verify_certificate: bool = True


class PrometheusPlan(Wire, frozen=True, kw_only=True):
    """Who tells of the engine's GPUs."""

    url: str
    access: AccessPlan = AccessPlan()


class GuideLlmPlan(Wire, frozen=True, kw_only=True):
    """GuideLLM loads instead of this program, in a container of its own beside it."""

    version: Literal["0.2.1", "0.8.1"]
    args: tuple[str, ...] = ()
    """More arguments of its command."""


class FetchPlan(Wire, frozen=True, kw_only=True):
    """A model of Hugging Face, as the engine will look for it."""

    revision: str = ""
    """Empty: `main`."""
    weights_folder: str = ""
    """A cache of its own for the weights; empty: Hugging Face's, by the environment."""
    all_weights: bool = False
    """Of every format, since the engine is told to take another than it would by itself."""
    token_from: str = ""
    """The Secret and key of the token in the environment, in words; empty: there is none."""


class LoadPlan(Wire, frozen=True, kw_only=True):
    """Everything one load pod does: which engine, which rows, which points, in this order."""

    run_uid: str
    target: str
    attempt: int
    task: Literal["load", "prepare", "fetch"] = "load"
    """`prepare` reads the data set, reports it and ends: no engine is touched. `fetch` has the model brought onto its
    claim, and ends."""
    fetch: FetchPlan | None = None
    """What is to be fetched, where a model's name does not say it all."""
    claim: str = ""
    """The claim that it is fetched onto, in words."""

    url: str = ""
    """Base URL of the engine, without a trailing slash and without `/v1`."""
    access: AccessPlan = AccessPlan()
    dialect: Literal["vllm", "ollama", "llamacpp", "openai"] = "openai"
    """How the engine is asked what it serves: /v1/models, llama.cpp's /props, or Ollama's /api/tags, /api/show, /api/ps."""
    model: str = ""
    """Empty: the only one that the endpoint lists."""
    pull_model: bool = False
    """Ollama: pull the model through /api/pull if /api/tags does not list it."""
    pull_without_tls: bool = False
    """Ollama: from a registry of plain HTTP."""
    slots: int = 0
    """Ollama: requests that it was told to answer at once; 0: it was left to choose."""
    simulated: bool = False
    prometheus: PrometheusPlan | None = None
    """Asked for the state of the engine's GPUs after each point; None: nobody is."""
    engine_pod: str = ""
    """The engine's pod, where it is ours."""
    calibrate_url: str = ""
    """A simulated engine in the same pod, against which the load generator measures itself first; empty: it does not."""

    dataset: DatasetPlan
    prompt_reuse: Literal["Unique", "AsIs", "Shared"] = "Unique"
    shared_prefix_tokens: int = 0
    request: RequestPlan
    points: tuple[PointPlan, ...] = ()
    sweep: SweepPlan | None = None
    """Places the points, which then have no load of their own."""
    stop_when: StopPlan | None = None
    """After what points are skipped; None: all are measured."""
    measured: tuple[Measured, ...] = ()
    """By earlier attempts, where sweep or stop_when goes by it."""
    points_total: int = 0
    """Of the target, with those that an earlier attempt has measured; 0: these are all."""
    duration_seconds: int | None = None
    max_requests: int | None = None
    ramp_seconds: int = 10
    warmup_max_seconds: int = 120
    idle_seconds: int = IDLE_SECONDS
    seed: int = 0
    """The data set's: seeds the order of the rows and the prompt salts, the same for all targets of a run."""
    model_download_seconds: int = 7200
    model_download_stall_seconds: int = 180
    """A download is given up when no byte has come for so long."""
    verification_seconds: int = 600
    """From when the engine serves until a completion has come back."""
    startup_seconds: int = 1800
    """The pod gives up waiting for the engine after this; the operator gives up first, with more to say."""
    processes: int = 1
    """Of each load pod; each point's load is dealt out to them."""
    pods: int = 1
    """Load pods, all with this same plan."""
    leader: str = ""
    """Several pods: the host name of the first one, which commands the others."""
    leader_port: int = LEADER_PORT
    guidellm: GuideLlmPlan | None = None
    """None: EngineBench's own load generator."""
    requests_folder: str = ""
    """The run's own folder on a volume: every request is kept in here; empty: they are not kept."""
    point_bytes: int = 65536
    """A point's messages may take this many bytes on the wire, compressed."""


def encode(plan: LoadPlan) -> bytes:
    """The plan as compact JSON."""
    return msgspec.json.encode(plan)


def decode(text: bytes) -> LoadPlan:
    """The plan of `text`; `msgspec.ValidationError` names the field that is wrong."""
    return msgspec.json.decode(text, type=LoadPlan)
