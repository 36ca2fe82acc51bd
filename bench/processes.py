"""What a further process of the load generator brings: tokens/s, its figures' truth, and processor time a token.

    PYTHONPATH=operator python -m bench.processes [--streams 256,512] [--processes 1,2] [--seconds 10]

Against the reference server of known timing, one after another on this machine. The server has its core before all
others; the load generator has all cores. Processor time a token says what dealing out costs, whatever else the machine
does; what several processes reach beyond one, only a machine with cores to spare can show. Held against one process is
each row of several that has as many streams a process. Exit code 1 if a token costs too much more, or if there is
nothing to hold against each other.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping

from bench import machine, reference
from bench.loadgen.ours import measured, plan
from bench.loadgen.rows import ideal
from bench.loadgen.targets import Check
from devcluster.errors import DevclusterError
from enginebench.results.point_report import Censored, PointReport
from enginebench.workflow.verdicts import judge_point

HEAD = "streams  processes  tokens/s   of the ideal  TTFT P99, ms (truth)  ITL P99, ms (truth)  CPU s/1k tokens  cores  validity"
DEARER = 1.2
"""So many times what a token costs one process it may cost each of several with as many streams."""
LOST_PERCENT = 2.0
"""Of the ideal: who takes less is spared a part of the work."""
Costs = Mapping[tuple[int, int], tuple[float, float]]
"""(streams, processes) → tokens/s, and seconds of processor time per 1,000 tokens."""


def cost(point: PointReport) -> tuple[float, float]:
    """Tokens/s, and seconds of processor time per 1,000 tokens."""
    rate = point.output_tokens_per_second
    return rate, 10 * (point.evidence.client_cpu_percent or 0.0) / rate


def linear(costs: Costs) -> Iterator[Check]:
    """What each further process costs: rows of several processes against those of one with as many streams each."""
    for (streams, processes), (rate, several) in costs.items():
        single = costs.get((streams // processes, 1))
        if processes == 1 or single is None or streams % processes:
            continue
        what = f"{streams} streams in {processes} processes"
        yield Check(f"TPS, {what}, below the ideal", 100 * (1 - rate / ideal(streams)), LOST_PERCENT, "%")
        words = f"{several:.4f} s per 1,000 tokens against {single[1]:.4f} s of {streams // processes} in one"
        yield Check(f"CPU a token, {what}: {words}", several / single[1], DEARER, "times")


def number(value: float | Censored | None) -> float:
    return value.at_least if isinstance(value, Censored) else value or 0.0


def row(point: PointReport, processes: int, truth: reference.Truth) -> str:
    """One line of the table."""
    rate, seconds = cost(point)
    verdict = judge_point(point)
    return (
        f"{point.concurrency:>7}  {processes:>9}  {rate:>8.0f}  {100 * rate / ideal(point.concurrency or 0):>11.1f} %"
        f"  {number(point.ttft.p99):>11.2f} ({truth.ttft.p99:.2f})  {number(point.itl.p99):>10.2f} ({truth.itl.p99:.2f})"
        f"  {seconds:>15.4f}  {seconds * rate / 1000:>5.2f}"
        f"  {' '.join((verdict.validity, *verdict.reasons))}"
    )


def main() -> int:
    def numbers(text: str) -> list[int]:
        return [int(word) for word in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=numbers, default=[256, 512])
    parser.add_argument("--processes", type=numbers, default=[1, 2])
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    print(f"{machine.here_and_now()}\n{HEAD}")
    costs = {}
    try:
        program = reference.build()
        for streams in arguments.streams:
            for processes in arguments.processes:
                with reference.running(program, prefix=machine.server_prefix()) as server:
                    what = plan(server.url, reference.MODEL, [streams], arguments.seconds, processes)
                    point = measured(what, machine.cores())
                    print(row(point, processes, server.truth()), flush=True)
                if point.requests.errored:
                    raise DevclusterError(f"{point.requests.errored} requests failed: {point.evidence.errors}")
                costs[streams, processes] = cost(point)
    except DevclusterError as error:
        print(error, file=sys.stderr)
        return 2
    found = list(linear(costs))
    print(
        "\n".join(map(str, found)) or "Nothing to hold against each other: no row of one has as many streams a process."
    )
    return 0 if found and all(check.kept for check in found) else 1


if __name__ == "__main__":
    sys.exit(main())
