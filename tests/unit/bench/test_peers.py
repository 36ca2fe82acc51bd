"""The peers: their locks, commands, and how their reports are read. (That they run is seen by `make bench-loadgen`.)"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.loadgen.peers import peer
from bench.loadgen.peers.aiperf import AiPerf
from bench.loadgen.peers.environments import LOCKS
from bench.loadgen.peers.genai_bench import GenAiBench
from bench.loadgen.peers.guidellm import GuideLlm
from bench.loadgen.peers.inference_perf import InferencePerf
from bench.loadgen.peers.peer import Peer
from bench.loadgen.rows import Mode, Reported
from bench.loadgen.tool import Task

PEERS: list[type[Peer]] = [AiPerf, GenAiBench, GuideLlm, InferencePerf]


@pytest.fixture(autouse=True)
def nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "installed", lambda name: Path("/nowhere") / name / "bin")


def task(folder: Path, mode: Mode = "one core") -> Task:
    return Task(
        url="http://127.0.0.1:1", model="m", streams=24, seconds=20, mode=mode, cores=2 if mode == "best" else 1,
        folder=folder, tokenizer=folder,
    )  # fmt: skip


@pytest.mark.parametrize("kind", PEERS)
def test_lock_and_command(kind: type[Peer], tmp_path: Path) -> None:
    made = kind()
    assert re.fullmatch(r"\d+\.\d+\.\d+", made.version)
    command = made.command(task(tmp_path))
    assert command[0] == f"/nowhere/{made.name}/bin/{made.name}"
    assert made.environment(task(tmp_path))["PATH"].startswith(f"/nowhere/{made.name}/bin:")
    best = made.command(task(tmp_path, "best")), made.environment(task(tmp_path, "best"))
    one = made.command(task(tmp_path)), made.environment(task(tmp_path))
    if made.name != "inference-perf":  # its settings are in a file
        assert best != one


def test_locks_name_no_place() -> None:
    """Hashes say what is installed; from where is the business of the machine."""
    files = sorted(LOCKS.glob("*.txt"))
    assert len(files) >= len(PEERS)
    for file in files:
        assert "://" not in file.read_text()
        pinned = re.findall(r"^[\w.-]+==[^ ]+( \\| --hash)", file.read_text(), re.MULTILINE)
        assert pinned


def test_requests_fill_the_time(tmp_path: Path) -> None:
    assert peer.requests(task(tmp_path)) == 24 * 16  # 20 s of 1.32 s each


REPORTS: dict[str, tuple[str, Any]] = {
    "guidellm": (
        "report.json",
        {
            "benchmarks": [
                {
                    "metrics": {
                        "time_to_first_token_ms": {"successful": {"percentiles": {"p50": 50.0, "p99": 60.0}}},
                        "inter_token_latency_ms": {"successful": {"percentiles": {"p50": 10.0, "p99": 11.0}}},
                        "output_tokens_per_second": {"successful": {"mean": 2000.0}},
                        "request_totals": {"successful": 7, "errored": 1},
                    }
                }
            ]
        },
    ),
    "aiperf": (
        "artifacts/x/profile_export_aiperf.json",
        {
            "time_to_first_token": {"p50": 50.0, "p99": 60.0},
            "inter_token_latency": {"p50": 10.0, "p99": 11.0},
            "inter_chunk_latency": {"p50": 9.0, "p99": 12.0},
            "output_token_throughput": {"avg": 2000.0},
            "request_count": {"avg": 7.0},
            "error_request_count": {"avg": 1.0},
        },
    ),
    "genai-bench": (
        "run/D64_128_text-to-text_num_concurrency_24_time_11s.json",
        {
            "aggregated_metrics": {
                "stats": {"ttft": {"p50": 0.05, "p99": 0.06}, "tpot": {"p50": 0.01, "p99": 0.011}},
                "mean_output_throughput_tokens_per_s": 2000.0,
                "num_completed_requests": 7,
                "num_error_requests": 1,
            }
        },
    ),
    "inference-perf": (
        "reports/summary_lifecycle_metrics.json",
        {
            "successes": {
                "count": 7,
                "latency": {
                    "time_to_first_token": {"median": 0.05, "p99": 0.06},
                    "time_per_output_token": {"median": 0.01, "p99": 0.011},
                    "inter_token_latency": {"median": 0.009, "p99": 0.012},
                },
                "throughput": {"output_tokens_per_sec": 2000.0},
            },
            "failures": {"count": 1},
        },
    ),
}


@pytest.mark.parametrize("kind", PEERS)
def test_a_report_is_read_in_milliseconds(kind: type[Peer], tmp_path: Path) -> None:
    path, document = REPORTS[kind.name]
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(json.dumps(document))
    gaps = (9.0, 12.0) if kind in {AiPerf, InferencePerf} else (None, None)
    assert kind().report(task(tmp_path)) == Reported(
        tokens_per_second=2000.0,
        ttft_p50=50.0,
        ttft_p99=60.0,
        itl_p50=10.0,
        itl_p99=11.0,
        gap_p50=gaps[0],
        gap_p99=gaps[1],
        requests=7,
        errors=1,
    )


@pytest.mark.parametrize("kind", PEERS)
def test_no_report_is_told(kind: type[Peer], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no report"):
        kind().report(task(tmp_path))
