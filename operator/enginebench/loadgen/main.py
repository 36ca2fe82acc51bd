"""`python -m enginebench loadgen`: does what the plan says, speaks in frames, then waits to be told to go."""

import argparse
import asyncio
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import uvloop

from enginebench.api import loadplan
from enginebench.api.loadplan import CALIBRATION_SECONDS, CALIBRATION_STREAMS, LoadPlan, PointPlan, Row
from enginebench.loadgen import dataset, follower_pod
from enginebench.loadgen.access import address_of
from enginebench.loadgen.address import Address
from enginebench.loadgen.asking import ProcessStart
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.calibrate import calibrated, plan_against
from enginebench.loadgen.channel import Channel
from enginebench.loadgen.crew import Crew, gathered
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.fetch import fetch
from enginebench.loadgen.follower import Follower
from enginebench.loadgen.idle import Idle
from enginebench.loadgen.muster import Muster
from enginebench.loadgen.point import BURST_TOKENS, Site, burst, burst_users, measure
from enginebench.loadgen.processes import Processes, fork
from enginebench.loadgen.routes import ROUTES
from enginebench.loadgen.scraper import Scraper, has_metrics, scraper_of, serve
from enginebench.loadgen.speaker import Speaker
from enginebench.loadgen.thread import in_thread
from enginebench.loadgen.verify import asked, resolved, verify
from enginebench.results.loads import in_words
from enginebench.results.measured import as_measured
from enginebench.results.messages import End, Failure, GeneratorLimit, Progress
from enginebench.results.stop import why_skipped
from enginebench.results.sweep import at_load, placed

STAY_SECONDS = 600
"""After the end the pod stays until it is told to go: so long its log can be read."""
HEARTBEAT_SECONDS = 1.0
CALIBRATION_POINT_SECONDS = 3

_T = TypeVar("_T")


def main(argv: Sequence[str]) -> int:
    """Exit code 0 whatever came of it: what went wrong is said in a frame. 2: there is no plan to follow."""
    parser = argparse.ArgumentParser(prog="enginebench loadgen", description="Loads one engine as a plan says.")
    parser.add_argument("--plan", type=Path, default=Path(loadplan.PLAN_FOLDER) / loadplan.PLAN_FILE)
    path: Path = parser.parse_args(list(argv)).plan
    try:
        plan = loadplan.decode(path.read_bytes())
    except (OSError, msgspec.MsgspecError) as error:
        print(f"enginebench loadgen: the plan {path} cannot be read: {error}", file=sys.stderr)  # noqa: T201  # a pod's last word
        return 2
    variables = loadplan.TOKEN_VARIABLE, loadplan.PROMETHEUS_TOKEN_VARIABLE
    speaker = Speaker.on_stdout(*(os.environ.get(variable, "").strip() for variable in variables))
    followers = plan.processes - 1 if plan.task == "load" else 0
    pod = int(os.environ.get(loadplan.INDEX_VARIABLE, "0")) if plan.pods > 1 else 0
    if pod:
        return follower_pod.main(plan, pod, secret(), speaker.complain)
    # First, and ended last: later ones inherit the leader's ends of the sockets of earlier ones, and hold them open.
    scrapers = fork(1 if has_metrics(plan) else 0, lambda _, own: uvloop.run(serve(plan, own, speaker.complain)))
    processes = fork(followers, lambda _, own: uvloop.run(follow(plan, own, speaker.complain)))
    carriers = fork(
        followers if plan.calibrate_url else 0,
        lambda _, own: uvloop.run(follow(calibration_of(plan), own, speaker.complain)),
    )
    uvloop.run(Program(plan, speaker, processes, carriers, scrapers).run())
    return 0


def secret() -> bytes:
    """What the load pods of a run know each other by."""
    return os.environ.get(loadplan.SECRET_VARIABLE, "").encode()


async def follow(plan: LoadPlan, own: socket.socket, complain: Callable[[str], None]) -> None:
    """A follower of this pod, at its end of a socket."""
    await Follower(plan, Channel(*await asyncio.open_unix_connection(sock=own)), complain).run()


def calibration_of(plan: LoadPlan) -> LoadPlan:
    """What the pod's processes do to find out what they carry."""
    return plan_against(plan.calibrate_url, CALIBRATION_POINT_SECONDS, plan.processes)


