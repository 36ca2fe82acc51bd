"""The outcome in one object: the best target at its peak, beside the others, in figures and in a sentence."""

from collections.abc import Sequence

from enginebench.api.generators import GUIDELLM
from enginebench.api.v1alpha1 import AtLeast, Peak, PointLoad, Summary, SummaryColumns, TargetStatus
from enginebench.results.loads import in_words

FigureValue = float | AtLeast | None
SIMULATED = "(SIMULATED)"
THREE_DIGITS = 100


def summarize(targets: Sequence[TargetStatus]) -> Summary | None:
    """The best target: highest peak output TPS; a simulated one only where no real one has a usable point, and one that
    another load generator has loaded only where EngineBench's own has loaded none. Only what one load generator has
    measured is held against each other; the rest is told beside it."""
    ranked = sorted(
        (t for t in targets if t.peak is not None),
        key=lambda t: (not t.simulated, not _generator(t), _tps(t.peak)),
        reverse=True,
    )
    if not ranked:
        return None
    best = ranked[0]
    peak = best.peak
    assert peak is not None  # ranked holds none without
    rivals = [t for t in ranked[1:] if bool(t.simulated) == bool(best.simulated)]
    return Summary(
        target=best.name,
        simulated=best.simulated,
        concurrency=peak.concurrency,
        request_rate=peak.request_rate,
        output_tokens_per_second=peak.output_tokens_per_second,
        requests_per_second=peak.requests_per_second,
        ttft_p99_milliseconds=peak.ttft_p99_milliseconds,
        itl_p99_milliseconds=peak.itl_p99_milliseconds,
        text=_text(best, rivals),
        columns=SummaryColumns(
            best=_shown(best),
            tps=_number(peak.output_tokens_per_second),
            rps=_number(peak.requests_per_second),
            ttft_p99=_milliseconds(peak.ttft_p99_milliseconds),
            itl_p99=_milliseconds(peak.itl_p99_milliseconds),
        ),
    )


def _text(best: TargetStatus, rivals: Sequence[TargetStatus]) -> str:
    sentences = [f"{_shown(best)} peaks at {_at_peak(best)}."]
    for rival in rivals:
        tps = _tps(rival.peak)
        compared = tps > 0 and _generator(rival) == _generator(best)
        ratio = f" {best.name} has {_tps(best.peak) / tps:.1f} times its output." if compared else ""
        sentences.append(f"{_shown(rival)} peaks at {_at_peak(rival)}.{ratio}")
    return " ".join(sentences)


def _at_peak(target: TargetStatus) -> str:
    peak = target.peak
    assert peak is not None  # only targets with a peak are told of
    load = ("with " if peak.request_rate is None else "at ") + in_words(peak.concurrency, peak.request_rate)
    return (
        f"{_number(peak.output_tokens_per_second)} output tokens/s{_of_repeats(target)} {load}, "
        f"P99 TTFT {_milliseconds(peak.ttft_p99_milliseconds)}, P99 ITL {_milliseconds(peak.itl_p99_milliseconds)}"
    )


def _of_repeats(target: TargetStatus) -> str:
    """How many repeats the peak's output TPS is the mean of, and how sure it is."""
    assert target.peak is not None
    loads = target.repeats.loads if target.repeats is not None else None
    at = next((one for one in loads or () if _same_load(one.load, target.peak)), None)
    if at is None:
        return ""
    of = f"mean of {at.count} {'repeat' if at.count == 1 else 'repeats'}"
    tps = at.output_tokens_per_second
    if tps is None or tps.low is None or tps.high is None:
        return f" ({of})"
    return f" ({of}, 95 % interval {_number(tps.low)} to {_number(tps.high)})"


def _same_load(load: PointLoad, peak: Peak) -> bool:
    return (load.concurrency, load.request_rate) == (peak.concurrency, peak.request_rate)


def _shown(target: TargetStatus) -> str:
    by = f" (by {_generator(target)})" if _generator(target) else ""
    return f"{target.name}{f' {SIMULATED}' if target.simulated else ''}{by}"


def _generator(target: TargetStatus) -> str:
    """The load generator with its version; empty: EngineBench's own."""
    said = target.load_generator
    return f"GuideLLM {said.version}" if said is not None and said.generator == GUIDELLM else ""


def _tps(peak: Peak | None) -> float:
    return (peak.output_tokens_per_second or 0.0) if peak is not None else 0.0


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= THREE_DIGITS else f"{value:.3g}"


def _milliseconds(value: FigureValue) -> str:
    if value is None:
        return "-"
    if isinstance(value, AtLeast):
        return f"≥ {_number(value.at_least)} ms"
    return f"{_number(value)} ms"
