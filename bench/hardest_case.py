"""The published experiment's hardest case, simulated: what a point says of a queue that never drains.

    PYTHONPATH=operator python -m bench.hardest_case [--seconds 300]

An engine with 4 slots and 41 tokens/s in all, 256 users, answers of 256 tokens, by the simulated engine and the load
generator on this machine, as the operator would start them. 300 s take 20 minutes: the drain lasts for twice the median
latency. Printed is the verdict with its reasons, and the figures beside what the latency model makes them. Exit code 1
if the point says more, or something else, than is so. `--seconds 30` is a try of some minutes: it shortens the warm-up,
too, and its percentiles have lower bounds.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bench import engine, machine
from bench.loadgen.ours import measured
from devcluster.errors import DevclusterError
from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.results.point_report import Censored, Figure, PointReport
from enginebench.workflow.verdicts import Verdict, judge_point

MODEL = "hardest-sim"
ROWS, PROMPT_TOKENS = 500, 64
RAMP_SECONDS, WARMUP_SECONDS = 10, 120
PERCENTILES = ("p50", "p90", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Case:
    """An engine all of whose slots are always busy, whose steps take equally long, and who asks it."""

    slots: int = 4
    tokens_per_second: float = 41.0
    """Of all slots together."""
    users: int = 256
    tokens: int = 256
    """Of an answer."""

    @property
    def step_seconds(self) -> float:
        return self.slots / self.tokens_per_second

    @property
    def answer_seconds(self) -> float:
        """From a request's turn to its end."""
        return self.tokens * self.step_seconds

    @property
    def ttft_seconds(self) -> float:
        """Of a request that begins when one has just ended: it waits behind all others."""
        return (self.users / self.slots - 1) * self.answer_seconds + self.step_seconds

    def options(self) -> list[str]:
        """Of the simulated engine."""
        model = {
            "slots": self.slots,
            "prefill-microseconds-per-token": 0,
            "decode-step-microseconds": round(1e6 * self.step_seconds),
            "decode-step-microseconds-per-sequence": 0,
        }
        return ["--api", "Ollama", "--model", MODEL, *(f"--{name}={value}" for name, value in model.items())]

    def plan(self, url: str, seconds: int) -> LoadPlan:
        """One point, with the operator's defaults where nothing is said."""
        return LoadPlan(
            run_uid="bench",
            target=MODEL,
            attempt=1,
            url=url,
            dialect="ollama",
            model=MODEL,
            slots=self.slots,
            simulated=True,
            dataset=DatasetPlan(
                synthetic=SyntheticRows(rows=ROWS, prompt_tokens=PROMPT_TOKENS, output_tokens=self.tokens)
            ),
            request=RequestPlan(api="Completions", max_output_tokens=self.tokens),
            points=(PointPlan(index=0, concurrency=self.users),),
            duration_seconds=seconds,
            ramp_seconds=RAMP_SECONDS,
            warmup_max_seconds=min(WARMUP_SECONDS, seconds),
        )


def untrue(point: PointReport, verdict: Verdict, case: Case) -> Iterator[str]:
    """What is not so, or flatters the engine, in words."""
    if verdict.validity != "Limited" or "Censored" not in verdict.reasons:
        yield f"the point is {verdict.validity}, by {', '.join(verdict.reasons) or 'no reason'}, not Limited by Censored"
    if abs(point.output_tokens_per_second / case.tokens_per_second - 1) > 0.01:  # noqa: PLR2004  # one percent
        yield f"{point.output_tokens_per_second:.2f} tokens/s are not the model's {case.tokens_per_second:.2f}"
    for name in PERCENTILES:
        value, true = getattr(point.ttft, name), 1000 * case.ttft_seconds
        if isinstance(value, Censored):
            if value.at_least > true:
                yield f"TTFT {name.upper()} is said to be {in_words(value)}, but is {true / 1000:.0f} s"
        elif value is not None and value < 0.99 * true:  # one percent, as above
            yield f"TTFT {name.upper()} is {true / 1000:.0f} s, not {in_words(value)}"


def in_words(value: float | Censored | None) -> str:
    """Seconds."""
    if value is None:
        return "-"
    return f"≥ {value.at_least / 1000:.0f} s" if isinstance(value, Censored) else f"{value / 1000:.1f} s"


def lines(point: PointReport, verdict: Verdict, case: Case) -> Iterator[str]:
    """The point as text."""
    rate, counts = point.output_tokens_per_second, point.requests
    yield f"{verdict.validity}: {', '.join(verdict.reasons)}"
    yield f"  {verdict.message}"
    off = 100 * (rate / case.tokens_per_second - 1)
    yield f"output tokens/s  {rate:.2f}; the model's {case.tokens_per_second:.2f} ({off:+.2f} %)"
    yield f"answers/s        {point.requests_per_second:.3f}; the model's {case.tokens_per_second / case.tokens:.3f}"
    begun = counts.succeeded + counts.errored + counts.incomplete
    yield f"begun in {point.window_seconds:.0f} s    {begun}, of which {counts.succeeded} answered when the drain ended"
    yield f"in all           {point.ended_at - point.started_at:.0f} s, with ramp, warm-up and drain"
    for name, figure in (("TTFT", point.ttft), ("latency", point.request_latency)):
        yield f"{name:15}  {percentiles(figure)}"
    yield f"the model's TTFT {case.ttft_seconds:.0f} s, of each request that begins in the window"


def percentiles(figure: Figure) -> str:
    return "  ".join(f"{name.upper()} {in_words(getattr(figure, name))}" for name in PERCENTILES)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seconds", type=int, default=300, help="of the window; 300")
    return made


def main() -> int:
    seconds, case = parser().parse_args().seconds, Case()
    print(machine.here_and_now())
    try:
        with engine.running(*case.options()) as simulated:
            point = measured(case.plan(simulated.url, seconds), say=lambda stage: print(stage, file=sys.stderr))
    except DevclusterError as error:
        print(error, file=sys.stderr)
        return 2
    verdict = judge_point(point)
    print("\n".join(lines(point, verdict, case)))
    found = list(untrue(point, verdict, case))
    print("\n".join(f"UNTRUE: {words}" for words in found) or "Nothing in it is untrue.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
