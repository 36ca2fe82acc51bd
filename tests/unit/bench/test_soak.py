"""What the soak calls a drift."""

import msgspec
import pytest

from bench.loadgen.rows import Reported, ideal
from bench.loadgen.soak import Minute, drifts, growth
from bench.reference import Quantiles, Truth

STREAMS = 256
FIGURE = Quantiles(count=1000, p50=50.0, p99=50.0)
TRUTH = Truth(
    started=9, finished=9, stopped_early=0, tokens=9, tokens_ever=9, stalled_writes=0, dropped_samples=0,
    first_arrival_unix=1.0, seconds=9.0, ttft=FIGURE, gap=FIGURE, itl=FIGURE, latency=FIGURE, lateness=FIGURE,
)  # fmt: skip
STEADY = Reported(
    tokens_per_second=ideal(STREAMS), ttft_p50=50.1, ttft_p99=51.5, itl_p50=50.0, itl_p99=50.1, gap_p50=50.0,
    gap_p99=52.0, requests=1000,
)  # fmt: skip


def minutes(count: int = 9) -> list[Minute]:
    return [Minute(30_000_000, STEADY, TRUTH) for _ in range(count)]


def change(found: list[Minute], memory: int = 30_000_000, **reported: float) -> list[Minute]:
    """The last third is different."""
    other = msgspec.structs.replace(STEADY, **reported)
    return [*found[:-3], *(Minute(memory, other, TRUTH) for _ in range(3))]


def test_a_steady_run() -> None:
    assert list(drifts(minutes(), STREAMS)) == []
    assert list(drifts(change(minutes(), memory=30_800_000, ttft_p99=52.3), STREAMS)) == []


@pytest.mark.parametrize(
    ("memory", "reported", "words"),
    [
        (31_000_000, {}, "memory grew from 30.0 MB in minutes 3 to 5 to 31.0 MB"),
        (30_000_000, {"ttft_p99": 52.6}, "ttft_p99 was +1.50 ms from the truth and became +2.60 ms"),
        (30_000_000, {"gap_p99": 50.5}, "gap_p99"),
        (30_000_000, {"tokens_per_second": 0.99 * ideal(STREAMS)}, "the token rate changed by -1.00 %"),
        (30_000_000, {"errors": 2}, "6 requests failed"),
    ],
)
def test_a_drift_is_told(memory: int, reported: dict[str, float], words: str) -> None:
    found = list(drifts(change(minutes(), memory, **reported), STREAMS))
    assert len(found) == 1
    assert found[0].startswith(words)


def test_what_one_point_may_keep() -> None:
    """1,000 requests in 10 minutes, of which 700 after the third."""
    flat = [30_000_000] * 10
    assert list(growth(flat, minutes(1))) == []
    assert list(growth([*flat[:-1], 30_000_000 + 700 * 600], minutes(1))) == ["600 bytes are kept of each request"]
    assert list(growth(flat[:2], minutes(1))) == ["the point was too short to tell"]
