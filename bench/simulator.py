"""How honest the simulated engine is under load: lateness, CPU, and what a client sees.

    PYTHONPATH=operator python -m bench.simulator [--cpus 0.5] [--streams 256] [--tokens 100] [--seconds 10]
        [--api vLLM|Ollama]

Starts `python -m enginebench simulate` with one slot a stream and a step that does not depend on the batch, keeps
every stream busy (closed loop) and compares what arrives with what the latency model says. With --cpus the server
runs under a CFS quota of that many cores (Linux, root). On a machine that has other work the figures are its scheduler's;
as root, `chrt -r 5` in front keeps the others out (with --cpus `chrt -R -r 5`: the server stays under its quota).
Printed is, too, how that stands against the bounds; exit code 1 if one is missed.
"""

import argparse
import asyncio
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import uvloop

from bench import engine, machine
from bench.loadgen.targets import Check

MODEL = "bench"
PROMPT_TOKENS = 16
CPU_GROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup"))
PERIOD_MICROSECONDS = 100_000
LATE_MILLISECONDS = 2.0
"""From here on lateness counts in a load point (`LoadGeneratorSaturated`): below it no client's figures tell of it."""
LOST_PERCENT = 2.0
"""Of the tokens that the model gives while no time is spent between requests: joining the batch takes a part of it."""


class Stream(asyncio.Protocol):
    """One user: sends the same request again as soon as its answer has ended."""

    def __init__(self, request: bytes, content: bytes, ttft: list[float], gaps: list[float]) -> None:
        self._request = request
        self._content = content
        self._ttft = ttft
        self._gaps = gaps
        self._transport: asyncio.Transport | None = None
        self._sent = 0.0
        self._last = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def start(self) -> None:
        assert self._transport
        self._last = 0.0
        self._sent = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        # What the server puts into one write holds one token; two at once are a gap of zero.
        for _ in range(data.count(self._content)):
            if self._last:
                self._gaps.append(now - self._last)
            else:
                self._ttft.append(now - self._sent)
            self._last = now
        if data.endswith(b"0\r\n\r\n"):
            self.start()


def request(api: str, tokens: int) -> tuple[bytes, bytes]:
    """The bytes of a request, and the bytes that tell a token's event in the answer."""
    prompt = " ".join(["word"] * PROMPT_TOKENS)
    if api == "vLLM":
        path, content = "/v1/completions", b'"text":" '
        body = f'{{"model":"{MODEL}","prompt":"{prompt}","max_tokens":{tokens},"stream":true}}'
    else:
        path, content = "/api/generate", b'"response":" '
        body = f'{{"model":"{MODEL}","prompt":"{prompt}","raw":true,"options":{{"num_predict":{tokens}}}}}'
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode(), content


