"""The whole program as it runs in a pod: a process, a plan in a file, frames on its standard output."""

import asyncio
import gzip
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import TypeVar

import pytest

from enginebench.api import loadplan
from enginebench.api.loadplan import (
    DatasetPlan,
    DownloadPlan,
    LoadPlan,
    Measured,
    PointPlan,
    RequestPlan,
    StopPlan,
    SweepPlan,
)
from enginebench.results.frames import Decoder, Spoken, is_frame
from enginebench.results.messages import DatasetReport, End, EngineReport, Failure, Progress
from enginebench.results.point_report import PointReport
from tests.support.engine import Behaviour, Engine, serving
from tests.unit.loadgen.plans import plan, prompts

OPERATOR = Path(__file__).parents[3] / "operator"
POINTS = (PointPlan(index=0, concurrency=2), PointPlan(index=1, concurrency=4))

_T = TypeVar("_T")


class Pod:
    """A running load generator and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.spoken: list[Spoken] = []
        self.noise: list[bytes] = []
        self._decoder = Decoder()

    async def until(self, kind: type[_T], holds: Callable[[_T], bool] = lambda _: True) -> _T:
        """Read on until a message of that kind comes."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while True:
                line = await self.process.stdout.readline()
                assert line, f"ended without {kind.__name__}: {await self.errors()}"
                if not is_frame(line):
                    self.noise.append(line)
                spoken = self._decoder.feed(line)
                if spoken is not None:
                    self.spoken.append(spoken)
                    if isinstance(spoken.message, kind) and holds(spoken.message):
                        return spoken.message

    def all(self, kind: type[_T]) -> list[_T]:
        return [s.message for s in self.spoken if isinstance(s.message, kind)]

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            return await self.process.wait()

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()


@asynccontextmanager
async def running(what: LoadPlan, folder: Path, **environment: str) -> AsyncIterator[Pod]:
    file = folder / "plan.json"
    file.write_bytes(loadplan.encode(what))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "enginebench", "loadgen", "--plan", str(file),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(OPERATOR), **environment},
    )  # fmt: skip
    try:
        yield Pod(process)
    finally:
        if process.returncode is None:
            process.kill()
        async with asyncio.timeout(10):
            await process.communicate()  # until the last of its children has closed its end, too


async def test_a_plan_from_its_data_set_to_its_end(tmp_path: Path) -> None:
    engine = Engine(behave=lambda _: Behaviour(ttft=0.03, gap=0.005))
    async with serving(engine), running(plan(engine.url, points=POINTS), tmp_path) as pod:
        end = await pod.until(End)
        assert pod.process.returncode is None  # it stays, so that its log can be read
        assert await pod.stop() == 0
        assert await pod.errors() == ""
    assert end == End(points=2)
    assert pod.noise == []
    order = [s.stream for s in pod.spoken if s.stream != "progress"]
    assert order == ["dataset", "engine", "point", "point", "end"]
    assert [p.concurrency for p in pod.all(PointReport)] == [2, 4]
    assert pod.all(EngineReport)[0].served_model == "tiny"
    for report in pod.all(PointReport):
        assert report.requests.succeeded > 5
        assert report.requests.errored == report.requests.incomplete == 0
        assert report.ttft.p50 == pytest.approx(
            1000 * median(served.first - served.asked for served in engine.served), rel=0.3, abs=3
        )
        assert report.itl.p50 == pytest.approx(
            1000 * median((served.last - served.first) / 9 for served in engine.served if served.last > served.first),
            rel=0.3,
            abs=3,
        )
    stages = [p.stage for p in pod.all(Progress)]
    assert {"Waiting", "Verifying", "WarmingUp", "Loading", "Draining"} == set(stages)
    words = {p.message for p in pod.all(Progress) if p.stage == "Loading"}
    assert words == {"2 users, load point 1 of 2", "4 users, load point 2 of 2"}


async def test_once_before_the_first_point_the_highest_load_comes_as_short_requests(tmp_path: Path) -> None:
    engine = Engine(tokens=20, behave=lambda _: Behaviour(ttft=0.03, gap=0.001))
    async with serving(engine):
        rows, request = DatasetPlan(rows=prompts("a", "b", "c")), RequestPlan(max_output_tokens=20)
        what = plan(engine.url, points=POINTS, dataset=rows, request=request)
        async with running(what, tmp_path) as pod:
            assert await pod.until(End) == End(points=2)
            assert await pod.stop() == 0
    asked = [body["max_tokens"] for body in engine.bodies]
    burst = [number for number, tokens in enumerate(asked) if tokens == 16]
    assert len(burst) >= 4
    assert burst == list(range(burst[0], burst[0] + len(burst)))
    assert burst[-1] < asked.index(20)


