"""The whole program: `python -m enginebench loadgen` against `python -m enginebench simulate`, by what they print."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from enginebench.api import loadplan
from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan, RequestPlan, Row
from enginebench.results.frames import Decoder, is_frame
from enginebench.results.messages import (
    DatasetReport,
    End,
    EngineReport,
    Failure,
    PointReport,
    Progress,
    SpokenMessage,
)
from tests.unit.loadgen.plans import plan

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
PATIENCE = 40.0
"""Seconds for what takes one or two on an idle machine."""
LONG = {"duration_seconds": 300, "points": (PointPlan(index=0, concurrency=4), PointPlan(index=1, concurrency=8))}


@contextmanager
def program(*arguments: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours, which does not outlive the block."""
    command = [sys.executable, "-m", "enginebench", *arguments]
    with subprocess.Popen(command, env=ENVIRONMENT | streams.pop("env", {}), **streams) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """URL of a simulated engine: 5 ms to the first token, 5 ms from one to the next."""
    quick = ("--decode-step-microseconds", "5000", "--decode-step-microseconds-per-sequence", "0")
    arguments = ("--model", "tiny", "--port", "0", "--prefill-microseconds-per-token", "0", *quick)
    with program("simulate", *arguments, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        found = re.search(rb"port (\d+)", process.stderr.readline())
        assert found is not None
        yield f"http://127.0.0.1:{found[1].decode()}"


@dataclass
class Pod:
    """A running load generator, its messages as they came, and whatever else was on its log."""

    process: subprocess.Popen[bytes]
    messages: list[SpokenMessage] = field(default_factory=list)
    noise: list[bytes] = field(default_factory=list)
    _decoder: Decoder = field(default_factory=Decoder)
    _rest: bytes = b""

    def until(self, *kinds: type[SpokenMessage], stage: str = "") -> SpokenMessage:
        """Read on until a message of one of the kinds came (a progress: of this stage)."""
        at = len(self.messages)
        deadline = time.monotonic() + PATIENCE
        while True:
            for message in self.messages[at:]:
                if isinstance(message, kinds) and (not isinstance(message, Progress) or message.stage == stage):
                    return message
            at = len(self.messages)
            assert self._read(deadline), f"the log ended after {self.messages[-3:]}"

    def stop(self) -> int:
        """SIGTERM; the exit code, when all of the log has been read."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(timeout=PATIENCE)

    def said(self) -> list[SpokenMessage]:
        """Everything but progress."""
        return [message for message in self.messages if not isinstance(message, Progress)]

    def _read(self, deadline: float) -> bytes:
        out = self.process.stdout
        assert out is not None
        assert select.select([out], [], [], max(0.0, deadline - time.monotonic()))[0], "nothing was said for long"
        data = os.read(out.fileno(), 65536)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not is_frame(line):
                self.noise.append(line)
            elif (spoken := self._decoder.feed(line)) is not None:
                self.messages.append(spoken.message)
        return data


@contextmanager
def pod(what: LoadPlan, folder: Path, **streams: Any) -> Iterator[Pod]:
    """The load generator with a plan."""
    file = folder / "plan.json"
    file.write_bytes(loadplan.encode(what))
    with program("loadgen", "--plan", str(file), stdout=subprocess.PIPE, **streams) as process:
        yield Pod(process)


def kinds(messages: list[SpokenMessage]) -> list[type[SpokenMessage]]:
    return [type(message) for message in messages]


def test_a_whole_run_is_told_in_order_and_the_pod_stays_until_it_is_told_to_go(engine: str, tmp_path: Path) -> None:
    points = (PointPlan(index=3, concurrency=1), PointPlan(index=5, repeat=1, concurrency=8))
    with pod(plan(engine, points=points), tmp_path) as run:
        run.until(End)
        assert kinds(run.said()) == [DatasetReport, EngineReport, PointReport, PointReport, End]
        one, eight = (m for m in run.said() if isinstance(m, PointReport))
        time.sleep(0.3)
        assert run.process.poll() is None
        assert run.stop() == 0
    assert run.said()[-1] == End(points=2)
    assert [(p.index, p.repeat, p.concurrency) for p in (one, eight)] == [(3, 0, 1), (5, 1, 8)]
    for point in (one, eight):
        assert point.requests.errored == point.requests.incomplete == 0
        assert point.requests.succeeded >= 10
        assert isinstance(point.ttft.p50, float)
        assert isinstance(point.itl.p50, float)
        assert point.ttft.p50 >= 4.9
        assert point.itl.p50 >= 4.9
        assert point.output_tokens_mean == 10
        assert not point.evidence.interrupted
        assert point.evidence.engine_start_before == point.evidence.engine_start_after is not None
    assert eight.output_tokens_per_second > 2 * one.output_tokens_per_second
    stages = list(dict.fromkeys(m.stage for m in run.messages if isinstance(m, Progress)))
    assert stages == ["Waiting", "Verifying", "WarmingUp", "Loading", "Draining"]
    assert run.noise == []


def test_noise_on_the_log_tears_no_frame(engine: str, tmp_path: Path) -> None:
    noisy = {"stderr": subprocess.STDOUT, "env": {"PYTHONVERBOSE": "1", "PYTHONUNBUFFERED": "1"}}
    with pod(plan(engine), tmp_path, **noisy) as run:
        run.until(End)
        assert run.stop() == 0
    assert len(run.noise) > 1000
    assert kinds(run.said()) == [DatasetReport, EngineReport, PointReport, End]


def test_sigterm_in_a_window_closes_the_point_with_what_there_is(engine: str, tmp_path: Path) -> None:
    with pod(plan(engine, **LONG), tmp_path) as run:
        run.until(Progress, stage="Loading")
        time.sleep(0.5)
        began = time.monotonic()
        assert run.stop() == 0
        assert time.monotonic() - began < 10  # of the 30 s that the operator gives it
    *_, point, failure, end = run.said()
    assert isinstance(point, PointReport)
    assert isinstance(failure, Failure)
    assert point.evidence.interrupted
    assert 0.2 < point.window_seconds < 20
    assert point.requests.succeeded > 0
    assert point.requests.incomplete <= 4
    assert failure.reason == "Interrupted"
    assert end == End(points=1)


def test_sigterm_while_it_waits_for_the_engine(tmp_path: Path) -> None:
    with pod(plan("http://127.0.0.1:1", startup_seconds=300), tmp_path) as run:
        run.until(Progress, stage="Waiting")
        assert run.stop() == 0
    report, failure, end = run.said()
    assert isinstance(report, DatasetReport)
    assert isinstance(failure, Failure)
    assert failure.reason == "Interrupted"
    assert end == End(points=0)


def test_prepare_reads_the_data_set_and_touches_no_engine(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "one"}\n\n{"prompt": 2}\n{"prompt": "three", "output_tokens_count": 5}\n')
    what = plan("", task="prepare", dataset=DatasetPlan(file=str(file)))
    with pod(what, tmp_path) as run:
        run.until(End)
        assert run.stop() == 0
    report, end = run.said()
    assert isinstance(report, DatasetReport)
    assert report.rows == 2
    assert report.digest.startswith("sha256:")
    assert len(report.errors) == 1
    assert report.errors[0].startswith("line 3: ")
    assert end == End(points=0)


@pytest.mark.parametrize(
    ("dataset", "reason", "words"),
    [
        (DatasetPlan(rows=(Row(prompt="a"), Row())), "DatasetInvalid", "row 2: has neither a prompt nor messages"),
        (DatasetPlan(file="/nowhere/rows.jsonl"), "DatasetInvalid", "rows.jsonl cannot be read: No such file"),
        (DatasetPlan(rows=(Row(prompt="a"),), digest="sha256:0"), "DatasetChanged", "instead of sha256:0"),
    ],
)
def test_a_data_set_that_cannot_be_used_ends_the_run(
    dataset: DatasetPlan, reason: str, words: str, tmp_path: Path
) -> None:
    with pod(plan(dataset=dataset), tmp_path) as run:
        run.until(End)
        assert run.stop() == 0
    report, failure, end = run.said()
    assert isinstance(report, DatasetReport)
    assert isinstance(failure, Failure)
    assert failure.reason == reason
    assert words in failure.message
    assert end == End(points=0)


def test_a_fault_of_the_program_itself_is_told(engine: str, tmp_path: Path) -> None:
    """A plan that the operator would never write: the extra body is no object."""
    broken = plan(engine, request=RequestPlan(max_output_tokens=1, extra_body_json="[1]"))
    with pod(broken, tmp_path, stderr=subprocess.PIPE) as run:
        run.until(End)
        assert run.stop() == 0
        assert run.process.stderr is not None
        assert b"Traceback" in run.process.stderr.read()
    failure = run.said()[-2]
    assert isinstance(failure, Failure)
    assert failure.reason == "LoadGeneratorError"
    assert failure.message.startswith("ValidationError: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, b"No such file or directory"),
        (b"{", b"truncated"),
        (b'{"runUid":"u","wrong":1}', b"unknown field `wrong`"),
    ],
)
def test_without_a_plan_there_is_nothing_to_do(text: bytes | None, words: bytes, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    if text is not None:
        file.write_bytes(text)
    with program("loadgen", "--plan", str(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        out, words_said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert out == b""
    assert words_said.startswith(f"enginebench loadgen: the plan {file} cannot be read: ".encode())
    assert words in words_said
