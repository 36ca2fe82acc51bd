"""Why a point is not simply Valid: a table of words, each with the evidence that brings it about.

An entry takes a `Case` and gives the reason in a sentence's words, or nothing where it does not hold. The gravest
stand first. `docs/measurement.md` has a paragraph for each.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from enginebench.results.figures import SAMPLES_FOR
from enginebench.results.point_report import Censored, Drift, Figure, PointReport, Strained
from enginebench.workflow import cross_check

ERROR_RATE_BOUND = 0.10
"""Above this share of failed requests a point does not say how fast the engine is, but that it fails."""
RESTART_TOLERANCE_SECONDS = 1.0
"""Two readings of one engine's process start differ by rounding only."""
UNSENT_BOUND = 0.01
"""Of the requests that were due may be unsent, or a single one, which is chance."""
LAG_MILLISECONDS, LAG_SHARE = 2.0, 0.10
"""Of a figure may be the load generator's own lag: the greater of the two."""
COALESCED_BOUND = 0.01
"""Of the gaps between events may have been lost to our own lag."""
THROTTLED_BOUND, STOLEN_BOUND = 0.001, 0.01
"""Of the window may the load generator have been kept from running, by its cgroup and by the hypervisor."""
BUSY_PERCENT = 70.0
"""Of a processor may a process of another load generator take: what waits for a loop that is busier waits for longer
than it takes, and every latency with it."""
WAIT_MILLISECONDS, WAIT_SHARE = 0.2, 0.002
"""Of the median TTFT may be the mean wait of its processes for a processor: the greater of the two. Between a request
and its first token they are woken some five times."""
CONCURRENCY_SHARE = 0.95
"""Of the users must be in flight, on the average: what is missing is time between an answer and the next request."""
PAUSE_MILLISECONDS, PAUSE_SHARE = 20.0, 0.2
"""Of the median TTFT may lie between an answer and the same user's next request, on the average: the greater of the two.
What holds up the one holds up the other; at rest it is some 10 ms."""
CLOCK_SECONDS, CLOCK_SHARE = 0.1, 0.01
"""May the clocks of the load pods be uncertain by: seconds, and share of the window."""
STATIONARY_FROM = 300
"""Finished requests: of fewer it is not judged whether a point was stationary."""
TOKEN_RATE_CHANGE, TTFT_CHANGE = 0.03, 0.10
"""May a point change by from its beginning to its end, relative to its mean."""
TOKEN_RATE_T, TTFT_T = 8.0, 5.041
"""The largest of seven cuts' t, and a single two-sided t, both of 8 degrees of freedom. Independent batches exceed
them by chance in 0.03 % and 0.1 % of the points; batches of a queue are a little alike, hence the stricter first."""
NEAR_TOKENS, NEAR_SHARE = 8, 0.01
"""A prompt so near the context fills it: there is no room for an answer either."""
TOKENS_PER_EVENT_BOUND = 1.05
"""Above this an event is no longer a token."""
NOT_IN_FORCE = "SettingsNotInForce"
"""Invalid, and no point's own: all that an engine with other settings served (`workflow.settings`)."""
OWN_TTFT_MILLISECONDS = {("guidellm", "0.2.1"): 6.0, ("guidellm", "0.8.1"): 2.0}
"""Of a load generator that nobody can correct, on an idle machine: measured at most 4.3 and 1.2 ms against a server of
known timing (tests/engines/guidellm/test_known_timing.py)."""
OWN_TTFT_SHARE = 0.01
"""Of a median TTFT may be the load generator's own."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is known of a point."""

    report: PointReport
    engine_ended_at: float | None = None
    """Unix seconds, if the engine's container ended."""
    gpu_sharing: str = ""
    """How others may use the engine's GPU, in words; empty: nothing says that they may."""
    context_length: int | None = None
    """Tokens of prompt and answer together that an Ollama keeps; it cuts off what is longer."""


Reason = Callable[[Case], str]


