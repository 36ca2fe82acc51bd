"""The load pod as the operator meets it: it follows its plan and speaks real frames, on the virtual clock.

It stands for `enginebench.loadgen`: the same order of steps, the same messages, the same end on SIGTERM.
"""

import hashlib
import json
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from random import Random

import msgspec

from enginebench.api import loadplan
from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan
from enginebench.results import messages
from enginebench.results.frames import Encoder
from enginebench.results.loads import in_words
from enginebench.results.measured import as_measured
from enginebench.results.messages import DatasetReport, End, EngineReport, Failure, Progress, SpokenMessage
from enginebench.results.point_report import Censored, Evidence, Figure, PointReport, RequestCounts
from enginebench.results.stop import why_skipped
from enginebench.results.sweep import placed
from tests.simulation.programs.engine import Server
from tests.simulation.timeline import Terminated, Timeline

STAY_SECONDS = 600.0
DRAIN_SECONDS = 30.0
INSTANT = 1e-6
MODEL_BYTES = 4_000_000_000
SPEAK_EVERY = 20.0
"""Progress is thinner than the real pod's: each line wakes the operator."""
Steps = Generator[float, None, None]


class GivesUp(Exception):  # noqa: N818 - the end of its work, not an error of the simulation
    """The pod cannot go on, for this reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason=reason, message=message)


@dataclass(slots=True)
class LoadBehaviour:
    """How load pods of a target behave. Faults change single fields."""

    start_seconds: float = 0.5
    dies_after: float | None = None
    """Seconds from its start."""
    exit_code: int = 1
    reason: str = "Error"
    silent_after: float | None = None
    """From then on it hangs: nothing is said, nothing is done."""
    stuck_after: float | None = None
    """From then on it hangs, and yet repeats its last word."""
    forgets_end: bool = False
    """It exits with 0 after its last point, without the `end` message."""
    pods: int = 1_000_000
    """Only this many pods behave badly; later ones are sound."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the pod sees of the world."""

    timeline: Timeline
    dial: Callable[[str], Server | None]
    """What answers at a URL now."""
    read_file: Callable[[str], str | None]
    """A file of the mounted data set."""
    download: Callable[[str], str | None]
    """What lies at a URL."""
    write: Callable[[bytes], None]
    """One line to the log."""
    spoke: Callable[[PointReport, bytes], None]
    """The truth, for the judges: a point was measured and written."""
    measuring: Callable[[bool], None]
    """The truth: the pod measures now, or no more."""
    followers: Callable[[], int]
    """How many other load pods this one could lead now."""


@dataclass(frozen=True, slots=True)
class Window:
    """A point whose window is open."""

    point: PointPlan
    began: float
    opened: float
    server: Server | None
    """What answered when it began."""


