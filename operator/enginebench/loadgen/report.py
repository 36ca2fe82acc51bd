"""From what was seen of a point to the point's message, within its budget of bytes."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from random import Random

import msgspec

from enginebench import __version__
from enginebench.api.loadplan import PointPlan
from enginebench.loadgen.discretion import changed
from enginebench.results import engine_metrics, figures, gpu_state, messages, series
from enginebench.results.backlog import in_flight_growth
from enginebench.results.bootstrap import Draw, within_point
from enginebench.results.engine_metrics import Scraped
from enginebench.results.gpu_state import GpuSeries
from enginebench.results.grid import Grid
from enginebench.results.guidellm import guidellm_count
from enginebench.results.histogram import Histogram
from enginebench.results.lines import lines
from enginebench.results.point_report import Delivery, Evidence, GpuState, PointReport, RequestBody, RequestCounts
from enginebench.results.prompts import short_prompts
from enginebench.results.record import RequestRecord
from enginebench.results.seen import Seen
from enginebench.results.series import Second
from enginebench.results.stationarity import token_rate_drift, token_rate_error, ttft_drift

MOST_ERROR_TEXTS = 8
MOST_FINISH_REASONS = 8
MOST_CHARACTERS = 256
"""Of a model's name: what a server may say without bound is not to fill the report."""
SHORTER = (128, 64, 32, 16, 8)
"""Characters that are left of such a text, where the figures would else not fit."""
LAST_SEQ = 10**9 - 1
"""A message's number with the most digits: whichever it gets, the frames are no longer."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a point went, besides what its requests did. Unix seconds."""

    started_at: float
    ended_at: float
    interrupted: bool = False
    lost_shards: int = 0
    clock_uncertainty: float | None = None
    warmup_bound_reached: bool = False
    drain_bound_reached: bool = False
    engine_start_before: float | None = None
    engine_start_after: float | None = None
    engine_busy_with: str = ""
    prompts_repeated: float = 0.0
    request: RequestBody | None = None
    scraped: Scraped | None = None
    """What the engine told of itself; None: it was not asked."""
    gpus: Sequence[GpuSeries] | str | None = None
    """What was told of its GPUs, or why nothing was; None: nobody was asked."""
    opened_at: float = 0.0
    """The window's opening by the clock of the day."""
    carries: float | None = None
    """Tokens a second that the load pod receives faithfully, by its calibration."""