def _wrong_model(case: Case) -> str:
    wrong = case.report.evidence.wrong_models
    return f"answers came from model {', '.join(wrong)}" if wrong else ""


def _engine_restarted(case: Case) -> str:
    before, after = case.report.evidence.engine_start_before, case.report.evidence.engine_start_after
    restarted = before is not None and after is not None and after - before > RESTART_TOLERANCE_SECONDS
    ended = case.engine_ended_at is not None and case.engine_ended_at <= case.report.ended_at
    return "the engine's process ended or started anew during the point" if restarted or ended else ""


def _error_rate(case: Case) -> str:
    counts = case.report.requests
    finished = counts.succeeded + counts.errored
    if not finished or counts.errored / finished <= ERROR_RATE_BOUND:
        return ""
    most = max(case.report.evidence.errors.items(), key=lambda kv: kv[1], default=("no text", 0))[0]
    return f"{counts.errored} of {finished} finished requests failed, most with: {most}"


def _load_not_delivered(case: Case) -> str:
    delivery = case.report.evidence.delivery
    if delivery is None:
        return ""
    unsent = delivery.scheduled - delivery.sent
    if unsent <= max(1, UNSENT_BOUND * delivery.scheduled):
        return ""
    return f"{unsent} of {delivery.scheduled} requests that were due were not sent before the window closed"


def _load_generator_saturated(case: Case) -> str:
    evidence = case.report.evidence
    found = list(_figures_of_our_own(case.report))
    if (evidence.throttled or 0.0) > THROTTLED_BOUND:
        found.append(f"its CPU limit held it up for {evidence.throttled:.1%} of the window")
    if (evidence.stolen or 0.0) > STOLEN_BOUND:
        found.append(f"the hypervisor took {evidence.stolen:.1%} of its processors")
    if evidence.strained is not None:
        found += _strains(case.report, evidence.strained)
    if evidence.coalesced_by_lag > COALESCED_BOUND:
        found.append(f"it read {evidence.coalesced_by_lag:.1%} of the events together with the one before")
    return f"the load generator could not keep up: {', '.join(found)}" if found else ""


def _strains(report: PointReport, strained: Strained) -> Iterator[str]:
    """Of a load generator whose own lag nobody sees: what its processes took, and the load that it brought."""
    if strained.busiest_percent > BUSY_PERCENT:
        yield f"its busiest process took {strained.busiest_percent:.0f} % of a processor"
    used = report.evidence.client_cpu_percent
    if used is not None and used > BUSY_PERCENT * strained.cpus:
        yield f"its processes took {used / 100:.2g} of its {strained.cpus:.3g} processors"
    wait, ttft = strained.wait_milliseconds, _percentile(report.ttft, 50)
    if wait is not None and ttft is not None and wait > max(WAIT_MILLISECONDS, WAIT_SHARE * ttft):
        yield f"its processes waited {wait:.2g} ms for a processor each time, on the average"
    users = report.concurrency if report.request_rate is None else None
    if users is None:
        return
    if strained.concurrency < CONCURRENCY_SHARE * users:
        yield f"{strained.concurrency:.3g} requests were in flight on the average, not {users}"
        return
    pause = 1000 * (users - strained.concurrency) / report.requests_per_second if report.requests_per_second else 0.0
    if ttft is not None and pause > max(PAUSE_MILLISECONDS, PAUSE_SHARE * ttft):
        yield f"{pause:.0f} ms lay between an answer and the same user's next request, on the average"


def _figures_of_our_own(report: PointReport) -> Iterator[str]:
    """Figures of which more is our own lag than may be. A lag moves a TTFT by itself, an ITL by its share of one
    interval: the figure of a request with n tokens by at most 1 / (n - 1) of it."""
    intervals = max(1.0, (report.output_tokens_mean or 0.0) - 1)
    yield from _of_our_own(report, "TTFT", report.ttft, 1.0)
    yield from _of_our_own(report, "ITL", report.itl, intervals)


