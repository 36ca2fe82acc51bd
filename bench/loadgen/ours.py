"""EngineBench's own load generator, driven as the operator drives it: a plan in, frames out."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

import enginebench
from bench import machine
from bench.loadgen.rows import TOKENS, Reported
from bench.loadgen.tool import Sign, Task
from devcluster.errors import DevclusterError
from enginebench.api import loadplan
from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.results.frames import Decoder
from enginebench.results.messages import End, Failure, Progress
from enginebench.results.point_report import Censored, PointReport
from enginebench.workflow.verdicts import judge_point

OPERATOR = Path(enginebench.__file__).resolve().parent.parent
ROWS = 500
PROMPT_TOKENS = 64
RAMP_SECONDS = 2


class Ours:
    """One point; the truth is that of its window."""

    name = "enginebench"
    version = enginebench.__version__
    settings = "a process for each core (loadGenerator.processes)"

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._point: PointReport | None = None
        self._begun = False
        self._failure = ""

    def command(self, task: Task) -> list[str]:
        """Writes the plan, too."""
        self.__init__()  # type: ignore[misc]  # nothing of the run before
        return start_command(task.folder, plan(task.url, task.model, [task.streams], task.seconds, task.cores))

    def environment(self, task: Task) -> dict[str, str]:  # noqa: ARG002  # Tool's signature
        return environment()

    def sign(self, line: bytes) -> Sign:
        spoken = self._decoder.feed(line)
        match spoken.message if spoken else None:
            case Progress(stage="Loading") if not self._begun:
                self._begun = True
                return "begin"
            case PointReport() as point:
                self._point = point
                return "take"
            case Failure() as failure:
                self._failure = failure.message
            case End():
                return "end"
        return ""

    def report(self, task: Task) -> Reported:  # noqa: ARG002  # Tool's signature
        if self._point is None:
            raise ValueError(self._failure or "it measured no point")
        verdict = judge_point(self._point)
        return msgspec.structs.replace(reported(self._point), reasons=verdict.reasons, why=verdict.message)


def plan(url: str, model: str, levels: Sequence[int], seconds: int, processes: int = 1) -> LoadPlan:
    """A point for each level, of so many seconds."""
    return LoadPlan(
        run_uid="bench",
        target="bench",
        attempt=1,
        url=url,
        dialect="openai",
        model=model,
        dataset=DatasetPlan(synthetic=SyntheticRows(rows=ROWS, prompt_tokens=PROMPT_TOKENS, output_tokens=TOKENS)),
        request=RequestPlan(api="ChatCompletions", max_output_tokens=TOKENS),
        points=tuple(PointPlan(index=index, concurrency=streams) for index, streams in enumerate(levels)),
        duration_seconds=seconds,
        ramp_seconds=RAMP_SECONDS,
        processes=processes,
    )


def start_command(folder: Path, plan: LoadPlan) -> list[str]:
    """What starts a load pod's program on this plan, which is written into the folder."""
    file = folder / "plan.json"
    file.write_bytes(loadplan.encode(plan))
    return [sys.executable, "-m", "enginebench", "loadgen", "--plan", str(file)]


def measured(what: LoadPlan, cores: Sequence[int] = (), say: Callable[[str], object] = lambda _: None) -> PointReport:
    """The plan's last point, by a load pod's program; DevclusterError with its words where there is none.

    On `cores`, before other work, where they are given; `say` is told each stage.
    """
    prefix = machine.client_prefix(cores) if cores else []
    decoder, found, stage = Decoder(), None, ""
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [*prefix, *start_command(Path(folder), what)],
            stdout=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        ) as process,
    ):
        if cores:
            machine.favour(process.pid)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                spoken = decoder.feed(line)
                match spoken.message if spoken else None:
                    case Progress() as now if now.stage != stage:
                        stage = now.stage
                        say(stage)
                    case PointReport() as point:
                        found = point
                    case Failure() as failure:
                        raise DevclusterError(failure.message)
                    case End():
                        process.terminate()
        finally:
            process.kill()
    if found is None:
        raise DevclusterError("The load generator ended without a point.")
    return found


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(OPERATOR)}


def reported(point: PointReport) -> Reported:
    return Reported(
        tokens_per_second=point.output_tokens_per_second,
        ttft_p50=_number(point.ttft.p50),
        ttft_p99=_number(point.ttft.p99),
        itl_p50=_number(point.itl.p50),
        itl_p99=_number(point.itl.p99),
        gap_p50=_number(point.inter_event_gap.p50),
        gap_p99=_number(point.inter_event_gap.p99),
        requests=point.requests.succeeded,
        errors=point.requests.errored,
    )


def _number(value: float | Censored | None) -> float | None:
    return value.at_least if isinstance(value, Censored) else value