def point_report(
    point: PointPlan,
    seen: Seen,
    course: Course,
    *,
    most_bytes: int,
    besides: Callable[[PointReport], PointReport] = lambda report: report,
) -> PointReport:
    """The point as it is sent, with what `besides` has to add. Where it is too large, first its series grow coarse,
    then histograms are left out, and in the end what servers have said is cut short."""
    window, records, tracked = seen.window, seen.records.at_hand(), seen.records.tracked().at_hand()
    counted = figures.tokens(records)
    ttft = figures.ttft(tracked)
    output = figures.time_to_first_output_token(tracked)
    latency = figures.request_latency(tracked)
    scheduled = point.request_rate is not None
    sent = figures.from_send(tracked).at_hand() if scheduled else []
    sent_ttft, sent_latency = figures.ttft(sent), figures.request_latency(sent)
    itl, tpot = figures.itl(tracked, counted), figures.tpot(tracked, counted)
    outcomes = Counter(record.outcome for record in tracked)
    incomplete = outcomes["open"]
    distributions: dict[str, Histogram | Grid] = {
        "ttft": figures.histogram_of(ttft.observed),
        "ttftCensored": figures.histogram_of(ttft.censored),
        "ttftTpot": figures.ttft_against_tpot(tracked, counted),
        "timeToFirstOutputToken": figures.histogram_of(output.observed if output else []),
        "timeToFirstOutputTokenCensored": figures.histogram_of(output.censored if output else []),
        "requestLatency": figures.histogram_of(latency.observed),
        "requestLatencyCensored": figures.histogram_of(latency.censored),
        "ttftFromSend": figures.histogram_of(sent_ttft.observed),
        "requestLatencyFromSend": figures.histogram_of(sent_latency.observed),
        "sendLateness": figures.histogram_of(figures.lateness(tracked) if scheduled else []),
        "itl": figures.histogram_of(itl),
        "tpot": figures.histogram_of(tpot),
        "interEventGap": seen.gaps,
    }
    span = series.seconds(records, seen.ticks, window, counted)
    report = PointReport(
        index=point.index,
        repeat=point.repeat,
        concurrency=point.concurrency,
        throughput=point.throughput,
        request_rate=point.request_rate,
        started_at=course.started_at,
        opened_at=course.opened_at,
        ended_at=course.ended_at,
        window_seconds=window.seconds,
        requests=RequestCounts(succeeded=outcomes["succeeded"], errored=outcomes["errored"], incomplete=incomplete),
        requests_per_second=figures.requests_per_second(records, window),
        output_tokens_per_second=figures.output_tokens_per_second(records, window, counted),
        total_tokens_per_second=figures.total_tokens_per_second(records, window, counted),
        request=course.request,
        guidellm=guidellm_count(records, window, counted),
        ttft=figures.censored_figure(ttft),
        time_to_first_output_token=figures.censored_figure(output) if output else None,
        itl=figures.weighted_figure(itl, incomplete),
        tpot=figures.weighted_figure(tpot, incomplete),
        inter_event_gap=figures.histogram_figure(seen.gaps),
        request_latency=figures.censored_figure(latency),
        ttft_from_send=figures.censored_figure(sent_ttft) if scheduled else None,
        request_latency_from_send=figures.censored_figure(sent_latency) if scheduled else None,
        prompt_tokens_mean=figures.mean_of(r.prompt_tokens for r in tracked),
        prompt_tokens_max=max((r.prompt_tokens for r in tracked if r.prompt_tokens is not None), default=None),
        output_tokens_mean=figures.mean_of(counted.of(r) for r in tracked if r.outcome == "succeeded"),
        within_point=within_point(tracked, span, window, counted, _draw_for(point)),
        evidence=_evidence(point, seen, course, tracked, counted),
        engine_metrics=engine_metrics.summary(course.scraped, seen) if course.scraped is not None else None,
        generator_version=__version__,
    )
    report = _shortened(most_bytes, _with_gpu_summary(besides(report), course))
    report = _with_engine_series(most_bytes, _within(most_bytes, report, distributions, span), seen, course.scraped)
    return _with_gpu_series(most_bytes, report, course)


def _draw_for(point: PointPlan) -> Draw:
    """The same requests have the same intervals."""
    random = Random(point.index)  # noqa: S311  # nothing secret hangs on it

    def draw(places: range, count: int) -> Sequence[int]:
        return random.choices(places, k=count)

    return draw


def _delivery(seen: Seen, tracked: Sequence[RequestRecord]) -> Delivery:
    late = figures.lateness(tracked)
    return Delivery(
        scheduled=len(tracked),
        sent=sum(r.sent in seen.window or (not r.sent and r.outcome == "errored") for r in tracked),
        lateness=figures.weighted_figure([(value, 1) for value in late], 0),
        in_flight_growth=in_flight_growth(seen.records, seen.window),
    )


def _evidence(
    point: PointPlan, seen: Seen, course: Course, tracked: Sequence[RequestRecord], counted: figures.Tokens
) -> Evidence:
    strain = seen.strain
    errors = Counter(record.error for record in tracked if record.outcome == "errored")
    reasons = Counter(record.finish_reason for record in tracked if record.outcome == "succeeded")
    return Evidence(
        interrupted=course.interrupted,
        lost_shards=course.lost_shards,
        clock_uncertainty=course.clock_uncertainty,
        wrong_models=tuple(
            name[:MOST_CHARACTERS] for name, _ in Counter(seen.wrong_models).most_common(MOST_ERROR_TEXTS)
        ),
        engine_start_before=course.engine_start_before,
        engine_start_after=course.engine_start_after,
        engine_busy_with=course.engine_busy_with,
        warmup_bound_reached=course.warmup_bound_reached,
        drain_bound_reached=course.drain_bound_reached,
        replayed=seen.replayed,
        tokens_per_event=counted.per_event if counted.source == "usage" else None,
        token_source=counted.source,
        tokens_estimated=figures.tokens_estimated(seen.records, counted),
        delivery=_delivery(seen, tracked) if point.request_rate is not None else None,
        client_cpu_percent=100 * strain.cpu_seconds / strain.wall_seconds if strain.wall_seconds else None,
        own_lag=figures.histogram_figure(strain.lag) if strain.lag.samples else None,
        coalesced_by_lag=_coalesced_by_lag(seen),
        throttled=strain.throttled,
        stolen=strain.stolen,
        generator_limit_tokens_per_second=course.carries,
        token_rate_drift=token_rate_drift(seen),
        token_rate_error=token_rate_error(seen),
        ttft_drift=ttft_drift(tracked),
        errors=dict(errors.most_common(MOST_ERROR_TEXTS)),
        finish_reasons=dict(reasons.most_common(MOST_FINISH_REASONS)),
        prompts_repeated=course.prompts_repeated,
        short_prompts=short_prompts(tracked),
    )