def _of_our_own(report: PointReport, name: str, figure: Figure, shares: float) -> Iterator[str]:
    """The lowest percentile of the figure of which our own lag at the same one, divided by `shares`, is too much."""
    lag = report.evidence.own_lag
    if lag is None:
        return
    for percent, samples in SAMPLES_FOR.items():
        own, value = _percentile(lag, percent), _percentile(figure, percent)
        if own is None or value is None or lag.count < samples:
            continue
        if own / shares > max(LAG_MILLISECONDS, LAG_SHARE * value):
            yield f"{own / shares:.3g} ms of its P{percent} {name} of {value:.3g} ms are its own lag"
            return


def _percentile(figure: Figure, percent: int) -> float | None:
    value: float | Censored | None = getattr(figure, f"p{percent}")
    return value.at_least if isinstance(value, Censored) else value


def _load_pod_lost(case: Case) -> str:
    lost = case.report.evidence.lost_shards
    return f"{lost} of the load generator's processes went away: their share of the load is missing" if lost else ""


def _clock_uncertain(case: Case) -> str:
    uncertain, seconds = case.report.evidence.clock_uncertainty, case.report.window_seconds
    if uncertain is None or uncertain <= min(CLOCK_SECONDS, CLOCK_SHARE * seconds):
        return ""
    return f"the clocks of the load pods are known to {1000 * uncertain:.3g} ms only, for a window of {seconds:.4g} s"


def _engine_not_idle(case: Case) -> str:
    busy_with = case.report.evidence.engine_busy_with
    return f"the engine was not idle when the point began: {busy_with}" if busy_with else ""


def _interrupted(case: Case) -> str:
    return "the point was closed before its time" if case.report.evidence.interrupted else ""


def _overloaded(case: Case) -> str:
    delivery = case.report.evidence.delivery
    if delivery is None or delivery.in_flight_growth is None:
        return ""
    growth = f"requests in flight grew by {delivery.in_flight_growth:.2g} a second"
    return f"{growth}: the engine cannot keep up, and its latencies depend on how long it is measured"


def _censored(case: Case) -> str:
    open_ = case.report.requests.incomplete
    return f"{open_} requests had not finished when the drain ended" if open_ else ""


def _too_few_samples(case: Case) -> str:
    finished = case.report.requests.succeeded
    short = [f"P{percent} ({samples})" for percent, samples in SAMPLES_FOR.items() if finished < samples]
    return f"{finished} finished requests are too few for {', '.join(short)}" if short else ""


def _not_stationary(case: Case) -> str:
    evidence = case.report.evidence
    if case.report.requests.succeeded < STATIONARY_FROM:
        return ""
    found = []
    if (rate := evidence.token_rate_drift) is not None and _drifts(rate, TOKEN_RATE_CHANGE, TOKEN_RATE_T):
        found.append(f"the token rate of the second half is {_signed(rate)} against the first")
    if (ttft := evidence.ttft_drift) is not None and _drifts(ttft, TTFT_CHANGE, TTFT_T):
        found.append(f"TTFT changed by {_signed(ttft)} over the window")
    return ", ".join(found)


def _drifts(drift: Drift, most: float, significant: float) -> bool:
    return abs(drift.change) > most and abs(drift.t) > significant


def _signed(drift: Drift) -> str:
    return f"{'+' if drift.change > 0 else '−'}{abs(drift.change):.0%}"  # noqa: RUF001  # a real minus, for people


def _gpu_shared(case: Case) -> str:
    if not case.gpu_sharing:
        return ""
    return f"others may use the engine's GPU at the same time ({case.gpu_sharing}), and nobody knows what they did"


def _cache_influenced(case: Case) -> str:
    share = case.report.evidence.prompts_repeated
    repeated = f"{share:.0%} of its prompts had been sent to this engine before (promptReuse asIs)" if share else ""
    return ", ".join(words for words in (repeated, cross_check.cached(case.report)) if words)


