"""The load: which prompts, how they are asked, by how many users, for how long."""

from typing import Annotated, Literal

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.dataset import Dataset
from enginebench.api.rules import Rule, exactly_one, unique, unique_decimals
from enginebench.api.types import Decimal, Seed, above_zero, at_most


class Sampling(SpecObject):
    """How tokens are chosen. Always sent in full."""

    temperature: Annotated[Decimal, at_most(2, "must not be above 2")] = "0"
    """0 takes the likeliest token."""
    top_p: Annotated[
        Decimal, at_most(1, "must not be above 1"), above_zero("must be above 0: 1 considers every token")
    ] = "1"
    """Share of the probability that is considered."""
    repetition_penalty: Annotated[
        Decimal, at_most(2, "must not be above 2"), above_zero("must be above 0: 1 is no penalty")
    ] = "1"
    """1 is none. Ollama's OpenAI routes cannot set it: its own (OllamaChat, OllamaGenerate) can."""
    seed: Seed = 0
    """Seed of the engine's sampler."""


class Request(SpecObject):
    """How the prompts are asked."""

    rules = (
        Rule(
            sentence="needs api ChatCompletions or Completions: Ollama's own routes count tokens in their last event only",
            cel="!has(self.perEventUsage) || !self.perEventUsage || !has(self.api) || "
            "self.api in ['ChatCompletions', 'Completions']",
            holds=lambda self: not self.per_event_usage or self.api in ("ChatCompletions", "Completions"),
            field=".perEventUsage",
        ),
    )

    api: Literal["ChatCompletions", "Completions", "OllamaChat", "OllamaGenerate"] = "ChatCompletions"
    """The route: /v1/chat/completions, /v1/completions, or Ollama's /api/chat and /api/generate (raw)."""
    max_output_tokens: Annotated[int, Field(ge=1, le=131072)] = 256
    """No answer is longer."""
    length_policy: Literal["AsPublished", "Matched"] | None = None
    """AsPublished: engines that can are told to ignore the end of sequence. Matched: none is, so that all do
    the same work. Where absent: Matched if the targets are of several kinds of engine, else AsPublished."""
    sampling: Sampling | None = None
    """How tokens are chosen; greedily where absent."""
    per_event_usage: bool = False
    """The engine is asked for its count of tokens in every event (vLLM's stream_options.continuous_usage_stats): those
    of unfinished requests are exact then, and every event is longer. Engines that do not know it leave it out, and
    GuideLLM as the load generator does not ask."""
    extra_body_json: (
        Annotated[
            str,
            Field(max_length=16384),
            Rule(
                sentence='must be a JSON object, such as {"min_p": 0.1}',
                cel="self == '' || (self.startsWith('{') && self.endsWith('}'))",
                holds=lambda body: body == "" or (body.startswith("{") and body.endswith("}")),
            ),
        ]
        | None
    ) = None
    """A JSON object that is merged into the body of every request."""


Users = Annotated[int, Field(ge=1, le=4096)]


class Concurrency(SpecObject):
    """A closed loop: each user sends the next request when the answer is complete."""

    levels: Annotated[
        list[Users],
        Field(min_length=1, max_length=128),
        unique("has a level twice: each level may stand only once"),
    ]
    """Numbers of simultaneous users, each a load point, in this order."""


Rate = Annotated[
    Decimal,
    above_zero("must be above 0: at no rate nothing is measured"),
    at_most(10000, "must not be above 10000 requests a second"),
]
MostConnections = Annotated[int, Field(ge=1, le=16384)]


class RequestRate(SpecObject):
    """An open loop: each request is sent when it is due, whether earlier ones have been answered or not."""

    rates: Annotated[
        list[Rate],
        Field(min_length=1, max_length=128),
        unique_decimals("has a rate twice: each rate may stand only once"),
    ]
    """Requests a second, each a load point, in this order: decimals in quotes, such as "0.5"."""
    arrival: Literal["Poisson", "Constant"] = "Poisson"
    """Poisson: independent users, gaps exponentially distributed, the same for every target. Constant: equal gaps."""
    max_concurrency: MostConnections = 4096
    """No more requests are in flight at once; further ones wait, and are sent late, which is told."""


class Throughput(SpecObject):
    """As many requests as the engine takes: a closed loop of so many users that it has no idle moment."""

    max_concurrency: Users = 512
    """So many requests are in flight at once."""


