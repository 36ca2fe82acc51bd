"""Each reason brought about for real: processes that are stopped, throttled or restarted, engines that misbehave."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from enginebench.api.loadplan import DatasetPlan, PointPlan, RequestPlan
from enginebench.loadgen.point import measure
from enginebench.workflow.verdicts import Verdict, judge_point
from tests.support.engine import Behaviour, Engine, serving
from tests.unit.loadgen.plans import plan, prompts
from tests.unit.loadgen.points import measured, site_of
from tests.unit.validity import pods
from tests.unit.validity.pods import Process

CGROUPS = Path("/sys/fs/cgroup")
NAME = "enginebench-validity-test"


def four_users(url: str, tokens: int = 10, **changes: Any) -> Any:
    """Answers of so many tokens, for four seconds."""
    request = RequestPlan(api="Completions", max_output_tokens=tokens)
    settings = {"points": (PointPlan(index=0, concurrency=4),)} | changes
    return plan(url, request=request, duration_seconds=4, **settings)


def test_a_load_generator_that_was_stopped_for_a_second_knows_it(tmp_path: Path) -> None:
    def stop(process: Process) -> None:
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        process.send_signal(signal.SIGCONT)

    with pods.engine() as (_, url):
        report = pods.measured(four_users(url), tmp_path, disturb=stop)
    verdict, lag = judge_point(report), report.evidence.own_lag
    assert (verdict.validity, verdict.reasons[0]) == ("Invalid", "LoadGeneratorSaturated")
    assert " TTFT of " in verdict.message
    assert lag is not None
    assert isinstance(lag.p90, float)
    assert lag.p90 > 400  # a fourth of the window: lags from a second down to nothing
    assert lag.count > 400  # not one sample for the whole second


def test_a_load_generator_that_reads_events_together_knows_it(tmp_path: Path) -> None:
    """It is stopped again and again while the engine goes on writing: what lies in the sockets is read at once. The
    answers are long: of a short one little is left to write, and it asks for no other meanwhile."""

    def stutter(process: Process) -> None:
        for _ in range(12):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.12)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.04)

    with pods.engine() as (_, url):
        report = pods.measured(four_users(url, tokens=400), tmp_path, disturb=stutter)
    verdict, together = judge_point(report), report.evidence.coalesced_by_lag
    assert together > 0.2
    assert (verdict.validity, verdict.reasons[0]) == ("Invalid", "LoadGeneratorSaturated")
    assert f"it read {100 * together:.1f}% of the events together with the one before" in verdict.message


def test_a_lag_that_is_nothing_to_a_long_ttft_is_known_to_be_in_the_gaps(tmp_path: Path) -> None:
    """First tokens take about a second, gaps 50 ms; stops of 20 ms are shorter than a gap, so that no two events come
    together."""

    def limp(process: Process) -> None:
        for _ in range(25):
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.02)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.08)

    with pods.engine(decode_step_microseconds=50_000, prefill_microseconds_per_token=100_000) as (_, url):
        what = four_users(url, tokens=20, points=(PointPlan(index=0, concurrency=1),))
        report = pods.measured(what, tmp_path, disturb=limp, after=0.5)
    verdict = judge_point(report)
    assert "LagInGaps" in verdict.reasons, verdict.message
    assert verdict.validity == "Limited"  # of so few requests; the remark takes nothing away
    assert "the load generator's lag is in the gaps: " in verdict.message


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup of the cpu controller of our own."""
    top = CGROUPS / "cpu" if (CGROUPS / "cpu").is_dir() else CGROUPS
    group = top / NAME
    try:
        group.mkdir(exist_ok=True)
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    if not any((group / name).exists() for name in ("cpu.cfs_quota_us", "cpu.max")):
        group.rmdir()
        pytest.skip("the cpu controller is not to be had for a cgroup of our own")
    yield group
    for _ in range(50):
        if not (group / "cgroup.procs").read_text():
            break
        time.sleep(0.1)
    group.rmdir()


def limit(group: Path, milliseconds: int) -> None:
    """Of every 100 ms, all processes of the cgroup together."""
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text(f"{1000 * milliseconds} 100000")
    else:
        (group / "cpu.cfs_quota_us").write_text(str(1000 * milliseconds))


def test_a_load_generator_that_its_cpu_limit_held_up_knows_it(cgroup: Path, tmp_path: Path) -> None:
    enter = ("sh", "-c", f'echo $$ > {cgroup}/cgroup.procs && exec "$@"', "sh")
    with pods.engine() as (_, url):
        what = four_users(url)
        report = pods.measured(what, tmp_path, prefix=enter, disturb=lambda _: limit(cgroup, 1), after=0.5)
    verdict = judge_point(report)
    assert report.evidence.throttled is not None
    assert report.evidence.throttled > 0.1
    assert (verdict.validity, verdict.reasons[0]) == ("Invalid", "LoadGeneratorSaturated")
    assert "its CPU limit held it up for " in verdict.message


def test_an_engine_that_was_restarted_is_known_by_its_start(tmp_path: Path) -> None:
    with ExitStack() as stack:
        process, url = stack.enter_context(pods.engine())
        port = int(url.rpartition(":")[2])

        def restart(_: Process) -> None:
            process.kill()
            process.wait()
            stack.enter_context(pods.engine(port=port))

        verdict = judge_point(pods.measured(four_users(url), tmp_path, disturb=restart, after=1.5))
    assert verdict.validity == "Invalid"
    assert "EngineRestarted" in verdict.reasons


async def judged(engine: Engine, **changes: Any) -> Verdict:
    """One point of two users for a second."""
    return judge_point(await measured(engine, users=2, **changes))


async def test_answers_of_another_model() -> None:
    verdict = await judged(Engine(behave=lambda n: Behaviour(model="other" if n == 5 else None)))
    assert (verdict.validity, verdict.reasons[0]) == ("Invalid", "WrongModel")
    assert "answers came from model other" in verdict.message


async def test_more_than_a_tenth_of_the_requests_fails() -> None:
    verdict = await judged(Engine(behave=lambda n: Behaviour(status=500 if n % 3 else 200)))
    assert (verdict.validity, verdict.reasons[0]) == ("Invalid", "ErrorRate")
    assert "HTTP 500: no room" in verdict.message


async def test_rows_that_are_asked_again_as_they_stand() -> None:
    rows = DatasetPlan(rows=prompts("a", "b", "c"))
    assert "CacheInfluenced" in (await judged(Engine(), dataset=rows, prompt_reuse="AsIs")).reasons
    assert "CacheInfluenced" not in (await judged(Engine(), dataset=rows)).reasons


async def test_events_of_several_tokens() -> None:
    assert (await judged(Engine(behave=lambda _: Behaviour(tokens_per_event=2)))).reasons[-1] == "MultiTokenEvents"


async def test_an_engine_that_slows_down() -> None:
    """After half of the window an answer takes ten times as long."""
    engine = Engine(behave=lambda _: Behaviour(ttft=0.02 * pace, gap=0.004 * pace))
    pace, users, opened = 1, 8, asyncio.get_running_loop().time()

    def slow() -> None:
        nonlocal pace
        pace = 10

    async with serving(engine):
        site = await site_of(plan(engine.url, duration_seconds=10))
        asyncio.get_running_loop().call_later(5.0, slow)
        report = await measure(site, PointPlan(index=0, concurrency=users))
    assert report is not None
    assert asyncio.get_running_loop().time() - opened > 10
    assert report.requests.succeeded > 300
    verdict = judge_point(report)
    assert "NotStationary" in verdict.reasons
    assert "the token rate of the second half is −" in verdict.message  # noqa: RUF001