async def test_a_sweep_goes_on_where_an_earlier_pod_left_it(tmp_path: Path) -> None:
    sweep = SweepPlan(of="concurrency", lowest=1, highest=9)
    before = (Measured(load=1, output_tokens_per_second=100.0),)
    rest = (PointPlan(index=1), PointPlan(index=2))
    async with serving(Engine()) as engine:
        what = plan(engine.url, sweep=sweep, measured=before, points=rest, points_total=3)
        async with running(what, tmp_path) as pod:
            end = await pod.until(End)
            assert await pod.stop() == 0
    assert end.points == 2
    assert [(report.index, report.concurrency) for report in pod.all(PointReport)] == [(1, 9), (2, 3)]
    messages = [progress.message for progress in pod.all(Progress)]
    assert "3 users, load point 3 of 3" in messages


async def test_points_above_a_load_that_fails_are_skipped(tmp_path: Path) -> None:
    """By what an earlier pod has measured in their own repeat."""
    before = (Measured(index=0, load=2, output_tokens_per_second=0.0, error_share=0.5),)
    rest = (
        PointPlan(index=1, concurrency=4),
        PointPlan(index=2, concurrency=1),
        PointPlan(index=3, concurrency=2, repeat=1),
        PointPlan(index=4, concurrency=4, repeat=1),
    )
    async with serving(Engine()) as engine:
        what = plan(engine.url, points=rest, points_total=5, measured=before, stop_when=StopPlan(error_rate_percent=50))
        async with running(what, tmp_path) as pod:
            end = await pod.until(End)
            assert await pod.stop() == 0
    assert [report.index for report in pod.all(PointReport)] == [2, 3, 4]
    assert end.points == 3


async def test_sigterm_in_a_point_closes_it_as_interrupted_and_writes_it(tmp_path: Path) -> None:
    engine = Engine()
    async with serving(engine), running(plan(engine.url, points=POINTS, duration_seconds=60), tmp_path) as pod:
        await pod.until(Progress, lambda p: p.stage == "Loading")
        await asyncio.sleep(1)
        pod.process.send_signal(signal.SIGTERM)
        report = await pod.until(PointReport)
        failure = await pod.until(Failure)
        end = await pod.until(End)
        async with asyncio.timeout(5):
            assert await pod.process.wait() == 0
    assert report.evidence.interrupted
    assert report.requests.succeeded > 0
    assert 0.5 < report.window_seconds < 10
    assert failure.reason == "Interrupted"
    assert end == End(points=1)


async def test_sigterm_while_it_waits_ends_it_at_once(tmp_path: Path) -> None:
    async with running(plan(startup_seconds=600), tmp_path) as pod:
        await pod.until(Progress)
        assert await pod.stop() == 0
        assert (await pod.until(Failure)).reason == "Interrupted"
        assert await pod.until(End) == End(points=0)


async def test_the_wrong_model(tmp_path: Path) -> None:
    engine = Engine(model="other")
    async with serving(engine), running(plan(engine.url), tmp_path) as pod:
        failure = await pod.until(Failure)
        assert await pod.until(End) == End(points=0)
        assert await pod.stop() == 0
    assert failure == Failure(
        reason="WrongModel",
        message=f"{engine.url} does not serve tiny; it serves other. Correct the target's model.",
    )


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        (Behaviour(status=500), "HTTP 500: no room"),
        (Behaviour(error_after=1), "out of memory"),
        (Behaviour(cut_after=1), ""),
    ],
)
async def test_every_request_fails_after_the_engine_was_verified(
    behaviour: Behaviour, error: str, tmp_path: Path
) -> None:
    engine = Engine(behave=lambda n: behaviour if n else Behaviour())
    async with serving(engine), running(plan(engine.url), tmp_path) as pod:
        report = await pod.until(PointReport)
        assert await pod.until(End) == End(points=1)
        assert await pod.stop() == 0
        assert await pod.errors() == ""
    assert report.requests.succeeded == 0
    assert report.requests.errored > 0
    [(told, count)] = report.evidence.errors.items()
    assert told.startswith(error)
    assert count == report.requests.errored


async def test_what_it_has_seen_itself_skips_the_rest(tmp_path: Path) -> None:
    engine = Engine(behave=lambda n: Behaviour(status=500) if n else Behaviour())
    async with serving(engine):
        what = plan(engine.url, points=POINTS, stop_when=StopPlan(error_rate_percent=100))
        async with running(what, tmp_path) as pod:
            assert await pod.until(End) == End(points=1)
            assert await pod.stop() == 0
    assert len(pod.all(PointReport)) == 1
    assert not pod.all(Failure)


async def test_the_engine_goes_away_under_load(tmp_path: Path) -> None:
    engine, server = Engine(), AsyncExitStack()
    await server.enter_async_context(serving(engine))
    async with running(plan(engine.url, duration_seconds=3), tmp_path) as pod:
        await pod.until(Progress, lambda p: p.stage == "Loading")
        await asyncio.sleep(0.5)
        await server.aclose()
        report = await pod.until(PointReport)
        assert await pod.until(End) == End(points=1)
    assert report.requests.succeeded > 0
    assert report.requests.errored > 0
    assert any("Connection refused" in error for error in report.evidence.errors)


