"""What the load generator costs, and what it adds to what it measures.

    PYTHONPATH=operator python bench/loadgen.py [--streams 64,256] [--tokens 128] [--seconds 10] [--route Completions]

Starts `python -m enginebench simulate` with a step of 10 ms whatever the batch, and `python -m enginebench loadgen`
with one point for each number of streams. Printed are start-up, CPU, memory, and the client's figures beside the
simulated engine's own lateness. On a machine that has other work, look at ratios; as root, `chrt -r 5` in front keeps
the others out. A bench, not a test: it prints, a reader judges.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from enginebench.api import loadplan
from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.results.frames import Decoder
from enginebench.results.messages import Censored, End, EngineReport, Failure, Figure, PointReport

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
MODEL = "bench"
STEP_SECONDS = 0.01
PROMPT_TOKENS = 16
STARTS = 5

Buckets = list[tuple[float, int]]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "enginebench", *arguments]


@contextmanager
def engine(route: str, slots: int) -> Iterator[str]:
    """URL of a simulated engine."""
    arguments = command(
        *("simulate", "--api", "Ollama" if route.startswith("Ollama") else "vLLM", "--model", MODEL, "--port", "0"),
        *("--slots", str(slots), "--prefill-microseconds-per-token", "0"),
        *("--decode-step-microseconds", str(round(STEP_SECONDS * 1e6)), "--decode-step-microseconds-per-sequence", "0"),
    )
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(arguments, stderr=log, env=ENVIRONMENT) as process,
    ):
        try:
            while not (found := re.search(r"port (\d+)", (log.seek(0), log.read())[1])):
                if process.poll() is not None:
                    sys.exit("the simulated engine did not start")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            process.terminate()


def plan(url: str, arguments: argparse.Namespace) -> LoadPlan:
    """One point for each number of streams."""
    tokens = arguments.tokens
    return LoadPlan(
        run_uid="bench",
        target="bench",
        attempt=1,
        url=url,
        dialect="ollama" if arguments.route.startswith("Ollama") else "vllm",
        model=MODEL,
        dataset=DatasetPlan(synthetic=SyntheticRows(rows=500, prompt_tokens=PROMPT_TOKENS, output_tokens=tokens)),
        request=RequestPlan(api=arguments.route, max_output_tokens=tokens),
        points=tuple(PointPlan(index=n, concurrency=streams) for n, streams in enumerate(arguments.streams)),
        duration_seconds=arguments.seconds,
        ramp_seconds=2,
    )


def lateness(url: str) -> Buckets:
    """The engine's own: (upper bound in seconds, cumulated count)."""
    with urllib.request.urlopen(f"{url}/metrics") as response:  # noqa: S310  # our own server on this machine
        text = response.read().decode()
    found = re.findall(r'enginebench_simulator_lateness_seconds_bucket\{le="([^"]+)"\} (\d+)', text)
    return [(float(bound), int(count)) for bound, count in found]


def bucket_quantile(before: Buckets, after: Buckets, percent: int) -> float:
    """Upper bound, in milliseconds, of the bucket with the quantile of what came between two looks."""
    counts = [(bound, late - early) for (bound, late), (_, early) in zip(after, before, strict=True)]
    return 1000 * next(bound for bound, count in counts if 100 * count >= percent * counts[-1][1])


def memory(pid: int) -> str:
    """Of a process: most resident so far, and its share of what is resident now."""
    peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    share = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert peak is not None
    assert share is not None
    return f"{int(peak[1]) / 1024:.0f} MiB at most, {int(share[1]) / 1024:.0f} MiB PSS now"


def start_up(folder: Path, arguments: argparse.Namespace) -> list[float]:
    """Seconds from the start of the process to its first word to the engine, several times, sorted."""
    seconds = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        file = folder / "start.json"
        file.write_bytes(loadplan.encode(plan(f"http://127.0.0.1:{listening.getsockname()[1]}", arguments)))
        for _ in range(STARTS):
            began = time.perf_counter()
            with subprocess.Popen(
                command("loadgen", "--plan", str(file)), stdout=subprocess.DEVNULL, env=ENVIRONMENT
            ) as process:
                connection, _ = listening.accept()
                seconds.append(time.perf_counter() - began)
                connection.close()
                process.kill()
    return sorted(seconds)


def number(value: float | Censored | None) -> str:
    if value is None:
        return "-"
    return f"> {value.at_least:.2f}" if isinstance(value, Censored) else f"{value:.2f}"


def row(name: str, figure: Figure) -> str:
    mean = f"{figure.mean:.3f}" if figure.mean is not None else "-"
    return (
        f"  {name:<22} p50 {number(figure.p50)}  p90 {number(figure.p90)}  p99 {number(figure.p99)}  mean {mean}"
        f"  ({figure.count})"
    )


def show(point: PointReport, tokens: int, pid: int, before: Buckets, after: Buckets) -> None:
    booked = point.output_tokens_per_second * point.window_seconds
    cpu = (point.evidence.client_cpu_percent or 0) / 100 * point.window_seconds
    # A user whose answer ended at the end of a step asks at once, and joins the step after the one that has begun.
    ideal = point.concurrency * tokens / ((tokens + 1) * STEP_SECONDS)
    share = point.output_tokens_per_second / ideal
    print(f"\n{point.concurrency} streams, {point.requests}")
    print(f"  tokens/s {point.output_tokens_per_second:.0f} of {ideal:.0f} by the engine's model ({100 * share:.2f} %)")
    print(f"  CPU {1000 * cpu / booked:.4f} s per 1,000 tokens, {point.evidence.client_cpu_percent:.0f} % of a core")
    print(f"  memory {memory(pid)}")
    late = [f"{bucket_quantile(before, after, percent):.2f}" for percent in (50, 90, 99)]
    print(f"  engine's lateness, ms  p50 {late[0]}  p90 {late[1]}  p99 {late[2]}")
    print(f"  own loop's lag, ms     p99 {number(point.evidence.loop_lag_p99)}")
    for name, figure in (
        ("TTFT, ms", point.ttft),
        ("inter-event gap, ms", point.inter_event_gap),
        ("ITL, ms", point.itl),
    ):
        print(row(name, figure))
    if point.evidence.errors:
        print(f"  errors {point.evidence.errors}")


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    with engine(arguments.route, max(arguments.streams)) as url:
        file, decoder, before = folder / "plan.json", Decoder(), lateness(url)
        file.write_bytes(loadplan.encode(plan(url, arguments)))
        with subprocess.Popen(
            command("loadgen", "--plan", str(file)), stdout=subprocess.PIPE, env=ENVIRONMENT
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                spoken = decoder.feed(line)
                match spoken.message if spoken else None:
                    case EngineReport():
                        print(f"{arguments.route}, {arguments.tokens} tokens, {1000 * STEP_SECONDS:.0f} ms a token")
                    case PointReport() as point:
                        after = lateness(url)
                        show(point, arguments.tokens, process.pid, before, after)
                        before = after
                    case Failure() as failure:
                        print(failure.message)
                    case End():
                        process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=lambda text: [int(n) for n in text.split(",")], default=[64, 256])
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--seconds", type=int, default=10)
    routes = ("ChatCompletions", "Completions", "OllamaChat", "OllamaGenerate")
    parser.add_argument("--route", choices=routes, default="Completions")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = start_up(Path(folder), arguments)
        print(f"start-up to the first request: {seconds[0]:.2f} s at best, {seconds[STARTS // 2]:.2f} s in the median")
        measure(Path(folder), arguments)


if __name__ == "__main__":
    main()
