"""The scheduler on the real clock: writes each token when it is due, and measures how late that was."""

import asyncio
import time

from enginebench.alarm import Alarm
from enginebench.simulator.answer import Answer
from enginebench.simulator.counters import Counters
from enginebench.simulator.http import HttpError
from enginebench.simulator.latency import LatencyModel
from enginebench.simulator.scheduler import QueueFullError, Scheduler
from enginebench.simulator.settings import Settings

BUSY = "server busy, please try again.  maximum pending requests exceeded"
"""Ollama's own words; vLLM never refuses, a simulated one with a bounded queue does."""


class Engine:
    """Everything that goes out at the end of a step is made ready while the step runs: then only writes remain."""

    def __init__(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        model = LatencyModel(
            settings.prefill_per_token,
            settings.decode_step,
            settings.decode_step_per_sequence,
            settings.jitter,
            settings.seed,
        )
        self.scheduler = Scheduler[Answer](model, settings.slots, settings.max_queue)
        self.counters = Counters()
        self._alarm = Alarm(loop, self._ring)
        # Unix time of the monotonic clock's zero: stamps follow deadlines, not the moment of writing.
        self._epoch = time.time_ns() - time.monotonic_ns()

    def submit(self, answer: Answer) -> None:
        """Take a request, or a 503 where the queue is full."""
        scheduler = self.scheduler
        idle = scheduler.due is None
        answer.epoch = self._epoch
        try:
            scheduler.submit(answer, time.monotonic_ns())
        except QueueFullError:
            raise HttpError(503, BUSY) from None
        answer.connection.on_lost = lambda: scheduler.drop(answer)
        opening = answer.opening()
        if opening:
            answer.connection.send(opening)
        if idle:
            self._prepare()

    def close(self) -> None:
        """Send no more tokens."""
        self._alarm.close()

    def _ring(self) -> None:
        """The step that was due has ended."""
        scheduler, due = self.scheduler, self.scheduler.due
        if due is None:
            return
        clock = time.monotonic_ns
        lateness = []
        batch = list(scheduler.batch)
        for answer in batch:
            if answer.payload:
                answer.connection.send(answer.payload)
                lateness.append(clock() - due)
        began = scheduler.began_at
        finished = scheduler.complete()
        self._prepare()
        for answer in finished:
            answer.connection.done()
        self.counters.step(batch, finished, lateness, began, due)

    def _prepare(self) -> None:
        """Make ready what goes out when the step that has just begun ends."""
        due = self.scheduler.due
        if due is None:
            return
        for answer in self.scheduler.batch:
            answer.payload = answer.event(due)
        self._alarm.set(due)