class LoadPod:
    """One pod; `run` is its process."""

    def __init__(self, plan: LoadPlan, around: Surroundings, random: Random) -> None:
        self._plan = plan
        self._around = around
        self._random = random
        self._encoder = Encoder()
        self.said = Progress(stage="Waiting")
        self._points = 0
        self._measured = list(plan.measured)
        """What the loads of a sweep follow from."""
        self._window: Window | None = None
        """The point that is being measured."""
        self.leads = True
        """The pods that follow it are not let go yet."""

    def run(self, behaviour: LoadBehaviour) -> Generator[float, None, int]:
        try:
            yield behaviour.start_seconds
            yield from self._prepare() if self._plan.task == "prepare" else self._load()
            if behaviour.forgets_end:
                return 0
        except GivesUp as end:
            self.say(end.failure)
        except Terminated:
            yield from self._close()
            self.leads = False
            return 0
        self.say(End(points=self._points))
        self.leads = False
        try:
            yield STAY_SECONDS
        except Terminated:
            yield self._random.uniform(0.0, 0.5)
        return 0

    def _close(self) -> Steps:
        """SIGTERM: what was measured so far is written."""
        yield self._random.uniform(0.0, 3.0)
        if self._window is not None:
            self._report(self._window, interrupted=True)
        self.say(Failure(reason="Interrupted", message="Told to end (SIGTERM) before all load points were measured."))
        self.say(End(points=self._points))

    def _prepare(self) -> Steps:
        yield self._random.uniform(0.05, 1.0)
        self.say(self._dataset())

    def _dataset(self) -> DatasetReport:
        dataset = self._plan.dataset
        if dataset.file is None and dataset.download is None:
            digest = hashlib.sha256(msgspec.json.encode((dataset.rows, dataset.synthetic))).hexdigest()
            rows = len(dataset.rows) if dataset.rows is not None else dataset.synthetic.rows if dataset.synthetic else 0
            return DatasetReport(rows=rows, digest=f"sha256:{digest}")
        text = self._text(dataset)
        lines = text.splitlines()
        errors = tuple(
            f"line {n}: not a JSON object with a prompt" for n, line in enumerate(lines, 1) if not _is_row(line)
        )
        if not lines:
            errors = ("there is no row in it",)
        digest = hashlib.sha256(text.encode()).hexdigest()
        return DatasetReport(rows=max(0, len(lines) - len(errors)), digest=f"sha256:{digest}", errors=errors[:20])

    def _text(self, dataset: DatasetPlan) -> str:
        if dataset.download is None:
            text = self._around.read_file(dataset.file or "")
            if text is None:
                raise GivesUp("DatasetNotFound", f"{dataset.source} cannot be read: No such file or directory.")
            return text
        text = self._around.download(dataset.download.url)
        if text is None:
            raise GivesUp("DatasetDownloadFailed", f"{dataset.source} cannot be downloaded: HTTP 404 Not Found.")
        if (digest := hashlib.sha256(text.encode()).hexdigest()) != dataset.download.sha256:
            raise GivesUp("DatasetDigestMismatch", f"{dataset.source} is not the file that the run names: {digest}.")
        return text

    def _load(self) -> Steps:
        yield self._random.uniform(0.05, 0.3)
        yield from self._muster()
        report = self._dataset()
        self.say(report)
        if report.errors or not report.rows:
            raise GivesUp("DatasetInvalid", "; ".join(report.errors) or "The data set has no rows.")
        if self._plan.dataset.digest not in ("", report.digest):
            raise GivesUp("DatasetChanged", f"The data set is {report.digest}, not {self._plan.dataset.digest}.")
        server = yield from self._wait()
        if self._plan.pull_model and not server.has_model:
            yield from self._download(server)
        yield from self._verify(server)
        self._stage("WarmingUp", "a burst")
        yield self._random.uniform(0.2, 2.0)
        self._around.measuring(True)
        for number, planned in enumerate(self._plan.points, 1):
            point, stop = placed(planned, self._plan.sweep, self._measured), self._plan.stop_when
            if stop is not None and why_skipped(point, stop, self._measured):
                continue
            if self._missing:
                raise GivesUp("LoadPodLost", "The load generator's load pod 1 is lost: its connection is closed.")
            yield from self._measure(point, number)
        self._around.measuring(False)

    def _muster(self) -> Steps:
        while self._missing:
            self._stage("Waiting", f"waiting for {self._missing} of {self._plan.pods} load pods")
            for _ in range(round(SPEAK_EVERY)):
                if self._missing:
                    yield 1.0

    @property
    def _missing(self) -> int:
        return max(0, self._plan.pods - 1 - self._around.followers()) if self._plan.pods > 1 else 0

    def _wait(self) -> Generator[float, None, Server]:
        self._stage("Waiting", "waiting for the engine to answer (connection refused)")
        waited, step = 0.0, 0.5
        while (server := self._around.dial(self._plan.url)) is None:
            if waited >= self._plan.startup_seconds:
                raise GivesUp("EngineNotReady", f"{self._plan.url} did not answer for {self._plan.startup_seconds} s.")
            yield step
            waited, step = waited + step, min(step * 1.5, 5.0)
        return server

    def _download(self, server: Server) -> Steps:
        behaviour = server.behaviour
        for done in range(4):
            self._stage("DownloadingModel", f"downloading {self._plan.model}", done=done * MODEL_BYTES // 4)
            yield behaviour.pull_seconds / 4
            if behaviour.pull_error:
                raise GivesUp("ModelPullFailed", f"{self._plan.model}: {behaviour.pull_error}")
            if server.gone:
                raise GivesUp("ModelPullFailed", f"{self._plan.model}: connection reset by peer")
        server.has_model = True

    def _verify(self, server: Server) -> Steps:
        self._stage("Verifying", f"asking for {self._plan.model}")
        served = server.behaviour.model or self._plan.model
        if served != self._plan.model:
            raise GivesUp("WrongModel", f"{self._plan.url} serves {served}, not {self._plan.model}.")
        server.asked.append(asked_at := self._around.timeline.unix)
        yield self._random.uniform(0.1, 3.0)
        if server.gone or not server.behaviour.verifies:
            raise GivesUp(
                "VerificationFailed", f"{self._plan.url} did not complete one request: connection reset by peer."
            )
        self.say(
            EngineReport(
                served_model=served,
                version=server.behaviour.version,
                model_digest="sha256:feed",
                effective={"contextLength": 4096},
                answered_at=asked_at,
                at=self._around.timeline.unix,
            )
        )

    def _measure(self, point: PointPlan, number: int) -> Steps:
        """Ramp, warm-up, window, drain."""
        plan = self._plan
        load = in_words(point.concurrency, point.request_rate)
        words = f"{load}, load point {number} of {len(plan.points)}"
        self._stage("WarmingUp", words, point=point.index)
        began, server = self._around.timeline.unix, self._around.dial(plan.url)
        yield plan.ramp_seconds + self._random.uniform(0.0, min(2.0, float(plan.warmup_max_seconds)))
        self._stage("Loading", words, point=point.index)
        opened = self._around.timeline.unix
        self._window = Window(point, began, opened, server)
        seconds = float(plan.duration_seconds or 3600)
        if plan.max_requests is not None:
            seconds = min(seconds, max(0.5, plan.max_requests / _rate(point)))
        step = SPEAK_EVERY if plan.pods == 1 else 1.0
        while (left := opened + seconds - self._around.timeline.unix) > INSTANT:
            yield min(left, step)
            if self._missing:
                window, self._window = self._window, None
                self._report(window, lost=self._missing)
                raise GivesUp("LoadPodLost", "The load generator's load pod 1 is lost: its connection is closed.")
            if left > SPEAK_EVERY:
                self._stage("Loading", words, point=point.index)
        now = self._around.dial(plan.url)
        hanging = now is not None and now.hangs(self._around.timeline.unix)
        yield DRAIN_SECONDS if hanging else self._random.uniform(0.05, 0.4)
        window, self._window = self._window, None
        self._report(window)

    def _report(self, open_: Window, *, interrupted: bool = False, lost: int = 0) -> None:
        now, point, server = self._around.timeline.unix, open_.point, self._around.dial(self._plan.url)
        window = max(0.001, min(now - open_.opened, float(self._plan.duration_seconds or 3600)))
        requests = self._count(server, point, window)
        rate = requests.succeeded / window
        figure = _figure(requests.succeeded, 50.0 + _rate(point) + _wait(point), requests.incomplete)
        tells = self._plan.dialect == "vllm"
        report = PointReport(
            index=point.index,
            repeat=point.repeat,
            concurrency=point.concurrency,
            throughput=point.throughput,
            request_rate=point.request_rate,
            started_at=open_.began,
            opened_at=open_.began,
            ended_at=now,
            window_seconds=window,
            requests=requests,
            requests_per_second=rate,
            output_tokens_per_second=rate * 64,
            ttft=figure,
            itl=_figure(requests.succeeded, 10.0),
            tpot=_figure(requests.succeeded, 10.0),
            inter_event_gap=_figure(requests.succeeded * 63, 10.0),
            request_latency=figure,
            evidence=Evidence(
                interrupted=interrupted,
                lost_shards=lost,
                clock_uncertainty=0.0002 if self._plan.pods > 1 else None,
                wrong_models=server.behaviour.wrong_models if server is not None else (),
                engine_start_before=open_.server.started_at if tells and open_.server is not None else None,
                engine_start_after=server.started_at if tells and server is not None and not interrupted else None,
                token_rate_error=self._random.choice((None, 0.001, 0.01)),
                errors={"connection refused": requests.errored} if requests.errored else {},
            ),
            histograms={"ttft": b"\x01" + self._random.randbytes(24)},
            series=b"\x01" + self._random.randbytes(12),
            generator="guidellm" if self._plan.guidellm is not None else "enginebench",
            generator_version=self._plan.guidellm.version if self._plan.guidellm is not None else "",
        )
        self._points += 1
        self._measured.append(as_measured(report))
        self._around.spoke(report, self.say(report))

    def _count(self, server: Server | None, point: PointPlan, window: float) -> RequestCounts:
        total = int(_rate(point) * window) + 1
        if server is None or not server.up:
            return RequestCounts(errored=total)
        if server.hangs(self._around.timeline.unix):
            return RequestCounts(incomplete=point.concurrency or total)
        share, most = server.behaviour.error_share, server.behaviour.refuses_above
        if most is not None:
            share = max(share, 1 - most / _load(point))
        errored = round(total * share)
        return RequestCounts(succeeded=total - errored, errored=errored)

    def _stage(self, stage: str, message: str, *, point: int | None = None, done: int | None = None) -> None:
        total = None if done is None else MODEL_BYTES
        now = self._around.timeline.unix
        self.said = Progress(stage=stage, message=message, at=now, point=point, bytes_done=done, bytes_total=total)
        self.say(self.said)

    def say(self, message: SpokenMessage) -> bytes:
        payload = messages.encode(message)
        for line in self._encoder.lines(messages.stream_of(message), payload):
            self._around.write(line)
        return payload


def follow(behaviour: LoadBehaviour, led: Callable[[], bool]) -> Generator[float, None, int]:
    """A load pod that another one leads: it says nothing."""
    try:
        yield behaviour.start_seconds
        while not led():
            yield 0.5
    except Terminated:
        return 0
    while led():
        with suppress(Terminated):
            yield 0.5
    return 0


def _rate(point: PointPlan) -> float:
    """Requests a second that the engine answers: its 16 slots hold each for 0.2 s."""
    wanted = point.request_rate if point.request_rate is not None else (point.concurrency or 0) / 0.2
    return min(wanted, 16 / 0.2)


def _load(point: PointPlan) -> float:
    return point.request_rate if point.request_rate is not None else float(point.concurrency or 0)


def _wait(point: PointPlan) -> float:
    """Milliseconds until a slot is free."""
    return 12.5 * max(0, (point.concurrency or 0) - 16)


def _figure(count: int, middle: float, censored: int = 0) -> Figure:
    if not count:
        bound = Censored(at_least=30_000.0) if censored else None
        return Figure(count=censored, p50=bound, p90=bound, p95=bound, p99=bound, censored=censored)
    return Figure(
        count=count + censored, p50=middle, p90=middle * 1.2, p95=middle * 1.3,
        p99=Censored(at_least=middle * 1.3) if censored else middle * 1.6, mean=middle, censored=censored,
    )  # fmt: skip


def _is_row(line: str) -> bool:
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and ("prompt" in row or "messages" in row)


def read_plan(text: str) -> LoadPlan:
    """The plan of the mounted file."""
    return loadplan.decode(text.encode())
