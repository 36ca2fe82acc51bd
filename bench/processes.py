"""What a further process of the load generator brings: tokens/s, its figures' truth, and processor time a token.

    PYTHONPATH=operator python -m bench.processes [--streams 256,512,1024] [--processes 1,2] [--seconds 10]

Against the reference server of known timing, one after another on this machine. The server has its core before all
others; the load generator has all cores. Processor time a token says what dealing out costs, whatever else the machine
does; what several processes reach beyond one, only a machine with cores to spare can show. A bench, not a test.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from bench import machine, reference
from bench.loadgen.ours import environment, plan
from bench.loadgen.rows import ideal
from enginebench.api import loadplan
from enginebench.results.frames import Decoder
from enginebench.results.messages import End, Failure
from enginebench.results.point_report import Censored, PointReport

HEAD = "streams  processes  tokens/s   of the ideal  TTFT P99, ms (truth)  ITL P99, ms (truth)  CPU s/1k tokens  cores"


def measured(url: str, streams: int, processes: int, seconds: int) -> PointReport:
    """One point by a load generator of so many processes."""
    what = msgspec.structs.replace(plan(url, reference.MODEL, [streams], seconds), processes=processes)
    with tempfile.TemporaryDirectory() as folder:
        file, decoder, found = Path(folder) / "plan.json", Decoder(), None
        file.write_bytes(loadplan.encode(what))
        command = [*machine.client_prefix(machine.cores()), sys.executable, "-m", "enginebench", "loadgen"]
        with subprocess.Popen(
            [*command, "--plan", str(file)], stdout=subprocess.PIPE, env=environment(), start_new_session=True
        ) as process:
            machine.favour(process.pid)
            assert process.stdout is not None
            for line in process.stdout:
                spoken = decoder.feed(line)
                match spoken.message if spoken else None:
                    case PointReport() as point:
                        found = point
                    case Failure() as failure:
                        sys.exit(failure.message)
                    case End():
                        process.terminate()
    if found is None or found.requests.errored:
        sys.exit(f"no point without errors: {found}")
    return found


def number(value: float | Censored | None) -> float:
    return value.at_least if isinstance(value, Censored) else value or 0.0


def row(point: PointReport, processes: int, truth: reference.Truth) -> str:
    """One line of the table."""
    cpu = (point.evidence.client_cpu_percent or 0.0) / 100
    return (
        f"{point.concurrency:>7}  {processes:>9}  {point.output_tokens_per_second:>8.0f}"
        f"  {100 * point.output_tokens_per_second / ideal(point.concurrency or 0):>11.1f} %"
        f"  {number(point.ttft.p99):>11.2f} ({truth.ttft.p99:.2f})  {number(point.itl.p99):>10.2f} ({truth.itl.p99:.2f})"
        f"  {1000 * cpu / point.output_tokens_per_second:>15.4f}  {cpu:>5.2f}"
    )


def main() -> None:
    def numbers(text: str) -> list[int]:
        return [int(word) for word in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=numbers, default=[256, 512, 1024])
    parser.add_argument("--processes", type=numbers, default=[1, 2])
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    print(machine.name())
    print(HEAD)
    program = reference.build()
    for streams in arguments.streams:
        for processes in arguments.processes:
            with reference.running(program, prefix=machine.server_prefix()) as server:
                point = measured(server.url, streams, processes, arguments.seconds)
                print(row(point, processes, server.truth()), flush=True)


if __name__ == "__main__":
    main()
