"""What a simulated engine counts, and how Prometheus is told."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from enginebench.simulator.answer import Answer

_NANO = 1e9

LATENESS_BOUNDS = tuple(round(10 ** (exponent / 10), 1 - exponent // 10) for exponent in range(-50, 11))
"""Ten buckets a decade from 10 µs to 10 s: quantiles read from them are good to 26 %."""

# vLLM's own bounds (vllm/v1/metrics/loggers.py), seconds.
TTFT_BOUNDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
    160.0, 640.0, 2560.0,
)  # fmt: skip
ITL_BOUNDS = (
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0,
)  # fmt: skip
E2E_BOUNDS = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0,
    1920.0, 7680.0,
)  # fmt: skip


class Histogram:
    """Counts of nanosecond values in buckets with bounds in seconds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self._nanoseconds = [round(bound * _NANO) for bound in bounds]
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0
        self.maximum = 0

    def add(self, value: int, times: int = 1) -> None:
        """Count `value` nanoseconds, `times` times."""
        self.counts[bisect_left(self._nanoseconds, value)] += times
        self.total += value * times
        self.maximum = max(self.maximum, value)

    def lines(self, name: str, labels: str = "") -> Iterable[str]:
        """The histogram in Prometheus' text format; `labels` are the inner part of the braces."""
        yield f"# TYPE {name} histogram"
        inner = labels + "," if labels else ""
        cumulated = 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            cumulated += count
            yield f'{name}_bucket{{{inner}le="{bound}"}} {cumulated}'
        outer = f"{{{labels}}}" if labels else ""
        yield f"{name}_sum{outer} {self.total / _NANO!r}"
        yield f"{name}_count{outer} {cumulated}"


class Counters:
    """Since the start of the process."""

    def __init__(self) -> None:
        self.prompt_tokens = 0
        self.cached_tokens = 0
        """Of the prompts, found in the prefix cache."""
        self.generation_tokens = 0
        self.finished = {"stop": 0, "length": 0}
        self.ttft = Histogram(TTFT_BOUNDS)
        self.itl = Histogram(ITL_BOUNDS)
        self.e2e = Histogram(E2E_BOUNDS)
        self.queue_time = Histogram(E2E_BOUNDS)
        self.lateness = Histogram(LATENESS_BOUNDS)

    def step(self, batch: list[Answer], finished: list[Answer], lateness: list[int], began: int, due: int) -> None:
        """A step has ended: each of `batch` got a token, which left `lateness` nanoseconds after it was due."""
        for late in lateness:
            self.lateness.add(late)
        first = 0
        for answer in batch:
            if answer.produced == 1:
                first += 1
                self.prompt_tokens += answer.prompt_tokens
                self.cached_tokens += answer.cached_tokens
                self.ttft.add(due - answer.arrived_at)
                self.queue_time.add(answer.admitted_at - answer.arrived_at)
        self.generation_tokens += len(batch)
        if len(batch) > first:
            self.itl.add(due - began, len(batch) - first)
        for answer in finished:
            self.finished[answer.finish] += 1
            self.e2e.add(due - answer.arrived_at)

    def lateness_lines(self) -> Iterable[str]:
        """How honest the simulator is: when an event left, after it was due by the latency model."""
        name = "enginebench_simulator_lateness_seconds"
        yield f"# HELP {name} SIMULATED engine: how long after its due time an event was written."
        yield from self.lateness.lines(name)
        yield f"# TYPE {name}_max gauge"
        yield f"{name}_max {self.lateness.maximum / _NANO!r}"
