"""Our figures against the engine's own metrics of the same events: where two clocks disagree, one of them is wrong."""

from enginebench.results.point_report import EngineMetrics, PointReport

SHARE = 0.05
"""Of the engine's mean may ours be off."""
HTTP_MILLISECONDS = 5.0
"""Of a TTFT the engine never sees: reading the request's HTTP, writing the first event, the network."""
FLOOR_MILLISECONDS = 0.5
"""Of anything else: of the ITL, and of a TTFT that is shorter here than there."""
SAME_EVENTS = 0.02
"""The counts may differ by this share, or by one event, as some fall between the engine's scrape and its answer."""
LEAST_TTFTS, LEAST_GAPS = 30, 100
OTHERS = 0.05
"""Above this share of first tokens that are not ours, and above what is in flight, somebody else is there."""
HIT_RATE_BOUND = 0.20
"""Of the prompt tokens may come from the prefix cache: a chat template begins all prompts alike."""


def disagreement(report: PointReport) -> str:
    """Means of TTFT and ITL that are too far from the engine's own, in words; empty where they agree, and where they
    cannot be compared: too few events, or not the same ones."""
    metrics = report.engine_metrics
    if metrics is None or not _same_events(metrics):
        return ""
    return ", ".join(words for words in (_ttft(metrics), _itl(metrics, report.evidence.tokens_per_event)) if words)


def others(report: PointReport) -> str:
    """More first tokens than ours, in words."""
    metrics = report.engine_metrics
    if metrics is None or metrics.ttft_count is None or metrics.own_ttft_count is None:
        return ""
    theirs, ours = metrics.ttft_count, metrics.own_ttft_count
    in_flight = (metrics.running_max or 0) + (metrics.waiting_max or 0)
    if theirs - ours <= max(OTHERS * theirs, in_flight, 2):
        return ""
    return f"the engine sent {theirs} first tokens while {ours} came here: somebody else uses it"


def cached(report: PointReport) -> str:
    """A prefix cache that answered for much of the prompts, in words."""
    metrics = report.engine_metrics
    if metrics is None or (metrics.prefix_cache_hit_rate or 0.0) <= HIT_RATE_BOUND:
        return ""
    return f"the engine found {metrics.prefix_cache_hit_rate:.0%} of the prompt tokens in its prefix cache"


def _same_events(metrics: EngineMetrics) -> bool:
    theirs, ours = metrics.ttft_count, metrics.own_ttft_count
    return theirs is not None and ours is not None and abs(theirs - ours) <= max(1.0, SAME_EVENTS * ours)


def _ttft(metrics: EngineMetrics) -> str:
    theirs, ours = metrics.ttft_mean, metrics.own_ttft_mean
    if theirs is None or ours is None or (metrics.own_ttft_count or 0) < LEAST_TTFTS:
        return ""
    floor = HTTP_MILLISECONDS if ours > theirs else FLOOR_MILLISECONDS
    if abs(ours - theirs) <= max(SHARE * theirs, floor):
        return ""
    return f"the mean TTFT is {ours:.4g} ms here and {theirs:.4g} ms by the engine's own metrics"


def _itl(metrics: EngineMetrics, tokens_per_event: float | None) -> str:
    """The engine counts a gap for each of its outputs, which is a token, or several that it guessed at once; we count
    one for each event, into which its frontend may have put several outputs, or none: an end of sequence has no text.
    So ours lies between the mean gap of events and that gap divided by the tokens of an event, which the two counts
    tell, too."""
    theirs, gap = metrics.itl_mean, metrics.own_gap_mean
    if theirs is None or gap is None or (metrics.own_gap_count or 0) < LEAST_GAPS:
        return ""
    outputs = (metrics.itl_count or 0) / (metrics.own_gap_count or 1)
    least = gap / max(1.0, tokens_per_event or 1.0, outputs)
    off = theirs - gap if theirs > gap else least - theirs
    if off <= max(SHARE * theirs, FLOOR_MILLISECONDS):
        return ""
    return (
        f"the mean ITL is {gap if theirs > gap else least:.4g} ms here and {theirs:.4g} ms by the engine's own metrics"
    )
