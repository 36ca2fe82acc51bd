"""Continuous batching on a virtual clock: who is in the batch, who waits, when the step under way ends.

Pure: `now` comes in, no clock is read. Times are integer nanoseconds of any one clock. A step begins where the
one before it ended, however late the caller was told, so that the schedule never drifts.
"""

from collections import deque
from typing import Generic, Literal, TypeVar

from enginebench.simulator.latency import LatencyModel

PREFILL_BUDGET = 2048
"""Prompt tokens that join in one step, unless a single prompt is longer (as vLLM's max_num_batched_tokens)."""


class QueueFullError(Exception):
    """As many requests wait as may."""


class Sequence:
    """One request as the scheduler sees it."""

    __slots__ = ("admitted_at", "arrived_at", "cached_tokens", "finish", "first_at", "key", "last_at", "output_tokens",
                 "produced", "prompt_tokens")  # fmt: skip

    def __init__(self, key: int, prompt_tokens: int, output_tokens: int, finish: Literal["length", "stop"]) -> None:
        self.key = key
        """Names the request's content: equal requests have equal keys."""
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.finish = finish
        self.cached_tokens = 0
        """Of the prompt: they need not be read."""
        self.produced = 0
        self.arrived_at = self.admitted_at = self.first_at = self.last_at = 0


S = TypeVar("S", bound=Sequence)


class Scheduler(Generic[S]):
    """`submit` and `drop` requests; when `due` has come, each of `batch` has one more token: `complete` the step."""

    def __init__(self, model: LatencyModel, slots: int, max_queue: int) -> None:
        self.batch: list[S] = []
        """The requests that get a token when the step under way ends."""
        self.waiting: deque[S] = deque()
        self.due: int | None = None
        """When the step under way ends; None: idle."""
        self.began_at = 0
        self.steps = 0
        self._model = model
        self._slots = slots
        self._max_queue = max_queue

    def submit(self, sequence: S, now: int) -> None:
        """Take a request: into a step at once where the engine is idle, else into the queue, or `QueueFullError`."""
        free = self._slots - len(self.batch)
        if len(self.waiting) >= free + self._max_queue:
            raise QueueFullError
        sequence.arrived_at = now
        self.waiting.append(sequence)
        if self.due is None:
            self._begin(now)

    def drop(self, sequence: S) -> None:
        """Forget a request whose client has gone; its slot is free from the next step on."""
        if sequence in self.batch:
            self.batch.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)

    def complete(self) -> list[S]:
        """End the step that was due and begin the next; the requests that are finished with it."""
        assert self.due is not None, "no step is under way"
        at = self.due
        finished = []
        for sequence in self.batch:
            sequence.produced += 1
            sequence.last_at = at
            if sequence.produced == 1:
                sequence.first_at = at
            if sequence.produced == sequence.output_tokens:
                finished.append(sequence)
        if finished:
            self.batch = [sequence for sequence in self.batch if sequence.produced < sequence.output_tokens]
        self._begin(at)
        return finished

    def _begin(self, at: int) -> None:
        """Begin a step at `at`, or when the first request arrives if that is later; idle where there is none."""
        waiting, batch = self.waiting, self.batch
        if not batch and waiting:
            at = max(at, waiting[0].arrived_at)
        joining: list[S] = []
        prefill = tokens = 0
        while waiting and waiting[0].arrived_at <= at and len(batch) + len(joining) < self._slots:
            if tokens and tokens + waiting[0].prompt_tokens > PREFILL_BUDGET:
                break
            sequence = waiting.popleft()
            sequence.admitted_at = at
            tokens += sequence.prompt_tokens
            prefill += self._model.prefill(sequence.prompt_tokens - sequence.cached_tokens, sequence.key)
            joining.append(sequence)
        if joining:
            # First in the batch: whoever writes the tokens out one after another writes first tokens first.
            self.batch = batch = joining + batch
        if not batch:
            self.due = None
            return
        self.steps += 1
        self.began_at = at
        self.due = at + prefill + self._model.decode(len(batch), self.steps)
