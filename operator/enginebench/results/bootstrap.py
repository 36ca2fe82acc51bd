"""How far a point's figures spread within its own window: a moving-block bootstrap.

What follows upon each other in an engine depends on each other, so blocks of neighbours are drawn with replacement,
overlapping ones (H. R. Künsch: The Jackknife and the Bootstrap for General Stationary Observations, Annals of Statistics
17, 1989): of seconds for the token rate, of requests in the order of their starts for latencies. A block is as long as
two answers take, and at least the cube root of how many values there are (Hall, Horowitz, Jing: On Blocking Rules for the
Bootstrap with Dependent Data, Biometrika 82, 1995). An interval goes from the 2.5th to the 97.5th percentile of the
figure over the resamples. It holds for this start of the engine at this time: what another one would bring, only
repeats tell.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import cbrt, ceil

import msgspec

from enginebench.results import figures
from enginebench.results.figures import Tokens, Weighted
from enginebench.results.point_report import Span, WithinPoint
from enginebench.results.record import RequestRecord, Window
from enginebench.results.series import Second

Draw = Callable[[range, int], Sequence[int]]
"""So many of these places at random, with replacement."""
RESAMPLES = 400
LEAST_BLOCKS = 10
"""Of fewer blocks there are too few different resamples: no interval then."""
MOST_REQUESTS = 20_000
"""So that no more than a second or two goes into it; the intervals of more requests are narrow."""
ANSWERS = 2
"""So many answers' time is a block long: the users of a closed loop come round in it."""
PERCENTS = (50, 99)


def within_point(
    tracked: Sequence[RequestRecord], span: Sequence[Second], window: Window, counted: Tokens, draw: Draw
) -> WithinPoint | None:
    """The intervals of those figures that allow for one; None where none does.

    `span`: the window's seconds. Latencies have none where requests were censored: what is not known cannot be drawn.
    """
    answers = figures.request_latency(tracked)
    latencies = sorted(answers.observed)
    if not latencies:
        return None
    answer = latencies[len(latencies) // 2] / 1e9
    rates = [second.events * counted.per_event for second in span[: int(window.seconds)]]
    spans: dict[str, Span] = {}
    if rate := _drawn(draw, len(rates), ceil(ANSWERS * answer), lambda starts, block: _mean(rates, starts, block)):
        spans["output_tokens_per_second"] = rate[0]
    if len(tracked) <= MOST_REQUESTS and not answers.censored:
        began = sorted(tracked, key=lambda record: record.start)
        together = ceil(ANSWERS * answer * len(began) / window.seconds)
        ttft = [(value, 1) for record in began for value in figures.ttft([record]).observed]
        for name, values in (("ttft", ttft), ("itl", figures.itl(began, counted))):
            spans |= _percentiles(draw, name, values, together)
    if not spans:
        return None
    within = WithinPoint(resamples=RESAMPLES, block_seconds=_block(len(rates), ceil(ANSWERS * answer)))
    return msgspec.structs.replace(within, **spans)


def _percentiles(draw: Draw, name: str, values: Sequence[Weighted], block: int) -> dict[str, Span]:
    """Milliseconds, of those percentiles that there are enough values for."""
    percents = [percent for percent in PERCENTS if len(values) >= figures.SAMPLES_FOR[percent]]
    if not percents:
        return {}
    order = sorted(range(len(values)), key=lambda place: values[place][0])
    weights = [weight for _, weight in values]

    def figure(starts: Sequence[int], block: int) -> list[float]:
        times = _times(len(values), starts, block)
        reached = list(accumulate(times[place] * weights[place] for place in order))
        ranks = (ceil(reached[-1] * percent / 100) for percent in percents)
        return [values[order[bisect_left(reached, rank)]][0] / 1e6 for rank in ranks]

    found = _drawn(draw, len(values), block, figure)
    return {f"{name}_p{percent}": one for percent, one in zip(percents, found, strict=False)}


def _block(count: int, least: int) -> int:
    return max(1, least, ceil(cbrt(count)))


def _drawn(draw: Draw, count: int, least_block: int, figure: Callable[[Sequence[int], int], list[float]]) -> list[Span]:
    """The interval of each of the figures that `figure` makes of where the blocks begin and of their length; none
    where there are too few blocks."""
    block = _block(count, least_block)
    blocks = count // block
    if blocks < LEAST_BLOCKS:
        return []
    places = range(count - block + 1)
    resampled = [
        sorted(one) for one in zip(*(figure(draw(places, blocks), block) for _ in range(RESAMPLES)), strict=True)
    ]
    tail = RESAMPLES // 40
    return [Span(low=one[tail], high=one[-1 - tail]) for one in resampled]


def _mean(values: Sequence[float], starts: Sequence[int], block: int) -> list[float]:
    return [sum(sum(values[start : start + block]) for start in starts) / (len(starts) * block)]


def _times(count: int, starts: Sequence[int], block: int) -> list[int]:
    """How often each value was drawn."""
    change = [0] * (count + 1)
    for start in starts:
        change[start] += 1
        change[start + block] -= 1
    return list(accumulate(change[:count]))
