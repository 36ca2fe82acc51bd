"""What a load pod says: the payloads of its frames, one struct a stream.

The pod reports evidence, never a verdict: what a point is worth is decided by `workflow.verdicts`.
Times of day are Unix seconds by the pod's clock; latencies are milliseconds; rates are per second.
"""

import msgspec

from enginebench.api.loadplan import Wire
from enginebench.results.point_report import PointReport


class Progress(Wire, frozen=True, kw_only=True):
    """Where the pod stands; thinned to about one a second, lost without harm."""

    stage: str
    """Waiting | DownloadingModel | LoadingModel | Verifying | WarmingUp | Loading | Draining"""
    message: str = ""
    at: float = 0.0
    """When whoever does the work said so; the pod repeats it while nothing new is said."""
    point: int | None = None
    """Index of the load point that is being measured."""
    bytes_done: int | None = None
    bytes_total: int | None = None
    bytes_per_second: int | None = None
    """Over the last half minute."""
    remaining_seconds: int | None = None


class DatasetReport(Wire, frozen=True, kw_only=True):
    """The data set as the pod read it; `errors` name line and reason, the first 20 of them and how many more."""

    rows: int
    digest: str
    """`sha256:` over the canonical rows."""
    errors: tuple[str, ...] = ()
    skipped: int = 0
    """Conversations without a question, left out."""


class GeneratorLimit(Wire, frozen=True, kw_only=True):
    """What this load pod can receive without distorting it, found against a simulated engine in the same pod."""

    tokens_per_second: float
    streams: int
    bounded: bool
    """More streams were tried and distorted; else it carries more than was tried."""


class EngineReport(Wire, frozen=True, kw_only=True):
    """The engine has answered: what it serves, asked of it, and that a real completion came back."""

    served_model: str
    version: str = ""
    model_digest: str = ""
    model_download_seconds: float | None = None
    effective: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    """What is in force as far as the engine's API tells: contextLength, sizeBytes, sizeVramBytes, …"""
    generator_limit: GeneratorLimit | None = None
    """Where the plan asks for a calibration."""
    answered_at: float | None = None
    """When it served, its model loaded: verification began."""
    at: float = 0.0


class ModelReport(Wire, frozen=True, kw_only=True):
    """The model is on its claim: a fetch has done its work."""

    seconds: float = 0.0
    """That the download took; 0 where the model was there."""
    bytes: int | None = None
    """Of the model, where known."""
    digest: str = ""
    """What names its contents: Ollama's digest, `commit:…` of a hub's model, `sha256:…` of a folder."""
    message: str = ""
    """What was found or done, for people."""


class Failure(Wire, frozen=True, kw_only=True):
    """The pod gives up, and why; always followed by `End`."""

    reason: str
    """A stable CamelCase word: `docs/failures.md` has them."""
    message: str


class End(Wire, frozen=True, kw_only=True):
    """The last message: how many points were sent. Its absence means that something is missing."""

    points: int


STREAMS: dict[str, type[Wire]] = {
    "progress": Progress,
    "dataset": DatasetReport,
    "engine": EngineReport,
    "model": ModelReport,
    "point": PointReport,
    "failure": Failure,
    "end": End,
}

SpokenMessage = Progress | DatasetReport | EngineReport | ModelReport | PointReport | Failure | End


def stream_of(message: SpokenMessage) -> str:
    """The stream's name a message goes out on."""
    return next(name for name, kind in STREAMS.items() if type(message) is kind)


def encode(message: SpokenMessage) -> bytes:
    """The message as JSON; floats that JSON cannot carry are refused by whoever computed them."""
    return msgspec.json.encode(message)


def decode(stream: str, payload: bytes) -> SpokenMessage:
    """The message of a frame's payload; `msgspec.ValidationError` where it is not one."""
    return msgspec.json.decode(payload, type=STREAMS[stream])  # type: ignore[return-value]  # mypy cannot follow the table
