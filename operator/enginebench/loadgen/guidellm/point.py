"""One load point by GuideLLM: warmed up as any other, then GuideLLM's own run, of which a window counts.

EngineBench's own users warm the engine up at the point's load, and find out how long an answer takes there. GuideLLM
then runs for so long that its own beginning is over when the window opens, and that what began in the window can end
under load: settling, window, drain. Nothing of the figures comes from the warm-up.
"""

import asyncio
import contextlib
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns, time, time_ns

import msgspec

from enginebench.api.loadplan import EXCHANGE_FOLDER, LoadPlan, PointPlan, Row
from enginebench.loadgen.bodies import described
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.guidellm import records
from enginebench.loadgen.guidellm.adapter import Adapter, Job, JsonObject, Own, Report
from enginebench.loadgen.guidellm.remote import Agent, Ended, Hello, Tick
from enginebench.loadgen.guidellm.v0_2 import V02
from enginebench.loadgen.guidellm.v0_8 import V08
from enginebench.loadgen.keep import Kept, keep
from enginebench.loadgen.point import MIN_DRAIN_SECONDS, Site, burst_users, first_of, load_of, wait_for
from enginebench.loadgen.prometheus import gpu_series
from enginebench.loadgen.report import Course, point_report
from enginebench.loadgen.scraper import HAS_NONE
from enginebench.results.point_report import GuideLlmReport, PointReport
from enginebench.results.record import Window

ADAPTERS: dict[str, Adapter] = {adapter.version: adapter for adapter in (V02(), V08())}
OVERHEAD_SECONDS = 300.0
"""GuideLLM takes 10 to 40 s to begin, and its report some: beyond this it hangs."""
DRAIN_SHARE = 1.5
"""Of the time that the slowest first answer took in the warm-up is left for answers that began in the window."""
LEAST_ROWS, MOST_ROWS_BYTES = 1000, 256 * 1024**2
SPARE_ROWS = 1.5
"""Rows are made for so many times the requests that the warm-up lets expect: a prompt is not to come twice."""
KILLED = -9


@dataclass(frozen=True, slots=True)
class Warmed:
    """What the warm-up has shown."""

    seconds: float
    """An answer takes, at the most, and at least as far as it was waited for."""
    requests_per_second: float
    bound_reached: bool = False