class ConcurrencyRange(SpecObject):
    """From few users to many."""

    rules = (
        Rule(
            sentence="must be above min: a sweep goes from min to max",
            cel="self.max > (has(self.min) ? self.min : 1)",
            holds=lambda self: self.max > self.min,
            field=".max",
        ),
    )

    min: Users = 1
    """The first point's users."""
    max: Users
    """The second point's users: surely more than the engine serves at once."""


class RateRange(SpecObject):
    """From a low rate to a high one."""

    rules = (
        Rule(
            sentence="must be above min: a sweep goes from min to max",
            cel="![self.min, self.max].all(x, x.matches('^[0-9]+([.][0-9]+)?$')) || double(self.max) > double(self.min)",
            holds=lambda self: float(self.max) > float(self.min),
            field=".max",
        ),
    )

    min: Rate
    """Requests a second of the first point: a decimal in quotes, such as "0.5"."""
    max: Rate
    """Requests a second of the second point: surely more than the engine answers."""
    arrival: Literal["Poisson", "Constant"] = "Poisson"
    """As in requestRate."""
    max_concurrency: MostConnections = 4096
    """As in requestRate."""


class Sweep(SpecObject):
    """Finds the load at which the engine saturates: first min, then max, then where the throughput's curve bends."""

    rules = (
        exactly_one("concurrency", "requestRate"),
        Rule(
            sentence="must be at most concurrency.max - concurrency.min + 1: there are no more numbers of users",
            cel="!has(self.concurrency) || "
            "self.points <= self.concurrency.max - (has(self.concurrency.min) ? self.concurrency.min : 1) + 1",
            holds=lambda self: (
                self.concurrency is None or self.points <= self.concurrency.max - self.concurrency.min + 1
            ),
            field=".points",
        ),
    )

    points: Annotated[int, Field(ge=3, le=32)] = 8
    """How many load points each target gets. Each target has its own."""
    concurrency: ConcurrencyRange | None = None
    """By the number of simultaneous users."""
    request_rate: RateRange | None = None
    """By the number of requests a second."""


class Load(SpecObject):
    """The load points."""

    rules = (exactly_one("concurrency", "requestRate", "throughput", "sweep"),)

    concurrency: Concurrency | None = None
    """By the number of simultaneous users."""
    request_rate: RequestRate | None = None
    """By the number of requests a second."""
    throughput: Throughput | None = None
    """As much as the engine takes: one load point."""
    sweep: Sweep | None = None
    """Wherever the engine saturates."""

    @property
    def points(self) -> int:
        """How many load points it has."""
        if self.concurrency is not None:
            return len(self.concurrency.levels)
        if self.request_rate is not None:
            return len(self.request_rate.rates)
        return self.sweep.points if self.sweep is not None else 1

    @property
    def least_users(self) -> int | None:
        """Users of its smallest closed loop; None where there is none."""
        if self.concurrency is not None:
            return min(self.concurrency.levels)
        if self.throughput is not None:
            return self.throughput.max_concurrency
        swept = self.sweep.concurrency if self.sweep is not None else None
        return swept.min if swept is not None else None

    @property
    def most_users(self) -> int:
        """Users of its largest closed loop; 0 where there is none."""
        if self.concurrency is not None:
            return max(self.concurrency.levels)
        if self.throughput is not None:
            return self.throughput.max_concurrency
        swept = self.sweep.concurrency if self.sweep is not None else None
        return swept.max if swept is not None else 0


LOAD_POINTS = (
    "(has(self.workload.load.concurrency) ? size(self.workload.load.concurrency.levels) : "
    "has(self.workload.load.requestRate) ? size(self.workload.load.requestRate.rates) : "
    "has(self.workload.load.sweep) && has(self.workload.load.sweep.points) ? self.workload.load.sweep.points : 1)"
)
"""CEL, from the spec: `Load.points`."""


class Warmup(SpecObject):
    """Before each load point, at its own load: until every user has had one answer, or, at a request rate, until what
    was sent in the ramp is answered."""

    max_seconds: Annotated[int, Field(ge=0, le=3600)] = 120
    """It ends after this time even so, which is said. 0: no warm-up."""