def _coalesced_by_lag(seen: Seen) -> float:
    """The engine may send two events at once, too: what it does while we are punctual is not laid to our own lag."""
    gaps, late = seen.gaps, seen.strain
    punctual = gaps.samples - late.late_gaps
    usual = (gaps.zeros - late.late_coalesced) / punctual if punctual else 0.0
    return max(0.0, late.late_coalesced - usual * late.late_gaps) / gaps.samples if gaps.samples else 0.0


def _shortened(most_bytes: int, report: PointReport) -> PointReport:
    """Where the figures alone are too large: without the request's body, of which the digest stays, and then with the
    texts of others (errors, models, reasons) cut shorter and shorter."""
    if _wire_bytes(report) > most_bytes and report.request is not None:
        report = msgspec.structs.replace(report, request=msgspec.structs.replace(report.request, json=""))
    for most in SHORTER:
        if _wire_bytes(report) <= most_bytes:
            break
        cut = partial(changed, change=itemgetter(slice(most)))
        report = msgspec.structs.replace(
            report,
            evidence=cut(report.evidence),
            gpu_state=cut(report.gpu_state),
            requests_error=cut(report.requests_error),
        )
    return report


def _within(
    most_bytes: int, report: PointReport, distributions: dict[str, Histogram | Grid], span: list[Second]
) -> PointReport:
    """The report with as much of histograms and series as the budget takes; the figures themselves always go."""
    packed = {name: histogram.to_bytes() for name, histogram in distributions.items() if histogram.samples}
    report = msgspec.structs.replace(report, histograms=packed)
    while packed and _wire_bytes(report) > most_bytes:  # the report holds this very dict
        del packed[max(packed, key=lambda name: len(packed[name]))]
    per_event = report.evidence.tokens_per_event or 1.0
    data = series.fit(span, per_event, lambda s: _wire_bytes(msgspec.structs.replace(report, series=s)) <= most_bytes)
    return msgspec.structs.replace(report, series=data)


def _with_engine_series(most_bytes: int, report: PointReport, seen: Seen, scraped: Scraped | None) -> PointReport:
    """With as much of the scrapes as the budget still takes."""
    if scraped is None:
        return report
    data = engine_metrics.fit(
        scraped, seen, lambda s: _wire_bytes(msgspec.structs.replace(report, engine_series=s)) <= most_bytes
    )
    return msgspec.structs.replace(report, engine_series=data)


def _with_gpu_summary(report: PointReport, course: Course) -> PointReport:
    if course.gpus is None:
        return report
    state = GpuState(unobserved=course.gpus) if isinstance(course.gpus, str) else gpu_state.summary(course.gpus)
    return msgspec.structs.replace(report, gpu_state=state)


def _with_gpu_series(most_bytes: int, report: PointReport, course: Course) -> PointReport:
    if course.gpus is None or isinstance(course.gpus, str):
        return report
    begin, end = course.opened_at, course.opened_at + report.window_seconds
    data = gpu_state.fit(
        course.gpus, begin, end, lambda s: _wire_bytes(msgspec.structs.replace(report, gpu_series=s)) <= most_bytes
    )
    return msgspec.structs.replace(report, gpu_series=data)


def _wire_bytes(report: PointReport) -> int:
    return sum(map(len, lines(LAST_SEQ, messages.stream_of(report), messages.encode(report))))