class GuideLlm:
    """The load generator of a plan that asks for GuideLLM."""

    def __init__(self, plan: LoadPlan, folder: Path = Path(EXCHANGE_FOLDER)) -> None:
        assert plan.guidellm is not None  # it is made for such plans
        self._plan = plan
        self._adapter = ADAPTERS[plan.guidellm.version]
        self._folder = folder
        self._agent = Agent(folder)
        self._here = Hello()

    async def ready(self, points: Sequence[PointPlan]) -> None:
        """Its container is there, with the right version and room for the heaviest of the points; else GaveUp."""
        if self._plan.url.startswith("https:"):
            raise GaveUp(
                "GuideLlmCannot",
                f"{self._plan.url} is reached over TLS, and GuideLLM is handed no CA to trust: load it with "
                "loadGenerator.native.",
            )
        self._here, wanted = await self._agent.hello(), self._adapter.version
        if self._here.version != wanted:
            found = f"GuideLLM {self._here.version}" if self._here.version else "no GuideLLM that its python3 knows"
            raise GaveUp(
                "GuideLlmVersion",
                f"The image of loadGenerator.guidellm holds {found}, not {wanted}. Name an image of {wanted}, or the "
                "version that it holds.",
            )
        users = max(map(burst_users, points), default=1)
        need, have = self._adapter.memory(users, self._here.cpus), self._here.memory
        if have and need > have:
            raise GaveUp(
                "GuideLlmTooLarge",
                f"GuideLLM {wanted} takes about {need / 2**30:.1f} GiB of memory for {users} users, and has "
                f"{have / 2**30:.1f} GiB: raise spec.loadGenerator.resources.limits.memory, or take fewer users or "
                "another load generator.",
            )

    async def measure(self, site: Site, point: PointPlan) -> PointReport | None:
        """The point's report; None if it was interrupted. GaveUp where GuideLLM fails."""
        plan, busy_with = self._plan, await site.idle()
        started_at, engine_before = time(), await site.engine_start()
        site.say("WarmingUp", "")
        warmed = await _warm_up(site, point)
        if site.interrupt.is_set():
            return None
        job, lines = await asyncio.to_thread(self._prepare, site, point, warmed)
        try:
            site.say("Loading", "")
            if site.scraper is not None:
                site.scraper.open_window()
            ended = await self._run(site, job)
            if ended is None:
                return None
            if site.scraper is not None:
                site.scraper.close_window()
            report = await asyncio.to_thread(self._read, job, ended)
            kept_at = time()
        finally:
            await asyncio.to_thread(shutil.rmtree, job.report.parent, ignore_errors=True)
        window = _window(report, warmed, plan)
        scheduled = point.request_rate is not None
        scraped = await site.scraper.scraped() if site.scraper is not None else HAS_NONE
        seen = records.seen(report.requests, window, ended.ticks, scheduled=scheduled)
        course = Course(
            started_at=started_at,
            ended_at=kept_at,
            warmup_bound_reached=warmed.bound_reached,
            drain_bound_reached=any(r.tracked and r.outcome == "open" for r in seen.records),
            engine_start_before=engine_before,
            engine_start_after=await site.engine_start(),
            engine_busy_with=busy_with,
            prompts_repeated=_repeated(site, point, report, window, lines),
            request=described(self._adapter.body(job)),
            scraped=scraped.later(time_ns() - monotonic_ns()),
            gpus=await gpu_series(plan, window.open / 1e9, window.close / 1e9),
            opened_at=window.open / 1e9,
            carries=site.carries,
        )
        kept = await asyncio.to_thread(keep, plan, point, seen) if plan.requests_folder else Kept()
        strained = records.strained(ended.ticks, seen.records, window, self._here.cpus)

        def besides(made: PointReport) -> PointReport:
            # GuideLLM does not tell why an answer ended.
            evidence = msgspec.structs.replace(made.evidence, finish_reasons={}, strained=strained)
            return msgspec.structs.replace(kept.told_in(self._signed(made, report.own)), evidence=evidence)

        return await asyncio.to_thread(point_report, point, seen, course, most_bytes=plan.point_bytes, besides=besides)

    def _signed(self, made: PointReport, own: Own) -> PointReport:
        """With what GuideLLM says of itself."""
        return msgspec.structs.replace(
            made,
            generator="guidellm",
            generator_version=self._adapter.version,
            guidellm_report=GuideLlmReport(
                requests_per_second=own.requests_per_second,
                output_tokens_per_second=own.output_tokens_per_second,
                ttft_p50=own.ttft.get("p50"),
                ttft_p99=own.ttft.get("p99"),
                ttft_mean=own.ttft.get("mean"),
                itl_p50=own.itl.get("p50"),
                itl_p99=own.itl.get("p99"),
                itl_mean=own.itl.get("mean"),
            ),
        )

    def _prepare(self, site: Site, point: PointPlan, warmed: Warmed) -> tuple[Job, int]:
        """The run, its data file written; and how many lines that has."""
        plan = self._plan
        assert plan.duration_seconds is not None  # a rule of the contract
        folder = self._folder / f"point-{point.index}"
        folder.mkdir(exist_ok=True)
        job = Job(
            plan=plan,
            point=point,
            body=site.bodies.common,
            most_tokens=plan.request.max_output_tokens,
            seconds=_settling(warmed, plan) + plan.duration_seconds + _draining(warmed),
            cpus=self._here.cpus,
            rows=folder / "rows.jsonl",
            report=folder / "report.json",
        )
        rate = point.request_rate or warmed.requests_per_second
        wanted = max(LEAST_ROWS, math.ceil(SPARE_ROWS * rate * job.seconds) + 2 * burst_users(point))
        if plan.prompt_reuse == "AsIs":
            wanted = min(wanted, site.bodies.rows)
        if refusal := self._adapter.refuses(job, list(_rows(site, point, min(wanted, LEAST_ROWS)))):
            raise GaveUp("GuideLlmCannot", f"{refusal}.")
        return job, _write(job.rows, (self._adapter.row(job, row) for row in _rows(site, point, wanted)))

    async def _run(self, site: Site, job: Job) -> Ended | None:
        """None where we were interrupted."""
        command, environment = self._adapter.command(job), self._adapter.environment(job)
        work = asyncio.ensure_future(
            self._agent.run(command, {**environment, "HF_HOME": str(job.rows.parent / "hf")}, _silent(site))
        )
        try:
            limit = job.seconds * 1.5 + OVERHEAD_SECONDS
            came = await first_of(asyncio.wait((work,)), site.interrupt.wait(), seconds=limit)
            if site.interrupt.is_set():
                return None
            if not came:
                raise GaveUp(
                    "GuideLlmFailed",
                    f"GuideLLM {self._adapter.version} did not end within {limit:.0f} s, though it was told to load for "
                    f"{job.seconds:.0f} s. Look at spec.loadGenerator.guidellm.args, and give it more CPU.",
                )
            ended = work.result()
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await work
        if ended is None or ended.exit == KILLED:
            raise GaveUp(
                "GuideLlmFailed",
                f"GuideLLM {self._adapter.version} was killed, most likely because its container had no more memory: "
                "raise spec.loadGenerator.resources.limits.memory, or take fewer users.",
            )
        return ended

    def _read(self, job: Job, ended: Ended) -> Report:
        try:
            report = self._adapter.read(job.report.read_bytes())
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            said = ended.said.strip() or "nothing"
            raise GaveUp(
                "GuideLlmFailed",
                f"GuideLLM {self._adapter.version} left no report that can be read ({error}); it ended with exit code "
                f"{ended.exit} and said: {said[-1000:]}. Look at spec.loadGenerator.guidellm.args.",
            ) from error
        if not report.requests:
            raise GaveUp(
                "GuideLlmFailed",
                f"GuideLLM {self._adapter.version} sent no request; it said: {ended.said.strip()[-1000:]}.",
            )
        return report


