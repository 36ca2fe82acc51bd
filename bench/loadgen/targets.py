"""What EngineBench's own load generator must keep, on one core, and by how much it does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.loadgen.rows import Row, ideal
from enginebench.workflow.reasons import REMARKS

TOKENS_PER_SECOND = 40_000


@dataclass(frozen=True, slots=True)
class Check:
    what: str
    value: float
    bound: float
    unit: str

    @property
    def kept(self) -> bool:
        return self.value <= self.bound

    def __str__(self) -> str:
        """With the margin, in percent of the bound; below zero where it is missed."""
        verdict = "PASS" if self.kept else "MISS"
        margin = f", margin {100 * (1 - self.value / self.bound):.1f} %" if self.bound else ""
        return f"{verdict}  {self.what}: {self.value:.3g} {self.unit}, bound {self.bound:g} {self.unit}{margin}"


def checks(rows: Sequence[Row]) -> Iterator[Check]:
    """Of the rows of our own generator on one core."""
    for row in rows:
        if row.streams in {256, 512}:
            yield from _faithful(row)
            if row.load.cpu_per_1000_tokens is not None:
                what = f"CPU at {row.streams} streams"
                yield Check(what, row.load.cpu_per_1000_tokens, 0.015, "s per 1,000 tokens")
        if row.streams == 64:  # noqa: PLR2004  # the level of the bound
            yield Check("memory at 64 streams", row.load.memory_bytes / 1e6, 60, "MB")
    start_ups = [row.load.start_up_seconds for row in rows if row.load.start_up_seconds is not None]
    if start_ups:
        what = f"process start to first request, the slowest of {len(start_ups)}"
        yield Check(what, max(start_ups), 0.5, "s")


def _faithful(row: Row) -> Iterator[Check]:
    at, wanted = f"at {row.streams} streams", ideal(row.streams)
    said, truth = row.reported, row.truth
    if said is None or truth is None:
        yield Check(f"{at} no report ({row.problem})", 1, 0, "runs")
        return
    against = [reason for reason in said.reasons if reason not in REMARKS]
    held = f" ({', '.join(against)}: {said.why})" if against else ""
    yield Check(f"held against the point {at}{held}", len(against), 0, "reasons")
    bound = 3.0 if row.streams == 256 else 5.0  # noqa: PLR2004  # the level of the bound
    for name, value, true, most in (
        ("TTFT P99", said.ttft_p99, truth.ttft.p99, bound),
        ("ITL P99", said.itl_p99, truth.itl.p99, 2.0 if row.streams == 256 else bound),  # noqa: PLR2004  # the same
    ):
        yield Check(f"{name} {at}, from the truth", abs((value or 0.0) - true), most, "ms")
    share = 100 * abs((said.tokens_per_second or 0.0) / wanted - 1)
    most = 0.5 if row.streams == 256 else 2.0  # noqa: PLR2004  # the same
    yield Check(f"TPS {at}, from the ideal {wanted:.0f}", share, most, "%")
    if wanted >= TOKENS_PER_SECOND:
        lag = abs((said.ttft_p99 or 0.0) - truth.ttft.p99)
        yield Check(f"TTFT P99 at {said.tokens_per_second:.0f} tokens/s, from the truth", lag, 15.0, "ms")