class Repeats(SpecObject):
    """Every load point several times, so that the result has an interval. Targets change their order from repeat to
    repeat (a b c, then c b a), and load points are shuffled from the second repeat on, alike for every target."""

    count: Annotated[int, Field(ge=1, le=20)]
    """How often each load point is measured; from 3 on with a 95 % interval."""
    unit: Literal["Engine", "Point"] = "Engine"
    """Engine: each repeat starts every engine anew, since most of the noise is an engine's start and the time of
    day. Point: the same engine measures every load point again."""


class StopWhen(SpecObject):
    """After what higher loads are skipped. A target's points are skipped by what its own lower loads have shown, in the
    same repeat, before them."""

    rules = (
        Rule(
            sentence="errorRatePercent must be set, or saturated must be true: else nothing is ever skipped",
            cel="has(self.errorRatePercent) || (has(self.saturated) && self.saturated)",
            holds=lambda self: self.error_rate_percent is not None or self.saturated,
        ),
    )

    error_rate_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    """A lower load at which so many of the finished requests failed, or more."""
    saturated: bool = False
    """Three lower loads next to each other: from each to the next output TPS rose by less than 5 % beyond noise, and
    from the first to the third the median TTFT to 1.5 times or more."""


class Workload(SpecObject):
    """The load that every target gets."""

    rules = (
        Rule(
            sentence="durationSeconds or maxRequests must be set: a load point would never end",
            cel="has(self.durationSeconds) || has(self.maxRequests)",
            holds=lambda self: self.duration_seconds is not None or self.max_requests is not None,
            field=".durationSeconds",
        ),
        Rule(
            sentence="must be at least the highest number of users of load (the highest of concurrency.levels), or so "
            "many are never busy at once: raise maxRequests, or use durationSeconds",
            cel="!has(self.maxRequests) || ("
            "(!has(self.load.concurrency) || self.load.concurrency.levels.all(level, level <= self.maxRequests)) && "
            "(!has(self.load.throughput) || !has(self.load.throughput.maxConcurrency) || "
            "self.load.throughput.maxConcurrency <= self.maxRequests) && "
            "(!has(self.load.sweep) || !has(self.load.sweep.concurrency) || "
            "self.load.sweep.concurrency.max <= self.maxRequests))",
            holds=lambda self: self.max_requests is None or self.load.most_users <= self.max_requests,
            field=".maxRequests",
        ),
        Rule(
            sentence="cannot go with load.sweep, whose loads differ from repeat to repeat: find the loads of interest by "
            "a sweep, and repeat those with load.concurrency or load.requestRate",
            cel="!has(self.repeats) || self.repeats.count == 1 || !has(self.load.sweep)",
            holds=lambda self: self.repeats is None or self.repeats.count == 1 or self.load.sweep is None,
            field=".repeats",
        ),
        Rule(
            sentence="cannot go with load.sweep, which places its own points, nor with load.throughput, which has one: "
            "name the loads in load.concurrency or load.requestRate",
            cel="!has(self.stopWhen) || !(has(self.load.sweep) || has(self.load.throughput))",
            holds=lambda self: self.stop_when is None or (self.load.sweep is None and self.load.throughput is None),
            field=".stopWhen",
        ),
        Rule(
            sentence="has rows with messages, which need a chat API: set request.api to ChatCompletions or "
            "OllamaChat, or give a prompt instead of messages",
            cel="!has(self.request) || "
            "!(self.request.api in ['Completions', 'OllamaGenerate']) || !has(self.dataset.inline) || "
            "self.dataset.inline.rows.all(row, !has(row.messages))",
            holds=lambda self: (
                self.request is None
                or self.request.api not in ("Completions", "OllamaGenerate")
                or self.dataset.inline is None
                or all(row.messages is None for row in self.dataset.inline.rows)
            ),
            field=".dataset.inline",
        ),
    )

    dataset: Dataset
    """The prompts."""
    request: Request | None = None
    """How they are asked."""
    load: Load
    """How many users ask, or how often."""
    duration_seconds: Annotated[int, Field(ge=1, le=86400)] | None = None
    """How long each load point is measured."""
    max_requests: Annotated[int, Field(ge=1, le=10000000)] | None = None
    """How many requests of each load point are measured, at most."""
    ramp_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    """Users start evenly over this time, rates grow evenly. Equal users that start at once would go on in lock step."""
    warmup: Warmup | None = None
    """Requests before the measured ones."""
    repeats: Repeats | None = None
    """How often all of it is measured; once where absent."""
    stop_when: StopWhen | None = None
    """When higher loads are skipped; none is where absent."""
