"""Where the next load point of a sweep goes: to where the curve of throughput over load bends.

The first point is the lowest load, the second one the highest. Each further one halves, on a logarithmic scale, the
interval in which most bend is left: its width times the changes of slope of log TPS over log load at its two ends. An
engine that keeps up has slope 1, and a saturated one 0: those are taken for granted beyond the two bounds. What is
placed depends on the results alone, so that a sweep that was broken off goes on as it would have.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import log, sqrt

from msgspec.structs import replace

from enginebench.api.loadplan import Measured, PointPlan, SweepPlan

LEAST_SHARE = 0.01
"""Of what the engine would give if it kept up with this load, or of its highest TPS: less counts as so much, so that
an engine which breaks down altogether bends the curve there, and not infinitely."""
UNLOADED, SATURATED = 1.0, 0.0
"""Slopes of log TPS over log load."""
RATE_DIGITS = 3


def placed(point: PointPlan, sweep: SweepPlan | None, measured: Sequence[Measured]) -> PointPlan:
    """The point with its load: as planned or, in a sweep, where what was measured so far puts it."""
    return at_load(point, sweep, next_load(sweep, measured)) if sweep is not None else point


def at_load(point: PointPlan, sweep: SweepPlan, load: float) -> PointPlan:
    """The point of a sweep under this load."""
    if sweep.of == "concurrency":
        return replace(point, concurrency=round(load))
    return replace(point, request_rate=load, arrival=sweep.arrival, max_concurrency=sweep.max_concurrency)


def next_load(sweep: SweepPlan, measured: Sequence[Measured]) -> float:
    """The load of the next point: users, or requests a second."""
    known = {one.load: one.output_tokens_per_second for one in measured}
    for bound in (sweep.lowest, sweep.highest):
        if bound not in known:
            return bound
    most, each = max(known.values()), max(tps / load for load, tps in known.items())
    least = {load: max(LEAST_SHARE * min(most, each * load), 1e-9) for load in known}
    curve = [(log(load), log(max(tps, least[load]))) for load, tps in sorted(known.items())]
    slopes = [UNLOADED, *((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in pairwise(curve)), SATURATED]
    bends = [abs(after - before) for before, after in pairwise(slopes)]
    loads = sorted(known)
    scored = [
        (log(high / low) * (bends[i] + bends[i + 1]), -i, middle)
        for i, (low, high) in enumerate(pairwise(loads))
        if low < (middle := _middle(sweep, low, high)) < high
    ]
    # Where nothing is left between, the highest load is measured once more.
    return max(scored)[2] if scored else sweep.highest


def _middle(sweep: SweepPlan, low: float, high: float) -> float:
    """On the logarithmic scale; users are whole, rates have three significant digits."""
    middle = sqrt(low * high)
    if sweep.of == "concurrency":
        return float(round(middle))
    return float(f"{middle:.{RATE_DIGITS}g}")