def _rows(site: Site, point: PointPlan, wanted: int) -> Iterator[Row]:
    """As EngineBench's own load generator would ask them."""
    return (site.bodies.asked_row(point, "window", number) for number in range(wanted))


def _write(path: Path, rows: Iterable[JsonObject]) -> int:
    """How many lines were written: all, or as many as there is room for."""
    lines = written = 0
    with path.open("wb") as file:
        for row in rows:
            written += file.write(msgspec.json.encode(row) + b"\n")
            lines += 1
            if written > MOST_ROWS_BYTES:
                break
    return lines


async def _warm_up(site: Site, point: PointPlan) -> Warmed:
    """The point's load by EngineBench's own users, until each has had one answer, bounded. Without a warm-up nothing
    is known: the drain is the longest that there is."""
    plan, loop = site.plan, asyncio.get_running_loop()
    if not plan.warmup_max_seconds:
        return Warmed(seconds=MIN_DRAIN_SECONDS, requests_per_second=0.0)
    load = load_of(plan, site.address, point, site.bodies)
    await load.connect()
    try:
        began = loop.time()
        load.start(plan.ramp_seconds)
        warm = await wait_for(site, load.warm, plan.ramp_seconds + plan.warmup_max_seconds)
        lasted = loop.time() - began
    finally:
        load.stop()
    slowest = max(lasted - plan.ramp_seconds, lasted / 10)
    return Warmed(seconds=slowest, requests_per_second=load.progress / lasted, bound_reached=not warm)


def _settling(warmed: Warmed, plan: LoadPlan) -> float:
    """From GuideLLM's first request until the window: the ramp, and then every user has had an answer."""
    return plan.ramp_seconds + (warmed.seconds if plan.warmup_max_seconds else 0.0)


def _draining(warmed: Warmed) -> float:
    """After the window, under load: at most as long as the native load generator would take."""
    return min(1.0 + DRAIN_SHARE * warmed.seconds, max(MIN_DRAIN_SECONDS, 2 * warmed.seconds))


def _window(report: Report, warmed: Warmed, plan: LoadPlan) -> Window:
    """In nanoseconds since the epoch."""
    assert plan.duration_seconds is not None  # a rule of the contract
    opens = round((min(r.start for r in report.requests) + _settling(warmed, plan)) * 1e9)
    return Window(opens, opens + plan.duration_seconds * 1_000_000_000)


def _repeated(site: Site, point: PointPlan, report: Report, window: Window, lines: int) -> float:
    """Share of the window's requests whose prompt had been sent before. GuideLLM takes the lines in their order, again
    from the first when they are used up."""
    starts = sorted(round(r.start * 1e9) for r in report.requests)
    before = sum(start < window.open for start in starts)
    within = sum(start in window for start in starts)
    if site.plan.prompt_reuse == "AsIs":
        site.bodies.count_repeats(point, before, within)
        return site.bodies.repeated()
    return max(0, before + within - max(before, lines)) / within if within else 0.0


def _silent(site: Site) -> Callable[[Tick], None]:
    """A tick is a sign of life."""
    return lambda _: site.say("Loading", "")
