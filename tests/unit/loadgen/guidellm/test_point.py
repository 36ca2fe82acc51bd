"""The course of a point with GuideLLM: a program stands for it that asks the engine nothing and writes its layout.

What GuideLLM itself does with an engine is tested with the real one (`tests/engines/guidellm`, `tests/cluster`).
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from enginebench.api.loadplan import DatasetPlan, GuideLlmPlan, LoadPlan, PointPlan, Row
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.guidellm import point as course
from enginebench.loadgen.guidellm.point import GuideLlm
from enginebench.loadgen.scraper import Scraper, scraper_of, serve
from enginebench.results import engine_metrics
from enginebench.results.point_report import PointReport
from tests.support.engine import Engine, serving
from tests.unit.loadgen.guidellm.agents import agent_with
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.points import site_of

REPORT = """
import json, sys, time
said = {name: value for name, value in zip(sys.argv, sys.argv[1:])}
seconds = json.loads(said["--constraint"])["seconds"]
rows = open(json.loads(said["--data"])["path"]).read().splitlines()
start = time.time()
time.sleep(min(seconds, 1.0))

def request(begin, first, last, tokens):
    times = {"request_start": begin, "first_token_iteration": first, "last_token_iteration": last,
             "token_iterations": tokens, "request_end": last, "targeted_start": begin}
    return {"info": {"timings": times}, "prompt_tokens": 7, "output_tokens": tokens}

begun = [start + 0.01 * n for n in range(int(seconds * 100) - 30)]
report = {"benchmarks": [{"requests": {
    "successful": [request(t, t + 0.02, t + 0.12, 11) for t in begun], "incomplete": None,
    "errored": [],
}, "metrics": {}}]}
json.dump(report, open(json.loads(said["--output"])["path"], "w"))
print(len(rows), "rows")
"""
LENGTHS = DatasetPlan(rows=(Row(prompt="a", output_tokens=4), Row(prompt="b", output_tokens=8)))


def asked(**changes: Any) -> Callable[[str], LoadPlan]:
    return lambda url: plan(url, guidellm=GuideLlmPlan(version="0.8.1"), point_bytes=1 << 20, **changes)


async def measured(
    folder: Path,
    program: str,
    made: Callable[[str], LoadPlan] | None = None,
    interrupt_after: float | None = None,
    engine: Engine | None = None,
) -> PointReport | None:
    """`engine`: one that is asked for its metrics meanwhile."""
    async with serving(engine or Engine()) as at, agent_with(folder, program), AsyncExitStack() as more:
        of = (made or asked())(at.url)
        site = await site_of(of)
        if engine is not None:
            site = replace(site, scraper=await more.enter_async_context(scraping(of)))
        guidellm = GuideLlm(of, folder)
        await guidellm.ready(of.points)
        if interrupt_after is not None:
            asyncio.get_running_loop().call_later(interrupt_after, site.interrupt.set)
        return await guidellm.measure(site, PointPlan(index=0, concurrency=2))


async def test_the_window_of_a_report_becomes_a_point(tmp_path: Path) -> None:
    report = await measured(tmp_path, REPORT)
    assert report is not None
    assert (report.generator, report.generator_version) == ("guidellm", "0.8.1")
    assert report.window_seconds == 1.0
    assert report.requests.succeeded in (99, 100, 101), "one every 10 ms"
    assert 92 <= report.requests_per_second <= 101, "the first to end does so 0.12 s after GuideLLM has begun"
    assert report.output_tokens_per_second == pytest.approx(1100, rel=0.02)
    assert report.ttft.p50 == pytest.approx(20, abs=0.01)
    assert report.itl.p99 == pytest.approx(10, abs=0.01)
    assert report.request_latency.p90 == pytest.approx(120, abs=0.01)
    assert report.inter_event_gap.count == 0, "which nobody saw"
    assert report.evidence.own_lag is None
    assert report.evidence.strained is not None
    assert report.evidence.strained.concurrency == pytest.approx(12, rel=0.05)
    assert report.request is not None
    assert '"max_completion_tokens":10' in report.request.json
    assert report.guidellm is not None
    assert report.guidellm.requests_per_second == pytest.approx(100, rel=0.15)
    assert report.guidellm_report is not None
    assert not (tmp_path / "point-0").exists(), "its files are gone"


@asynccontextmanager
async def scraping(of: LoadPlan) -> AsyncIterator[Scraper]:
    """In the load pod it is a process."""
    ours, its = socket.socketpair()
    work = asyncio.create_task(serve(of, its, print))
    scraper = await scraper_of([ours])
    assert scraper is not None
    yield scraper
    await scraper.end()
    await work


async def test_the_engine_s_own_metrics_are_of_the_window(tmp_path: Path) -> None:
    """It is asked from before GuideLLM's first request until after its last; what counts is what lies in the window."""
    began, asked_at = monotonic(), []

    def counters() -> str:
        asked_at.append(monotonic() - began)
        return f"vllm:num_requests_running 3\nvllm:generation_tokens_total {1000 * asked_at[-1]}\n"

    whole = REPORT.replace("min(seconds, 1.0)", "seconds")
    report = await measured(tmp_path, whole, asked(duration_seconds=3), engine=Engine(counters=counters))
    assert report is not None
    found = report.engine_metrics
    assert found is not None
    assert found.unobserved == ""
    assert 2 <= found.scrapes < len(asked_at), "one a second, of a window of three; more before and after"
    assert found.scrapes - 1.2 <= found.seconds <= 3.05, "from the first of them to the last"
    assert found.running_max == 3
    assert found.generation_tokens == pytest.approx(1000 * found.seconds, rel=0.02)
    assert (found.own_gap_count, found.own_gap_mean) == (None, None), "GuideLLM does not tell them"
    series = engine_metrics.decode(report.engine_series)
    assert series.step_seconds == 1
    assert report.within_point is not None
    assert report.within_point.ttft_p50 is not None
    assert report.within_point.ttft_p50.low == pytest.approx(20, abs=0.01)
    assert series.columns["running"] == [3.0] * (found.scrapes - 1)


