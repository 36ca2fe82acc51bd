"""Watches a client from outside while it runs: its processor time and memory beside the server's counters."""

import itertools
import threading
import time
from dataclasses import dataclass

from bench import machine
from bench.loadgen.rows import Load
from bench.loadgen.tree import Tree
from bench.reference import Reference

LOOK_SECONDS = 1.0
MEMORY_EVERY = 3
"""Looks: reading a large process's memory map holds it up for some milliseconds."""
SETTLING_SECONDS = 3.0
ENDING_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Look:
    at: float
    tokens: int
    cpu: float


class Watch:
    """Looks once a second, in a thread of its own, until it is stopped."""

    def __init__(self, pid: int, server: Reference) -> None:
        self._tree = Tree(pid)
        self._server = server
        self._looks: list[Look] = []
        self._memory = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def load(self, start_up_seconds: float | None) -> Load:
        """What was seen; the steady part lies between the ramp and the last requests."""
        steady = steady_part(self._looks)
        tokens = steady[-1].tokens - steady[0].tokens if steady else 0
        unknown = f"{len(self._looks)} looks at it, {len(steady)} in the steady part: two are wanted"
        return Load(
            start_up_seconds=start_up_seconds,
            tokens_per_second=tokens / (steady[-1].at - steady[0].at) if tokens else None,
            cpu_per_1000_tokens=1000 * (steady[-1].cpu - steady[0].cpu) / tokens if tokens else None,
            memory_bytes=self._memory,
            unknown="" if tokens else unknown,
        )

    def _run(self) -> None:
        machine.attend()
        number = 0
        while not self._over.wait(LOOK_SECONDS):
            cpu = self._tree.cpu_seconds()
            self._looks.append(Look(time.monotonic(), self._server.counters().tokens_ever, cpu))
            if number % MEMORY_EVERY == 0:
                self._memory = max(self._memory, self._tree.memory_bytes())
            number += 1


def steady_part(looks: list[Look]) -> list[Look]:
    """The looks from some seconds after the first tokens to shortly before the last."""
    moving = [b for a, b in itertools.pairwise(looks) if b.tokens > a.tokens]
    if not moving:
        return []
    begin, end = moving[0].at + SETTLING_SECONDS, moving[-1].at - ENDING_SECONDS
    return [look for look in moving if begin <= look.at <= end]
