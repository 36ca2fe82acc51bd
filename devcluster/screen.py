"""What the user sees: steps, how long each takes, and one line for each result."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

TENTHS_BELOW, MINUTES_FROM = 10, 100  # seconds
HEARTBEAT_SECONDS = 60.0  # a log without a terminal shows that a long step still lives


class Screen:
    """Spinners on a terminal, plain lines elsewhere. Steps may run in several threads."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)
        self._progress: Progress | None = None
        self._running = 0
        self._guard = threading.Lock()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False)

    def error(self, text: str) -> None:
        self._console.print(text, style="bold red", markup=False)

    @contextmanager
    def step(self, title: str, expected: str = "") -> Iterator[None]:
        """One step; `expected` is how long it usually takes, said at its start."""
        start = time.monotonic()
        shown = f"{title} ({expected})" if expected else title
        with self._spinner(shown) if self._console.is_terminal else self._plain(shown, start):
            try:
                yield
            except BaseException:
                self.say(f"  failed: {title} after {seconds(time.monotonic() - start)}")
                raise
        self.say(f"  done: {title}, {seconds(time.monotonic() - start)}")

    @contextmanager
    def _spinner(self, title: str) -> Iterator[None]:
        with self._guard:
            if self._progress is None:
                columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
                self._progress = Progress(*columns, console=self._console, transient=True)
                self._progress.start()
            progress, task = self._progress, self._progress.add_task(title, total=None)
            self._running += 1
        try:
            yield
        finally:
            with self._guard:
                progress.remove_task(task)
                self._running -= 1
                if self._running == 0:
                    progress.stop()
                    self._progress = None

    @contextmanager
    def _plain(self, title: str, start: float) -> Iterator[None]:
        self.say(f"  start: {title}")
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_SECONDS):
                self.say(f"  still: {title}, {seconds(time.monotonic() - start)} so far")

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def seconds(value: float) -> str:
    """3.2 s, 45 s, 6 min 12 s."""
    if value < TENTHS_BELOW:
        return f"{value:.1f} s"
    if value < MINUTES_FROM:
        return f"{value:.0f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"
