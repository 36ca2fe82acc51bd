"""The virtual clock, and programs that live on it.

Time is in seconds since `EPOCH` and moves only by jumping to the next booked event: a night of waiting costs nothing.
"""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from heapq import heappop, heappush

EPOCH = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)

NEVER = float("inf")
Action = Callable[[], object]
Script = Generator[float, None, int]
"""A program: yields how many seconds it sleeps, returns its exit code."""


class Booking:
    """An action that will happen, unless it is cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Action) -> None:
        self.action: Action | None = action

    def cancel(self) -> None:
        self.action = None


class Timeline:
    """Booked events in the order of their time, then of their booking."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Booking]] = []
        self._count = 0

    def after(self, seconds: float, action: Action) -> Booking:
        """Book `action` for `seconds` from now."""
        booking = Booking(action)
        self._count += 1
        heappush(self._heap, (self.now + seconds if seconds > 0.0 else self.now, self._count, booking))
        return booking

    def next_time(self) -> float:
        """When the next event happens; never, if nothing is booked."""
        heap = self._heap
        while heap and heap[0][2].action is None:
            heappop(heap)
        return heap[0][0] if heap else NEVER

    def step(self) -> bool:
        """Jump to the next event and let it happen; False if there is none."""
        while self._heap:
            at, _, booking = heappop(self._heap)
            if booking.action is not None:
                self.now = max(self.now, at)
                booking.action()
                return True
        return False

    def run_until(self, until: float) -> None:
        """Let everything happen that is due by `until`, and stand there."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            at, _, booking = heappop(heap)
            if booking.action is not None:
                self.now = max(self.now, at)
                booking.action()
        self.now = max(self.now, until)

    @property
    def date(self) -> datetime:
        """Now, as a time of day."""
        return EPOCH + timedelta(seconds=self.now)

    @property
    def unix(self) -> float:
        """Now, as Unix seconds."""
        return EPOCH.timestamp() + self.now

    @property
    def stamp(self) -> str:
        """Now, as Kubernetes writes it."""
        return stamp(int(self.now))


@lru_cache(maxsize=4096)
def stamp(second: int) -> str:
    """`second` since EPOCH as Kubernetes writes times."""
    return (EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


class Terminated(Exception):  # noqa: N818 - a signal, not an error
    """Thrown into a program: SIGTERM."""


class Program:
    """A running process. `ended(code)` is told once, also when it is killed."""

    def __init__(self, timeline: Timeline, script: Script, ended: Callable[[int], object]) -> None:
        self._timeline = timeline
        self._script = script
        self._ended = ended
        self._sleep: Booking | None = timeline.after(0.0, self._run)
        self._deaf = False
        """To SIGTERM: it came already, or the program hangs."""
        self.hangs = False
        self.exit_code: int | None = None

    @property
    def running(self) -> bool:
        return self.exit_code is None

    def _run(self, signal: Terminated | None = None) -> None:
        """To its next sleep, or its end."""
        self._sleep = None
        try:
            seconds = next(self._script) if signal is None else self._script.throw(signal)
        except StopIteration as end:
            self._end(end.value or 0)
        except Terminated:
            self._end(143)
        else:
            if self.running:
                self._sleep = self._timeline.after(seconds, self._run)

    def _end(self, code: int) -> None:
        if self.running:
            self.exit_code = code
            self._ended(code)

    def terminate(self) -> None:
        """SIGTERM: the program may still clean up. A second one changes nothing."""
        if self.running and not self._deaf:
            self._deaf = True
            if self._sleep is not None:
                self._sleep.cancel()
            self._run(Terminated())

    def kill(self, code: int = 137) -> None:
        """SIGKILL, or an exit that the script does not know of."""
        if self.running:
            self.freeze()
            self._end(code)

    def hang(self) -> None:
        """It does nothing any more, and does not hear SIGTERM."""
        if self.running:
            self._deaf = self.hangs = True
            if self._sleep is not None:
                self._sleep.cancel()

    def freeze(self) -> None:
        """The machine is gone: nothing happens any more, and nobody is told."""
        if self._sleep is not None:
            self._sleep.cancel()
        self._script.close()
