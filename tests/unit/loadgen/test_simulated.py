"""Both programs as they run in their pods: `enginebench loadgen` against `enginebench simulate`, on a noisy log."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from enginebench.api import loadplan
from enginebench.api.loadplan import PointPlan
from enginebench.results.frames import Decoder, is_frame
from enginebench.results.messages import DatasetReport, End, EngineReport, Progress, SpokenMessage
from enginebench.results.point_report import PointReport
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.tls import Authority

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "operator")}
NOISY = {"PYTHONVERBOSE": "1", "PYTHONUNBUFFERED": "1"}
"""Every import is told on standard error, thousands of lines, written in pieces."""


@contextmanager
def program(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, which does not outlive the block."""
    command = [sys.executable, "-m", "enginebench", *arguments]
    with subprocess.Popen(command, env=ENVIRONMENT | options.pop("env", {}), **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def engine(api: str, *more: str) -> Iterator[str]:
    """Host and port of a simulated engine with 5 ms a step."""
    quick = ("--decode-step-microseconds", "5000", "--decode-step-microseconds-per-sequence", "0")
    arguments = ("--api", api, "--model", "tiny", "--port", "0", "--prefill-microseconds-per-token", "0", *quick, *more)
    with program("simulate", *arguments, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        found = re.search(rb"port (\d+)", process.stderr.readline())
        assert found is not None
        yield f"127.0.0.1:{found[1].decode()}"


@pytest.mark.parametrize(("api", "route"), [("vLLM", "Completions"), ("Ollama", "OllamaChat")])
def test_a_whole_run_on_a_log_full_of_noise(api: str, route: str, tmp_path: Path) -> None:
    points = (PointPlan(index=3, concurrency=1), PointPlan(index=5, repeat=1, concurrency=8))
    messages: list[SpokenMessage] = []
    noise, decoder, file = 0, Decoder(), tmp_path / "plan.json"
    with engine(api) as place:
        file.write_bytes(loadplan.encode(plan(f"http://{place}", api=route, points=points)))
        with program(
            "loadgen", "--plan", str(file), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=NOISY
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                noise += not is_frame(line)
                spoken = decoder.feed(line)
                if spoken is not None:
                    messages.append(spoken.message)
                    if isinstance(spoken.message, End):
                        assert process.poll() is None  # it stays until it is told to go
                        process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    assert noise > 1000
    said = [message for message in messages if not isinstance(message, Progress)]
    assert [type(message) for message in said] == [DatasetReport, EngineReport, PointReport, PointReport, End]
    assert said[-1] == End(points=2)
    one, eight = (message for message in said if isinstance(message, PointReport))
    assert [(p.index, p.repeat, p.concurrency) for p in (one, eight)] == [(3, 0, 1), (5, 1, 8)]
    for point in (one, eight):
        assert point.requests.errored == point.requests.incomplete == 0
        assert point.requests.succeeded >= 5
        assert isinstance(point.ttft.p50, float)
        assert point.ttft.p50 >= 4.9  # a step, which nothing can shorten
        assert isinstance(point.request_latency.p50, float)
        assert point.request_latency.p50 >= 49
        assert point.output_tokens_mean == 10
    assert eight.output_tokens_per_second > 2 * one.output_tokens_per_second
    stages = list(dict.fromkeys(message.stage for message in messages if isinstance(message, Progress)))
    assert stages == ["Waiting", "Verifying", "WarmingUp", "Loading", "Draining"]


def test_a_run_over_tls_and_behind_a_token(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    certificate, file = tmp_path / "tls.pem", tmp_path / "plan.json"
    authority.leaf().private_key_and_cert_chain_pem.write_to_path(str(certificate))
    access = structs.replace(authority.access, token_from="key k of Secret s")
    with engine("vLLM", "--api-key", "sk-4711", "--ssl-certfile", str(certificate)) as place:
        file.write_bytes(loadplan.encode(plan(f"https://{place}", api="Completions", access=access)))
        with program(
            "loadgen", "--plan", str(file), stdout=subprocess.PIPE, env={loadplan.TOKEN_VARIABLE: "sk-4711"}
        ) as process:
            assert process.stdout is not None
            decoder, said = Decoder(), []
            for line in process.stdout:
                spoken = decoder.feed(line)
                said += [spoken.message] if spoken is not None and not isinstance(spoken.message, Progress) else []
                if said and isinstance(said[-1], End):
                    process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
    _, report, point, end = said
    assert isinstance(report, EngineReport)
    assert report.effective["certificate"] == "verified"
    assert isinstance(point, PointReport)
    assert point.requests.succeeded >= 5
    assert point.requests.errored == point.requests.incomplete == 0
    assert end == End(points=1)
