"""What TLS costs the load generator, and whether it changes what is measured.

    python -m bench.tls [--streams 64,256] [--rounds 3] [--seconds 10]

The same simulated engine (a step of 10 ms, one event a token, 128 tokens), plain and over TLS in turn, each on a core
of its own: what differs is TLS, on both sides of the wire. Beside each figure of the client stands the engine's own
lateness, since a simulated engine that encrypts is later, too. A bench, not a test: it prints, a reader judges.
"""

import argparse
import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from bench import machine
from enginebench.api import loadplan
from enginebench.api.loadplan import (
    AccessPlan,
    DatasetPlan,
    LoadPlan,
    PointPlan,
    RequestPlan,
    SyntheticRows,
)
from enginebench.results.frames import Decoder
from enginebench.results.messages import End, Failure
from enginebench.results.point_report import Censored, PointReport

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "operator"), loadplan.TOKEN_VARIABLE: "sk-bench"}
MODEL, TOKENS, STEP_SECONDS = "bench", 128, 0.01
FIGURES = ("TPS, % of ideal", "TTFT P50", "TTFT P99", "ITL P50", "ITL P99", "gap P99", "CPU-s/1k", "MiB", "late P99")

Buckets = list[tuple[float, int]]


@dataclass(frozen=True)
class Site:
    """One way of serving: plain, or over TLS with this certificate."""

    name: str
    arguments: tuple[str, ...]
    access: AccessPlan


def sites(folder: Path) -> tuple[Site, Site]:
    """Both; the certificate is made on the spot."""
    authority = trustme.CA()
    ca, certificate = folder / "ca.crt", folder / "tls.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    access = AccessPlan(ca_file=str(ca), ca_from="the bench", token_from="the bench")  # noqa: S106  # where, not what
    tls = ("--ssl-certfile", str(certificate), "--api-key", "sk-bench")
    return Site("plain", (), AccessPlan()), Site("TLS", tls, access)


@contextmanager
def engine(site: Site, slots: int) -> Iterator[str]:
    """URL of a simulated engine on its core."""
    arguments = [
        *machine.server_prefix(),
        *(sys.executable, "-m", "enginebench", "simulate", "--model", MODEL, "--port", "0", "--host", "127.0.0.1"),
        *("--slots", str(slots), "--prefill-microseconds-per-token", "0"),
        *("--decode-step-microseconds", str(round(STEP_SECONDS * 1e6)), "--decode-step-microseconds-per-sequence", "0"),
        *site.arguments,
    ]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(arguments, stderr=log, env=ENVIRONMENT) as process,
    ):
        try:
            while not (found := re.search(r"port (\d+)", (log.seek(0), log.read())[1])):
                if process.poll() is not None:
                    sys.exit("the simulated engine did not start")
                time.sleep(0.05)
            yield f"{'https' if site.access.ca_file else 'http'}://127.0.0.1:{found[1]}"
        finally:
            process.terminate()


def lateness(url: str, site: Site) -> Buckets:
    """The engine's own: (upper bound in seconds, cumulated count)."""
    context = ssl.create_default_context(cafile=site.access.ca_file or None)
    with urllib.request.urlopen(f"{url}/metrics", context=context) as response:  # noqa: S310  # our own server
        text = response.read().decode()
    found = re.findall(r'enginebench_simulator_lateness_seconds_bucket\{le="([^"]+)"\} (\d+)', text)
    return [(float(bound), int(count)) for bound, count in found]


def late_p99(before: Buckets, after: Buckets) -> float:
    """Milliseconds: upper bound of the bucket with the P99 of what came between two looks."""
    counts = [(bound, late - early) for (bound, late), (_, early) in zip(after, before, strict=True)]
    return 1000 * next(bound for bound, count in counts if 100 * count >= 99 * counts[-1][1])


def measured(site: Site, streams: int, seconds: int, folder: Path) -> list[float]:
    """The figures of one point."""
    with engine(site, streams) as url:
        plan = LoadPlan(
            run_uid="bench",
            target="bench",
            attempt=1,
            url=url,
            access=site.access,
            dialect="vllm",
            model=MODEL,
            dataset=DatasetPlan(synthetic=SyntheticRows(rows=500, prompt_tokens=16, output_tokens=TOKENS)),
            request=RequestPlan(api="Completions", max_output_tokens=TOKENS),
            points=(PointPlan(index=0, concurrency=streams),),
            duration_seconds=seconds,
            ramp_seconds=2,
        )
        file, decoder, before = folder / "plan.json", Decoder(), lateness(url, site)
        file.write_bytes(loadplan.encode(plan))
        command = [*machine.client_prefix([machine.CLIENT_CORE]), sys.executable, "-m", "enginebench", "loadgen"]
        with subprocess.Popen(
            [*command, "--plan", str(file)], stdout=subprocess.PIPE, env=ENVIRONMENT, start_new_session=True
        ) as process:
            machine.favour(process.pid)
            assert process.stdout is not None
            found: list[float] = []
            for line in process.stdout:
                spoken = decoder.feed(line)
                match spoken.message if spoken else None:
                    case PointReport() as point:
                        found = [*figures(point), resident(process.pid), late_p99(before, lateness(url, site))]
                    case Failure() as failure:
                        sys.exit(failure.message)
                    case End():
                        process.terminate()
    return found


def figures(point: PointReport) -> list[float]:
    """As FIGURES has them, up to the CPU."""
    if point.requests.errored:
        sys.exit(f"errors: {point.evidence.errors}")
    cpu = (point.evidence.client_cpu_percent or 0) / 100 * point.window_seconds
    # A user whose answer ended at the end of a step asks at once, and joins the step after the one that has begun.
    ideal = (point.concurrency or 0) * TOKENS / ((TOKENS + 1) * STEP_SECONDS)
    latencies = (point.ttft.p50, point.ttft.p99, point.itl.p50, point.itl.p99, point.inter_event_gap.p99)
    return [
        100 * point.output_tokens_per_second / ideal,
        *(p.at_least if isinstance(p, Censored) else p or 0.0 for p in latencies),
        1000 * cpu / (point.output_tokens_per_second * point.window_seconds),
    ]


def resident(pid: int) -> float:
    """MiB at most so far."""
    peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(peak[1]) / 1024 if peak is not None else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=lambda text: [int(n) for n in text.split(",")], default=[64, 256])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    print(machine.name())
    print(f"{'':14}" + "".join(f"{name:>17}" for name in FIGURES))
    with tempfile.TemporaryDirectory() as name:
        both = sites(Path(name))
        for streams in arguments.streams:
            rounds = [
                [measured(site, streams, arguments.seconds, Path(name)) for site in both]
                for _ in range(arguments.rounds)
            ]
            for number, site in enumerate(both):
                middle = [statistics.median(column) for column in zip(*(one[number] for one in rounds), strict=True)]
                print(f"{streams:>6} {site.name:<7}" + "".join(f"{value:>17.3f}" for value in middle), flush=True)


if __name__ == "__main__":
    main()
