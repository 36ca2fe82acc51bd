"""The fetch pod as the operator meets it: it brings a model onto a claim, in the time that its behaviour says."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from random import Random

from enginebench.api.loadplan import LoadPlan
from enginebench.results import messages
from enginebench.results.frames import Encoder
from enginebench.results.messages import End, Failure, ModelReport, Progress, SpokenMessage
from tests.simulation.timeline import Terminated, Timeline

MODEL_BYTES = 16_000_000_000
STAY_SECONDS = 600.0
PARTS = 4


@dataclass(frozen=True, slots=True)
class FetchBehaviour:
    """How the fetch of a target goes."""

    seconds: float = 8.0
    error: str = ""
    """Its reason to give up."""
    dies_after: float | None = None
    exit_code: int = 137
    reason: str = "OOMKilled"
    silent_after: float | None = None
    forgets_report: bool = False
    """It ends without a word on the model."""
    pods: int = 1_000_000
    """Only this many pods behave badly; later ones are sound."""


class FetchPod:
    """One pod; `run` is its process."""

    def __init__(
        self, plan: LoadPlan, timeline: Timeline, write: Callable[[bytes], None], disk: set[str], random: Random
    ) -> None:
        self._plan, self._timeline, self._write, self._disk, self._random = plan, timeline, write, disk, random
        self._encoder = Encoder()

    def run(self, behaviour: FetchBehaviour) -> Generator[float, None, int]:
        try:
            yield self._random.uniform(0.1, 1.0)
            report = yield from self._fetch(behaviour)
            if not behaviour.forgets_report:
                self._say(report)
        except Terminated:
            self._say(Failure(reason="Interrupted", message="Told to stop before the model was there."))
            self._say(End(points=0))
            return 0
        self._say(End(points=0))
        try:
            yield STAY_SECONDS
        except Terminated:
            yield self._random.uniform(0.0, 0.5)
        return 0

    def _fetch(self, behaviour: FetchBehaviour) -> Generator[float, None, ModelReport | Failure]:
        if self._plan.model in self._disk:
            return ModelReport(bytes=MODEL_BYTES, message="it is there already")
        began = self._timeline.unix
        for part in range(PARTS):
            done = part * MODEL_BYTES // PARTS
            self._say(
                Progress(
                    stage="DownloadingModel",
                    message=f"downloading {self._plan.model}",
                    at=self._timeline.unix,
                    bytes_done=done,
                    bytes_total=MODEL_BYTES,
                )
            )
            yield behaviour.seconds / PARTS
            if behaviour.error:
                return Failure(reason=behaviour.error, message=f"{self._plan.model} does not come.")
        self._disk.add(self._plan.model)
        return ModelReport(seconds=self._timeline.unix - began, bytes=MODEL_BYTES, message="it is there")

    def _say(self, message: SpokenMessage) -> None:
        for line in self._encoder.lines(messages.stream_of(message), messages.encode(message)):
            self._write(line)