def _prompt_truncated(case: Case) -> str:
    report, context = case.report, case.context_length
    most, short = report.prompt_tokens_max, report.evidence.short_prompts
    found = []
    if context is not None and most is not None and most >= context - max(NEAR_TOKENS, NEAR_SHARE * context):
        found.append(f"the longest prompt has {most} tokens by the engine's count, and its context {context}")
    if short is not None:
        found.append(
            f"{short.requests} of {short.of} prompts have fewer tokens by the engine's count than by the data set "
            f"({short.counted} of {short.known})"
        )
    return f"prompts were cut off without a word: {', '.join(found)}" if found else ""


def _gpu_throttled(case: Case) -> str:
    state, found = case.report.gpu_state, []
    if state is None:
        return ""
    if state.thermal_throttling:
        found.append(f"in {state.thermal_throttling:.0%} of the samples")
    if state.thermal_violation_seconds:
        found.append(f"for {state.thermal_violation_seconds:.3g} s")
    if not found:
        return ""
    hottest = f", the hottest GPU at {state.temperature_max:.0f} °C" if state.temperature_max is not None else ""
    return f"the GPU's clocks were held down for heat {' and '.join(found)}{hottest}"


def _engine_disagrees(case: Case) -> str:
    return cross_check.disagreement(case.report)


def _engine_shared(case: Case) -> str:
    return cross_check.others(case.report)


def _generator_overhead(case: Case) -> str:
    report = case.report
    own, ttft = OWN_TTFT_MILLISECONDS.get((report.generator, report.generator_version)), _percentile(report.ttft, 50)
    if own is None or ttft is None or own <= OWN_TTFT_SHARE * ttft:
        return ""
    return (
        f"GuideLLM {report.generator_version} adds up to {own:g} ms of its own to each TTFT, also at rest, and half of "
        f"them are below {ttft:.3g} ms"
    )


def _lag_in_gaps(case: Case) -> str:
    """A gap ends with one event, whose lag it carries undivided: it feels one that ITL and a longer TTFT do not."""
    if _load_generator_saturated(case):
        return ""  # which says more
    found = next(_of_our_own(case.report, "gap between events", case.report.inter_event_gap, 1.0), "")
    return f"the load generator's lag is in the gaps: {found}; take ITL, which spreads it" if found else ""


def _multi_token_events(case: Case) -> str:
    per_event = case.report.evidence.tokens_per_event
    if per_event is None or per_event <= TOKENS_PER_EVENT_BOUND:
        return ""
    return f"an event carries {per_event:.3g} tokens: the gap between events is not that between tokens, ITL is"


INVALID: dict[str, Reason] = {
    "WrongModel": _wrong_model,
    "EngineRestarted": _engine_restarted,
    "ErrorRate": _error_rate,
    "LoadNotDelivered": _load_not_delivered,
    "LoadPodLost": _load_pod_lost,
    "ClockUncertain": _clock_uncertain,
    "LoadGeneratorSaturated": _load_generator_saturated,
}
"""The engine, the load or the instrument was not what it should have been."""

LIMITED: dict[str, Reason] = {
    "Interrupted": _interrupted,
    "EngineNotIdle": _engine_not_idle,
    "EngineShared": _engine_shared,
    "EngineDisagrees": _engine_disagrees,
    "GeneratorOverhead": _generator_overhead,
    "GPUThrottled": _gpu_throttled,
    "Overloaded": _overloaded,
    "Censored": _censored,
    "TooFewSamples": _too_few_samples,
    "NotStationary": _not_stationary,
    "PromptTruncated": _prompt_truncated,
    "CacheInfluenced": _cache_influenced,
    "GPUShared": _gpu_shared,
}
"""True, but imprecise or of a kind of its own."""

REMARKS: dict[str, Reason] = {"LagInGaps": _lag_in_gaps, "MultiTokenEvents": _multi_token_events}
"""To be known of a figure; the point is worth no less."""
