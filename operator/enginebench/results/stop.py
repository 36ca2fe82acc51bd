"""When a higher load would tell nothing new: too many errors, or saturation.

What is skipped follows from the figures of the points before it in the plan's order, whenever they were measured: a
point is skipped where *lower* loads of its own repeat have shown enough. The load pod and the operator ask the same
function about the same rounded figures, so that they agree without a word between them, also after a suspension.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from enginebench.api.loadplan import Measured, PointPlan, StopPlan

ERRORS, SATURATED = "StoppedErrorRate", "StoppedSaturated"
MOST_GAIN = 0.05
"""Of TPS from one level to the next: a level that brings less brings nothing."""
LEAST_RISE = 1.5
"""Of the median TTFT over two levels: more users only wait longer."""


def why_skipped(point: PointPlan, stop: StopPlan, measured: Iterable[Measured]) -> str:
    """StoppedErrorRate or StoppedSaturated; empty: the point is to be measured. Points of `measured` that come after
    it in the plan say nothing about it."""
    load = point.request_rate if point.request_rate is not None else float(point.concurrency or 0)
    lower = sorted(
        (one for one in measured if one.repeat == point.repeat and one.index < point.index and one.load < load),
        key=lambda one: one.index,
    )
    bound = stop.error_rate_percent
    if bound is not None and any(100 * one.error_share >= bound for one in lower):
        return ERRORS
    return SATURATED if stop.saturated and _was_saturated(lower) else ""


def _was_saturated(ordered: Sequence[Measured]) -> bool:
    """Once it was, it remains so: a point in between that comes later (repeats are shuffled) brings no load back."""
    return any(saturated(sorted(ordered[:n], key=lambda one: one.load)) for n in range(3, len(ordered) + 1))


def saturated(curve: Sequence[Measured]) -> bool:
    """Two successive levels each raised TPS by less than 5 %, a standard error of that gain added, while the median
    TTFT rose to 1.5 times or more over the two. `curve` is in the order of its loads."""
    return any(
        _flat(first, second) and _flat(second, third) and _rises(first, third)
        for (first, second), (_, third) in pairwise(pairwise(curve))
    )


def _flat(low: Measured, high: Measured) -> bool:
    if low.output_tokens_per_second <= 0:
        return False
    ratio = high.output_tokens_per_second / low.output_tokens_per_second
    noise = (low.tps_error / low.output_tokens_per_second) ** 2
    if high.output_tokens_per_second > 0:
        noise += (high.tps_error / high.output_tokens_per_second) ** 2
    return bool(ratio - 1 + ratio * noise**0.5 < MOST_GAIN)


def _rises(low: Measured, high: Measured) -> bool:
    return low.ttft_p50 is not None and high.ttft_p50 is not None and high.ttft_p50 >= LEAST_RISE * low.ttft_p50
