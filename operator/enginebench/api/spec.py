"""`BenchmarkRunSpec`: one whole experiment."""

from typing import Annotated

from pydantic import Field

from enginebench.api.base import SpecObject, keyed_by
from enginebench.api.engines import Target
from enginebench.api.execution import KeptResults, LoadGenerator, Placement, Timeouts
from enginebench.api.guidellm_rules import GUIDELLM_RULES
from enginebench.api.monitoring import Monitoring
from enginebench.api.pods import PodSettings
from enginebench.api.rules import Rule
from enginebench.api.workload import LOAD_POINTS, Workload

MOST_POINTS = 512
"""The status holds a row for each load point, and must stay under 256 KiB."""


def _speaks_ollama(target: Target) -> bool:
    return target.ollama is not None or (target.simulated is not None and target.simulated.api == "Ollama")


def _repeats(spec: "BenchmarkRunSpec") -> int:
    return spec.workload.repeats.count if spec.workload.repeats is not None else 1


REPEATS = "(has(self.workload.repeats) ? self.workload.repeats.count : 1)"
"""CEL: how often each load point is measured."""


class BenchmarkRunSpec(SpecObject):
    """One whole experiment: which engines, on which hardware, under which load."""

    rules = (
        Rule(
            sentence=f"targets times levels or rates of workload.load times repeats.count must be at most {MOST_POINTS} "
            "load points: take fewer, or split the run",
            cel=f"size(self.targets) * {LOAD_POINTS} * {REPEATS} <= {MOST_POINTS}",
            holds=lambda self: len(self.targets) * self.workload.load.points * _repeats(self) <= MOST_POINTS,
            field=".targets",
        ),
        Rule(
            sentence="is OllamaChat or OllamaGenerate, which only Ollama knows, but not every target is "
            "Ollama: use ChatCompletions or Completions, or split the run",
            cel="!has(self.workload.request) || "
            "!(self.workload.request.api in ['OllamaChat', 'OllamaGenerate']) || "
            "self.targets.all(t, has(t.ollama) || (has(t.simulated) && t.simulated.api == 'Ollama'))",
            holds=lambda self: (
                self.workload.request is None
                or self.workload.request.api not in ("OllamaChat", "OllamaGenerate")
                or all(map(_speaks_ollama, self.targets))
            ),
            field=".workload.request",
        ),
        Rule(
            sentence="is less than the measuring alone takes (targets times levels or rates times repeats times "
            "durationSeconds plus rampSeconds): raise activeDeadlineSeconds, or measure less",
            cel="!has(self.workload.durationSeconds) || has(self.workload.maxRequests) || "
            f"size(self.targets) * {LOAD_POINTS} * {REPEATS} * "
            "(self.workload.durationSeconds + self.workload.rampSeconds) <= self.activeDeadlineSeconds",
            holds=lambda self: (
                self.workload.duration_seconds is None
                or self.workload.max_requests is not None
                or len(self.targets)
                * self.workload.load.points
                * _repeats(self)
                * (self.workload.duration_seconds + self.workload.ramp_seconds)
                <= self.active_deadline_seconds
            ),
            field=".activeDeadlineSeconds",
        ),
        Rule(
            sentence="is more than the least number of users in workload.load, and a pod would have none: "
            "take fewer pods, or more users",
            cel="!has(self.loadGenerator) || "
            "((!has(self.workload.load.concurrency) || "
            "self.workload.load.concurrency.levels.all(level, level >= self.loadGenerator.pods)) && "
            "(!has(self.workload.load.throughput) || !has(self.workload.load.throughput.maxConcurrency) || "
            "self.workload.load.throughput.maxConcurrency >= self.loadGenerator.pods) && "
            "(!has(self.workload.load.sweep) || !has(self.workload.load.sweep.concurrency) || "
            "(has(self.workload.load.sweep.concurrency.min) ? self.workload.load.sweep.concurrency.min : 1) >= "
            "self.loadGenerator.pods))",
            holds=lambda self: (
                self.load_generator is None
                or (least := self.workload.load.least_users) is None
                or self.load_generator.pods <= least
            ),
            field=".loadGenerator.pods",
        ),
        Rule(
            sentence="apply to no target, all are endpoints, for which nothing is deployed: remove engineDefaults",
            cel="!has(self.engineDefaults) || !self.targets.all(t, has(t.endpoint))",
            holds=lambda self: self.engine_defaults is None or not all(target.endpoint for target in self.targets),
            field=".engineDefaults",
        ),
        *GUIDELLM_RULES,
    )

    targets: Annotated[
        list[Target],
        Field(min_length=1, max_length=32),
        keyed_by("name"),
        # The API server refuses doubles by itself, with a sentence of its own.
        Rule(
            sentence="has a name twice: give each target its own",
            cel="",
            holds=lambda targets: len({target.name for target in targets}) == len(targets),
        ),
    ]
    """The engines under test, one after another in this order."""
    engine_defaults: PodSettings | None = None
    """Pod settings of every target, unless its own `pod` says otherwise."""
    workload: Workload
    """The load that every target gets."""
    load_generator: LoadGenerator | None = None
    """Where the load comes from."""
    placement: Placement | None = None
    """How the engines' nodes relate to each other."""
    monitoring: Monitoring | None = None
    """Who tells of the engine's GPUs: clocks, power, temperature, throttling. Where absent, nobody is asked."""
    results: KeptResults | None = None
    """What is kept beside the figures."""
    timeouts: Timeouts | None = None
    """How long to wait before a target has failed."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=2592000)] = 86400
    """The run ends after this time, with what it has. It does not tick while the run is suspended."""
    suspend: bool = False
    """true frees the GPU; false goes on at the next load point. May change at any time."""
    cancel: bool = False
    """true ends the run for good and keeps what was measured. May change, one way."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=315360000)] | None = None
    """As in a Job: the run itself is deleted this long after its end, with its results. Kept where absent.
    May change at any time."""