@contextmanager
def cpu_limit(pid: int, cpus: float | None) -> Iterator[None]:
    """Hold `pid` to `cpus` cores by a CFS quota, in a group of its own (cgroup v1 or v2)."""
    if cpus is None:
        yield
        return
    base = next(path for path in CPU_GROUPS if path.exists())
    group = base / f"enginebench-bench-{pid}"
    group.mkdir()
    try:
        quota = int(cpus * PERIOD_MICROSECONDS)
        # Against its neighbours the group weighs as much as it can: only the quota is to hold it back.
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{quota} {PERIOD_MICROSECONDS}")
            (group / "cpu.weight").write_text("10000")
        else:
            (group / "cpu.shares").write_text("262144")
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_MICROSECONDS))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        (group / "cgroup.procs").write_text(str(pid))
        yield
        stat = dict(line.split() for line in (group / "cpu.stat").read_text().splitlines())
        print(f"CFS quota {cpus} cores: {stat['nr_throttled']} of {stat['nr_periods']} periods throttled")
    finally:
        (base / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Scrape(NamedTuple):
    """What the server says of itself at one moment."""

    lateness: list[tuple[float, int]]
    """(upper bound in seconds, cumulated count)."""
    ttft_sum: float
    """Seconds from a request's arrival until its first token was due, by the latency model (vLLM's dialect)."""
    ttft_count: float


async def scrape(port: int) -> Scrape:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    buckets = re.findall(r'enginebench_simulator_lateness_seconds_bucket\{le="([^"]+)"\} (\d+)', text)
    ttft = dict(re.findall(r"time_to_first_token_seconds_(sum|count)\{.*\} (\S+)", text))
    return Scrape(
        [(float(bound), int(count)) for bound, count in buckets],
        float(ttft.get("sum", 0)),
        float(ttft.get("count", 0)),
    )


def bucket_quantile(before: list[tuple[float, int]], after: list[tuple[float, int]], share: float) -> float:
    """Upper bound of the bucket that holds the quantile of what came between two scrapes."""
    counts = [(bound, late - early) for (bound, late), (_, early) in zip(after, before, strict=True)]
    return next(bound for bound, count in counts if count >= share * counts[-1][1])


def quantile(values: Sequence[float], share: float) -> float:
    """Nearest rank, of sorted values."""
    return values[min(len(values) - 1, int(share * len(values)))]


async def load(arguments: argparse.Namespace, port: int, pid: int) -> list[Check]:
    """Prints what was seen; how it stands against the bounds."""
    ttft: list[float] = []
    gaps: list[float] = []
    body, content = request(arguments.api, arguments.tokens)
    loop = asyncio.get_running_loop()
    streams = [
        (await loop.create_connection(lambda: Stream(body, content, ttft, gaps), "127.0.0.1", port))[1]
        for _ in range(arguments.streams)
    ]
    for stream in streams:  # started over one answer's time, so that they do not all begin together for ever
        stream.start()
        await asyncio.sleep(arguments.step_milliseconds / 1000 * arguments.tokens / arguments.streams)
    ttft.clear()
    gaps.clear()
    before, cpu, client, began = await scrape(port), cpu_seconds(pid), time.process_time(), time.perf_counter()
    await asyncio.sleep(arguments.seconds)
    wall = time.perf_counter() - began
    cpu, client = cpu_seconds(pid) - cpu, time.process_time() - client
    received = len(ttft) + len(gaps)
    after = await scrape(port)
    ideal = arguments.streams * 1000 / arguments.step_milliseconds
    print(f"{arguments.api}, {arguments.streams} streams, {arguments.step_milliseconds} ms a token, {wall:.1f} s")
    print(f"tokens/s {received / wall:.0f} of {ideal:.0f} (the model's, were no time spent between requests)")
    print(f"server CPU {cpu / wall:.2f} cores, {1e6 * cpu / received:.1f} µs a token; client {client / wall:.2f} cores")
    found = [Check("tokens/s below the model's", 100 * (1 - received / wall / ideal), LOST_PERCENT, "%")]
    if after.ttft_count > before.ttft_count:
        due = (after.ttft_sum - before.ttft_sum) / (after.ttft_count - before.ttft_count)
        print(f"TTFT, mean, ms: {1e3 * due:.3f} by the model, {1e3 * sum(ttft) / len(ttft):.3f} as the client sees it")
        late = 1e3 * (sum(ttft) / len(ttft) - due)
        found.append(Check("mean TTFT as the client sees it, after the model's", late, LATE_MILLISECONDS, "ms"))
    shares = (0.5, 0.9, 0.99, 0.999)
    told = [1e3 * bucket_quantile(before.lateness, after.lateness, share) for share in shares]
    print(f"server lateness, ms      p50 {told[0]:.2f}  p90 {told[1]:.2f}  p99 {told[2]:.2f}  p99.9 {told[3]:.2f}")
    found.append(Check("P99 of the lateness that the server tells", told[2], LATE_MILLISECONDS, "ms"))
    for name, values in (("client sees gap, ms    ", gaps), ("client sees TTFT, ms   ", ttft)):
        values.sort()
        cut = [f"{1e3 * quantile(values, share):.2f}" for share in shares]
        print(
            f"{name}  p50 {cut[0]}  p90 {cut[1]}  p99 {cut[2]}  p99.9 {cut[3]}  mean {1e3 * sum(values) / len(values):.3f}"
        )
    longest = 1e3 * quantile(gaps, 0.99) - arguments.step_milliseconds
    return [*found, Check("P99 of the gap as the client sees it, beyond a step", longest, LATE_MILLISECONDS, "ms")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--api", choices=("vLLM", "Ollama"), default="vLLM")
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--step-milliseconds", type=float, default=10)
    parser.add_argument("--cpus", type=float, help="hold the server to this many cores")
    arguments = parser.parse_args()
    options = [
        *("--api", arguments.api, "--model", MODEL),
        *("--slots", str(arguments.streams), "--prefill-microseconds-per-token", "0"),
        *("--decode-step-microseconds", str(round(arguments.step_milliseconds * 1000))),
        *("--decode-step-microseconds-per-sequence", "0"),
    ]
    print(machine.here_and_now())
    with engine.running(*options) as server, cpu_limit(server.pid, arguments.cpus):
        found = uvloop.run(load(arguments, server.port, server.pid))
    print("\n".join(map(str, found)))
    return 0 if all(check.kept for check in found) else 1


if __name__ == "__main__":
    sys.exit(main())