async def test_prepare_reads_the_data_set_and_touches_no_engine(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt":"a"}\n{"prompt":7}\n\n{}\n')
    what = plan(task="prepare", dataset=DatasetPlan(file=str(file)), points=())
    async with running(what, tmp_path) as pod:
        report = await pod.until(DatasetReport)
        assert await pod.until(End) == End(points=0)
        assert await pod.stop() == 0
    assert report.rows == 1
    assert [error.split(":")[0] for error in report.errors] == ["line 2", "line 4"]
    assert [s.stream for s in pod.spoken if s.stream != "progress"] == ["dataset", "end"]


async def test_a_data_set_that_is_not_there_is_told(tmp_path: Path) -> None:
    what = plan(task="prepare", dataset=DatasetPlan(file=str(tmp_path / "gone.jsonl")), points=())
    async with running(what, tmp_path) as pod:
        failure = await pod.until(Failure)
        assert await pod.until(End) == End(points=0)
    assert failure.reason == "DatasetNotFound"
    assert "gone.jsonl cannot be read: No such file or directory" in failure.message


async def test_conversations_at_a_url_are_asked_of_the_engine(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Why is the sky blue?"}, {"from": "gpt", "value": "It is not."}]
    body = gzip.compress(json.dumps([{"conversations": turns}, {"conversations": []}]).encode())

    async def serves(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server, engine = await asyncio.start_server(serves, "127.0.0.1", 0), Engine()
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/chat.json.gz"
    download = DownloadPlan(url=url, sha256=hashlib.sha256(body).hexdigest())
    rows = DatasetPlan(download=download, format="ShareGPT")
    async with server, serving(engine), running(plan(engine.url, dataset=rows), tmp_path) as pod:
        report = await pod.until(DatasetReport)
        point = await pod.until(PointReport)
        assert await pod.until(End) == End(points=1)
    assert (report.rows, report.skipped, report.errors) == (1, 1, ())
    assert point.requests.succeeded > 0
    assert "Why is the sky blue?" in json.dumps(engine.bodies[-1])


async def test_while_it_downloads_it_speaks_and_can_be_stopped_at_once(tmp_path: Path) -> None:
    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(says_nothing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/prompts.jsonl"
    what = plan(dataset=DatasetPlan(download=DownloadPlan(url=url, sha256="0" * 64)))
    async with server, running(what, tmp_path) as pod:
        for _ in range(2):
            await pod.until(Progress, lambda p: p.message == "reading the data set")
        assert await pod.stop() == 0
        assert (await pod.until(Failure)).reason == "Interrupted"
        assert await pod.until(End) == End(points=0)


async def test_a_data_set_that_has_changed_or_is_bad_is_loaded_by_nobody(tmp_path: Path) -> None:
    for dataset, reason in (
        (DatasetPlan(rows=prompts("a"), digest="sha256:0"), "DatasetChanged"),
        (DatasetPlan(rows=prompts("")), "DatasetInvalid"),
    ):
        async with running(plan(dataset=dataset), tmp_path) as pod:
            assert (await pod.until(Failure)).reason == reason
            assert await pod.until(End) == End(points=0)


async def test_a_bug_of_our_own_is_told_and_its_traceback_is_noise(tmp_path: Path) -> None:
    engine, broken = Engine(), loadplan.RequestPlan(max_output_tokens=1, extra_body_json="{broken")
    async with serving(engine), running(plan(engine.url, request=broken), tmp_path) as pod:
        failure = await pod.until(Failure)
        assert await pod.until(End) == End(points=0)
        assert await pod.stop() == 0
        assert "Traceback" in await pod.errors()
    assert failure.reason == "LoadGeneratorError"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, b"No such file or directory"),
        (b"{", b"Input data was truncated"),
        (b'{"novel":1}', b"unknown field `novel`"),
    ],
)
async def test_without_a_plan_it_says_so(text: bytes | None, words: bytes, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    if text is not None:
        file.write_bytes(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "enginebench", "loadgen", "--plan", str(file),
        stderr=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(OPERATOR)},
    )  # fmt: skip
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"plan.json cannot be read: " in errors
    assert words in errors


async def test_it_imports_neither_the_operator_nor_what_only_a_few_runs_need(tmp_path: Path) -> None:
    code = "import sys, enginebench.loadgen.main; import json; print(json.dumps(list(sys.modules)))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(OPERATOR)},
    )  # fmt: skip
    out, _ = await process.communicate()
    modules = set(json.loads(out))
    assert not {"kopf", "kubernetes", "pydantic", "aiohttp", "httpx", "yaml"} & {m.split(".")[0] for m in modules}
    assert not {"urllib.request", "http.client", "gzip", "enginebench.loadgen.datafile"} & modules