async def test_a_salt_opens_every_prompt_of_its_file(tmp_path: Path) -> None:
    keeping = REPORT.replace("print(", f"open({str(tmp_path / 'kept')!r}, 'w').write(chr(10).join(rows)); print(")
    await measured(tmp_path, keeping)
    rows = (tmp_path / "kept").read_text().splitlines()
    assert len(set(rows)) == len(rows) >= course.LEAST_ROWS


async def test_prompts_as_they_are_repeat(tmp_path: Path) -> None:
    report = await measured(tmp_path, REPORT, asked(prompt_reuse="AsIs"))
    assert report is not None
    assert report.evidence.prompts_repeated > 0.5, "fifty rows, and a hundred requests in the window"


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("import sys; sys.exit('no such option')", "ended with exit code 1 and said: no such option"),
        ("pass", "left no report that can be read"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "had no more memory"),
        ("import os, signal, time; os.kill(os.getppid(), signal.SIGKILL); time.sleep(1)", "had no more memory"),
        (REPORT.replace("range(int(seconds * 100) - 30)", "()"), "sent no request"),
    ],
)
async def test_what_fails_is_told_with_its_last_words(tmp_path: Path, program: str, says: str) -> None:
    with pytest.raises(GaveUp, match=says) as failure:
        await measured(tmp_path, program)
    assert failure.value.reason == "GuideLlmFailed"


async def test_one_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "OVERHEAD_SECONDS", 0.1)
    with pytest.raises(GaveUp, match="did not end within"):
        await measured(tmp_path, "import time; time.sleep(600)")


async def test_sigterm_leaves_the_point_to_be_measured_again(tmp_path: Path) -> None:
    assert await measured(tmp_path, "import time; time.sleep(600)", interrupt_after=2.0) is None


async def test_what_it_cannot_do_is_refused_before_it_runs(tmp_path: Path) -> None:
    conversation = asked(dialect="ollama", dataset=LENGTHS)
    with pytest.raises(GaveUp, match="max_completion_tokens alone") as failure:
        await measured(tmp_path, REPORT, conversation)
    assert failure.value.reason == "GuideLlmCannot"


async def test_an_engine_behind_tls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GaveUp, match="no CA to trust") as failure:
        await GuideLlm(asked()("https://127.0.0.1:1"), tmp_path).ready(())
    assert failure.value.reason == "GuideLlmCannot"


async def test_another_version_in_the_image_is_refused(tmp_path: Path) -> None:
    async with agent_with(tmp_path, REPORT, version="0.4.0.dev0"):
        with pytest.raises(GaveUp, match=r"holds GuideLLM 0\.4\.0\.dev0, not 0\.8\.1") as failure:
            await GuideLlm(asked()("http://127.0.0.1:1"), tmp_path).ready(())
    assert failure.value.reason == "GuideLlmVersion"


async def test_more_users_than_its_memory_takes_are_refused(tmp_path: Path) -> None:
    of = plan("http://127.0.0.1:1", guidellm=GuideLlmPlan(version="0.2.1"))
    async with agent_with(tmp_path, REPORT, version="0.2.1"):
        guidellm = GuideLlm(of, tmp_path)
        with pytest.raises(GaveUp, match=r"takes about .* GiB of memory for 4096000 users") as failure:
            await guidellm.ready([PointPlan(index=0, concurrency=1), PointPlan(index=1, concurrency=4096000)])
    assert failure.value.reason == "GuideLlmTooLarge"
