"""Whether requests pile up: the mark of an open loop that asks for more than the engine can give."""

from collections.abc import Iterable

from enginebench.results.record import RequestRecord, Window

BATCHES = 10
SIGNIFICANT_T = 4.501
"""Student's t with BATCHES - 2 degrees of freedom: chance exceeds it once in a thousand times."""
MATERIAL_SHARE = 0.10
"""Of the mean: less is the engine's drift, not a backlog."""


def in_flight_growth(records: Iterable[RequestRecord], window: Window) -> float | None:
    """By how many requests in flight (waiting ones among them) a second the window went on growing; None: it did not.

    The slope of a least-squares line through the means of ten batches of the window, where it is significant (one-sided
    t-test at 0.1 %) and comes to one request and a tenth of the mean over the window.
    """
    means = mean_in_flight(records, window, BATCHES)
    middle, mean = (BATCHES - 1) / 2, sum(means) / BATCHES
    spread = sum((i - middle) ** 2 for i in range(BATCHES))
    slope = sum((i - middle) * value for i, value in enumerate(means)) / spread
    residue = sum((value - mean - slope * (i - middle)) ** 2 for i, value in enumerate(means))
    error: float = (residue / (BATCHES - 2) / spread) ** 0.5
    if slope * BATCHES < max(1.0, MATERIAL_SHARE * mean) or slope <= SIGNIFICANT_T * error:
        return None
    return slope * BATCHES / window.seconds


def mean_in_flight(records: Iterable[RequestRecord], window: Window, batches: int) -> list[float]:
    """Requests in flight on average in each of so many equal parts of the window."""
    length = (window.close - window.open) / batches
    busy = [0.0] * batches
    for record in records:
        begin = max(0.0, record.start - window.open)
        end = min(window.close, record.end if record.outcome != "open" else window.close) - window.open
        if begin < end:
            for batch in range(min(int(begin / length), batches - 1), batches):
                until = min(end, (batch + 1) * length)
                busy[batch] += max(0.0, until - begin)
                begin = max(begin, until)
    return [time / length for time in busy]
