"""What differs between GuideLLM's versions, and nothing else: the Protocol that each version's file fills."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from enginebench.api.loadplan import LoadPlan, PointPlan, Row

JsonObject = dict[str, Any]
Outcome = Literal["open", "succeeded", "errored"]
One = TypeVar("One")
"""A request, as a version writes it."""
OFFLINE = {
    "HF_HUB_OFFLINE": "1",  # nothing is asked of a hub of models
    "TOKENIZERS_PARALLELISM": "false",
    "NO_PROXY": "*",  # the engine is reached directly
}


@dataclass(frozen=True, slots=True)
class Job:
    """One run of GuideLLM: one load point, for so many seconds."""

    plan: LoadPlan
    point: PointPlan
    body: JsonObject
    """What every request says besides its prompt and its cap: EngineBench's own."""
    most_tokens: int
    """No answer is longer."""
    seconds: float
    cpus: float
    """Processors that it may use."""
    rows: Path
    report: Path


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a report. Times are Unix seconds; None where it has not happened, or is not told."""

    start: float
    """Just before it was sent."""
    due: float | None
    """When the schedule wanted it sent."""
    first: float | None
    last: float | None
    end: float
    outcome: Outcome
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    events: int | None = None
    """With content; None: not told."""
    first_output: float | None = None
    """The first content that is not reasoning; None: not told apart."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Own:
    """What GuideLLM itself makes of its run, from its first request to its last."""

    requests_per_second: float
    output_tokens_per_second: float
    ttft: Mapping[str, float]
    """Milliseconds: `p50`, `p90`, `p95`, `p99`, `mean`; empty without a success."""
    itl: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Report:
    requests: Sequence[Request]
    own: Own


class Adapter(Protocol):
    """One version of GuideLLM. Stateless."""

    version: str

    def memory(self, users: int, cpus: float) -> int:
        """Bytes that it takes for so many streams, measured: `docs/guidellm.md`."""

    def refuses(self, job: Job, rows: Sequence[Row]) -> str:
        """What it cannot do of this, in words, with the cure; empty: it can all."""

    def row(self, job: Job, row: Row) -> JsonObject:
        """A line of the data file."""

    def command(self, job: Job) -> list[str]:
        """The whole command line, the user's arguments in it."""

    def body(self, job: Job) -> JsonObject:
        """What every request says besides its prompt and a smaller cap of its row's."""

    def environment(self, job: Job) -> dict[str, str]:
        """Besides what the container has."""

    def read(self, text: bytes) -> Report:
        """Its report file; `msgspec.MsgspecError` or ValueError where it is none."""


class Lenient(msgspec.Struct, frozen=True, rename=None):
    """Part of a report: members that are not listed are skipped without being built."""


class Summary(Lenient, frozen=True):
    """A distribution as GuideLLM writes it."""

    mean: float | None = None
    percentiles: dict[str, float | None] | None = None
    median: float | None = None
    count: int = 0

    def figures(self) -> dict[str, float]:
        """What `Own` tells of it; the median, which 0.2.1 keeps apart from the percentiles."""
        if not self.count:
            return {}
        found = {**(self.percentiles or {}), "mean": self.mean}
        found.setdefault("p50", self.median)
        return {
            name: float(value)
            for name in ("p50", "p90", "p95", "p99", "mean")
            if (value := found.get(name)) is not None
        }


class OfSuccessful(Lenient, frozen=True):
    successful: Summary = Summary()


class Metrics(Lenient, frozen=True):
    """Rates are distributions, of which the mean is what others call the rate."""

    requests_per_second: OfSuccessful = OfSuccessful()
    output_tokens_per_second: OfSuccessful = OfSuccessful()
    time_to_first_token_ms: OfSuccessful = OfSuccessful()
    inter_token_latency_ms: OfSuccessful = OfSuccessful()

    def own(self) -> Own:
        return Own(
            requests_per_second=self.requests_per_second.successful.mean or 0.0,
            output_tokens_per_second=self.output_tokens_per_second.successful.mean or 0.0,
            ttft=self.time_to_first_token_ms.successful.figures(),
            itl=self.inter_token_latency_ms.successful.figures(),
        )


class Requests(Lenient, Generic[One], frozen=True):
    """All that were sent, by how they ended."""

    successful: tuple[One, ...] | None = None
    incomplete: tuple[One, ...] | None = None
    errored: tuple[One, ...] | None = None

    def each(self) -> Iterator[tuple[One, Outcome]]:
        for one in self.successful or ():
            yield one, "succeeded"
        for one in self.incomplete or ():
            yield one, "open"
        for one in self.errored or ():
            yield one, "errored"


class Benchmark(Lenient, Generic[One], frozen=True):
    requests: Requests[One]
    metrics: Metrics = Metrics()


class Document(Lenient, Generic[One], frozen=True):
    """A report file."""

    benchmarks: tuple[Benchmark[One], ...]

    def only(self) -> Benchmark[One]:
        """ValueError where there are several, or none."""
        if len(self.benchmarks) != 1:
            raise ValueError(f"its report has {len(self.benchmarks)} benchmarks and not one")
        return self.benchmarks[0]