class Program:
    """One load pod's work, from its plan to its end."""

    def __init__(
        self, plan: LoadPlan, speaker: Speaker, processes: Processes, carriers: Processes, scrapers: Processes
    ) -> None:
        """`processes` share the load with this one, `carriers` its calibration; one or none of `scrapers` asks the
        engine for its metrics."""
        self._plan = plan
        self._speaker = speaker
        self._processes = processes
        self._carriers = carriers
        self._scrapers = scrapers
        self._scraper: Scraper | None = None
        self._crew = Crew()
        self._interrupt = asyncio.Event()
        self._progress = Progress(stage="Waiting")
        self._sent = 0
        self._carries: float | None = None
        self._bug: Exception | None = None

    async def run(self) -> None:
        """Work, say the end, and stay."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._callback_failed)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._interrupt.set)
        heart = asyncio.create_task(self._beat())
        try:
            await self._work()
            if self._bug is not None:
                raise self._bug
        except GaveUp as reason:
            self._give_up(reason)
        except Exception as error:  # whatever it is, the operator must hear of it
            self._speaker.complain("".join(traceback.format_exception(error)))
            self._give_up(GaveUp("LoadGeneratorError", f"{type(error).__name__}: {error}"))
        finally:
            heart.cancel()
        self._speaker.say(End(points=self._sent))
        await self._crew.end()
        self._processes.end()
        if self._scraper is not None:
            await self._scraper.end()
        self._scrapers.end()
        with suppress(TimeoutError):
            async with asyncio.timeout(STAY_SECONDS):
                await self._interrupt.wait()

    async def _work(self) -> None:
        self._crew = await gathered(self._processes.sockets)
        self._scraper = await scraper_of(self._scrapers.sockets)
        limit = await self._limit() if self._plan.calibrate_url else None
        if self._plan.pods > 1 and self._plan.task == "load":
            muster = Muster(self._plan, secret(), self._crew.remotes)
            self._crew = await self._unless_interrupted(muster.complete(partial(self._say, "Waiting")))
        if self._plan.task == "fetch":
            self._speaker.say(await self._unless_interrupted(fetch(self._plan, self._address(), self._speaker)))
            return
        rows = await self._rows()
        if self._plan.task == "prepare":
            return
        address = self._address()
        report = await self._unless_interrupted(verify(self._plan, address, rows, self._speaker))
        if not self._plan.model:
            self._plan = msgspec.structs.replace(self._plan, model=report.served_model)
            self._crew.ask_for(report.served_model)
        self._speaker.say(msgspec.structs.replace(report, generator_limit=limit))
        await self._measure(address, rows)

    def _address(self) -> Address:
        try:
            return address_of(self._plan, os.environ)
        except ValueError as error:
            raise GaveUp("VerificationFailed", f"{error}.") from None

    async def _rows(self) -> Sequence[Row]:
        """The data set, which is told of whatever it is like."""
        said, chat = self._plan.dataset, ROUTES[self._plan.request.api].chat
        if said.file is None and said.download is None:
            rows, report = dataset.read(said, chat=chat)
        else:
            loop = asyncio.get_running_loop()
            self._say("Waiting", "reading the data set")

            def say(words: str) -> None:
                loop.call_soon_threadsafe(self._say, "Waiting", words)

            rows, report = await self._unless_interrupted(in_thread(partial(dataset.read, said, chat=chat, say=say)))
        self._speaker.say(report)
        if self._plan.task == "prepare":
            return rows
        if report.errors:
            words = f"{said.source or 'spec.workload.dataset'} is refused: {'; '.join(report.errors)}. Correct it."
            raise GaveUp("DatasetInvalid", words)
        if said.digest not in ("", report.digest):
            raise GaveUp(
                "DatasetChanged",
                f"The data set is not the one that this run began with ({report.digest} instead of "
                f"{said.digest}). Leave it as it is while a run lasts.",
            )
        self._crew.hand_out(rows)
        return rows

    async def _limit(self) -> GeneratorLimit | None:
        """What this pod carries; None where it was interrupted."""
        self._say("Waiting", "calibrating: measuring what the load generator carries")
        try:
            async with asyncio.timeout(CALIBRATION_SECONDS):
                found = await calibrated(
                    calibration_of(self._plan), self._carriers, self._interrupt, CALIBRATION_STREAMS
                )
        except TimeoutError as error:
            raise GaveUp(
                "CalibrationFailed",
                f"The load generator could not measure itself within {CALIBRATION_SECONDS} s: give it more CPU "
                "(spec.loadGenerator.resources), or do without spec.loadGenerator.calibrate.",
            ) from error
        if found is None:
            return None
        self._carries = found.tokens_per_second
        return GeneratorLimit(tokens_per_second=found.tokens_per_second, streams=found.streams, bounded=found.bounded)

    async def _measure(self, address: Address, rows: Sequence[Row]) -> None:
        where, plan = await asked(resolved(address)), self._plan
        site = Site(
            plan=plan,
            address=where,
            bodies=Bodies(plan, address, rows),
            crew=self._crew,
            engine_start=ProcessStart(address),
            interrupt=self._interrupt,
            say=self._say,
            idle=Idle(plan, address, where, Bodies(plan, address, rows, most=1), self._interrupt),
            scraper=self._scraper,
            carries=self._carries,
        )
        measured = list(plan.measured)
        widest = [at_load(p, plan.sweep, plan.sweep.highest) for p in plan.points] if plan.sweep else plan.points
        measured_by = partial(measure, site)
        if plan.guidellm is not None:
            from enginebench.loadgen.guidellm.point import GuideLlm  # others need not load it

            guidellm = GuideLlm(plan)
            await self._unless_interrupted(guidellm.ready(widest))
            measured_by = partial(guidellm.measure, site)
        users = max(map(burst_users, widest), default=0)
        if users:
            self._say("WarmingUp", "waiting until the engine is idle")
            await site.idle()
            self._say("WarmingUp", f"a burst of {in_words(users, None)}")
            await burst(site, users, Bodies(plan, address, rows, most=BURST_TOKENS))
        for planned in plan.points:
            point = placed(planned, plan.sweep, measured)
            if plan.stop_when is not None and why_skipped(point, plan.stop_when, measured):
                continue  # the operator comes to the same by itself
            self._crew.raise_refusals()
            self._crew.raise_lost()
            total = plan.points_total or len(plan.points)
            self._enter(
                point, f"{in_words(point.concurrency, point.request_rate)}, load point {point.index + 1} of {total}"
            )
            report = await measured_by(point) if not self._interrupt.is_set() else None
            self._crew.raise_refusals()
            if report is not None and self._bug is None:
                self._speaker.say(report)
                self._sent += 1
                measured.append(as_measured(report))
            self._crew.raise_lost()
            if self._interrupt.is_set():
                if self._sent < len(plan.points) or (report is not None and report.evidence.interrupted):
                    raise GaveUp("Interrupted", "The load pod was told to stop before it had measured all points.")
                return

    async def _unless_interrupted(self, work: Coroutine[None, None, _T]) -> _T:
        """The work's result; it is broken off when the pod is told to stop."""
        task, told = asyncio.ensure_future(work), asyncio.ensure_future(self._interrupt.wait())
        try:
            await asyncio.wait((task, told), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise GaveUp("Interrupted", "The load pod was told to stop before the engine had answered.")
        finally:
            task.cancel()
            told.cancel()
            await asyncio.gather(task, told, return_exceptions=True)

    def _give_up(self, reason: GaveUp) -> None:
        """Say why; a bug of our own goes before whatever followed from it."""
        if self._bug is not None:
            reason = GaveUp("LoadGeneratorError", f"{type(self._bug).__name__}: {self._bug}")
        self._speaker.say(Failure(reason=reason.reason, message=str(reason)))

    def _callback_failed(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of the hot path raised: what was measured since is not to be trusted, so everything ends."""
        error = context.get("exception")
        trace = "".join(traceback.format_exception(error)) if error is not None else ""
        self._speaker.complain(f"{context.get('message')}\n{trace}")
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self._bug = self._bug or error
            self._interrupt.set()

    # What it says of itself

    def _enter(self, point: PointPlan, words: str) -> None:
        self._progress = Progress(stage="WarmingUp", message=words, point=point.index)
        self._speaker.progress(self._progress)

    def _say(self, stage: str, message: str) -> None:
        """A new stage, and a new message if there is one; else the point's own words stand."""
        self._progress = msgspec.structs.replace(self._progress, stage=stage, message=message or self._progress.message)
        self._speaker.progress(self._progress)

    async def _beat(self) -> None:
        """A pod that says nothing is taken for dead: whatever it waits for, its last words are said again."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            self._speaker.again()
