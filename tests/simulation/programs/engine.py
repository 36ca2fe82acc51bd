"""An engine in a pod: starts, answers, and ends in as many ways as engines do."""

from dataclasses import dataclass, field
from random import Random

from tests.simulation.kubelet import Life
from tests.simulation.timeline import Script, Terminated

FOR_EVER = 10_000_000.0


@dataclass(slots=True)
class Exit:
    """The process ends by itself."""

    after: float
    """Seconds from its start."""
    code: int = 1
    reason: str = "Error"
    """The kubelet's word; OOMKilled with code 137."""
    last_lines: tuple[str, ...] = ()


@dataclass(slots=True)
class EngineBehaviour:
    """How the engine of a target behaves. Faults change single fields."""

    start_seconds: float = 10.0
    """From the start of the process until its API answers."""
    answers: bool = True
    model: str | None = None
    """What it serves instead of the model that was asked for."""
    has_model: bool = True
    """Ollama: the model is on its disk."""
    pull_seconds: float = 30.0
    pull_error: str = ""
    verifies: bool = True
    """A real completion comes back."""
    exit: Exit | None = None
    exit_on_request: Exit | None = None
    """It ends this long after the first request reached it."""
    hangs_after: float | None = None
    """From this many seconds on requests are taken and never answered."""
    error_share: float = 0.0
    """Of requests, once it answers."""
    refuses_above: int | None = None
    """Of so many users, or requests a second, all beyond get an error."""
    wrong_models: tuple[str, ...] = ()
    """Names in its answers under load that are not the model's."""
    stop_seconds: float = 1.0
    """It takes to end on SIGTERM; above its grace it is killed."""
    seconds_per_request: float = 0.2
    slots: int = 16
    version: str = "0.9.2"
    pods: int = 1_000_000
    """Only this many of its pods behave badly; later ones are sound."""
    log: tuple[str, ...] = ('time=2026-11-23T12:00:00.000Z level=INFO source=server.go msg="starting"',)

    def sound(self) -> "EngineBehaviour":
        """What is left of it when the trouble is over."""
        return EngineBehaviour(
            start_seconds=self.start_seconds,
            pull_seconds=self.pull_seconds,
            slots=self.slots,
            refuses_above=self.refuses_above,
        )


@dataclass(slots=True, eq=False)
class Server:
    """What answers on the engine's port."""

    behaviour: EngineBehaviour
    started_at: float
    """Unix seconds."""
    up: bool = False
    has_model: bool = True
    gone: bool = False
    asked: list[float] = field(default_factory=list)
    """When the first request came."""

    def hangs(self, now: float) -> bool:
        after = self.behaviour.hangs_after
        return after is not None and now - self.started_at >= after


def run_engine(life: Life, behaviour: EngineBehaviour, random: Random, unix: float) -> Script:
    """The engine's process."""
    server = Server(behaviour, started_at=unix, has_model=behaviour.has_model)
    end = behaviour.exit
    for line in behaviour.log:
        life.write(line.encode() + b"\n")
    try:
        start = behaviour.start_seconds
        if end is not None and end.after <= start:
            yield end.after
            return _exit(life, end)
        yield start
        if not behaviour.answers:
            yield FOR_EVER
        server.up = True
        life.server = server
        if end is not None:
            yield end.after - start
            return _exit(life, end)
        while behaviour.exit_on_request is not None:
            yield 1.0
            if server.asked:
                yield behaviour.exit_on_request.after
                return _exit(life, behaviour.exit_on_request)
        yield FOR_EVER
    except Terminated:
        server.up = False
        yield behaviour.stop_seconds * random.uniform(0.5, 1.5)
        return 0
    finally:
        server.up, server.gone = False, True
    return 0


def _exit(life: Life, end: Exit) -> int:
    for line in end.last_lines:
        life.write(line.encode() + b"\n")
    life.cause = "" if end.code == 0 else end.reason
    return end.code
