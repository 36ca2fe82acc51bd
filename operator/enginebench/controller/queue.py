"""The work queue: one task a key, every key once, at most one pass a second of each."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)

FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 30.0


@dataclass(slots=True)
class _Entry:
    due: float | None = None
    """Loop time of the next pass; None: nothing is asked for."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    running_since: float | None = None
    failures: int = 0


class WorkQueue(Generic[K]):
    """Calls `work(key)` for every key that was added; its answer is after how many seconds it wants to be called
    again (None: only when added). Where it raises, it is called again after a pause that doubles up to 30 s; what
    is not among the `expected` errors is logged with its traceback."""

    def __init__(
        self,
        work: Callable[[K], Awaitable[float | None]],
        *,
        pace: float = 1.0,
        parallel: int = 16,
        expected: tuple[type[Exception], ...] = (),
    ) -> None:
        self._work, self._pace, self._expected = work, pace, expected
        self._slots = asyncio.Semaphore(parallel)
        self._entries: dict[K, _Entry] = {}
        self._tasks: dict[K, asyncio.Task[None]] = {}
        self._stopping = False
        self._last_pass: float | None = None

    def add(self, key: K, after: float = 0.0) -> None:
        """Ask for a pass after so many seconds; an earlier one that is already asked for stays."""
        if self._stopping:
            return
        due = asyncio.get_running_loop().time() + after
        entry = self._entries.setdefault(key, _Entry())
        if entry.due is None or due < entry.due:
            entry.due = due
            entry.changed.set()
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._serve(key, entry), name=f"passes of {key}")

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def longest_running(self) -> float:
        """For how many seconds the longest of the passes that are running has run."""
        now = asyncio.get_running_loop().time()
        return max((now - e.running_since for e in self._entries.values() if e.running_since is not None), default=0.0)

    def since_last_pass(self) -> float | None:
        """Seconds since a pass last ended; None before the first."""
        return None if self._last_pass is None else asyncio.get_running_loop().time() - self._last_pass

    async def stop(self, grace: float) -> None:
        """Let the running passes end, for so many seconds; begin no other."""
        self._stopping = True
        running = []
        for key, task in list(self._tasks.items()):
            if self._entries[key].running_since is None:
                task.cancel()
            else:
                running.append(task)
        if running:
            _, late = await asyncio.wait(running, timeout=grace)
            for task in late:
                task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _serve(self, key: K, entry: _Entry) -> None:
        loop = asyncio.get_running_loop()
        free_at = loop.time()
        try:
            while not self._stopping:
                if entry.due is None and loop.time() >= free_at:
                    return
                due = free_at if entry.due is None else max(entry.due, free_at)
                if (delay := due - loop.time()) > 0:
                    await self._wait(entry, delay)
                    continue
                async with self._slots:
                    entry.due, entry.running_since = None, loop.time()
                    free_at = loop.time() + self._pace
                    after = await self._pass(key, entry)
                    entry.running_since = None
                    self._last_pass = loop.time()
                if after is not None:
                    due = loop.time() + after
                    entry.due = due if entry.due is None else min(entry.due, due)
        finally:
            del self._entries[key], self._tasks[key]

    async def _wait(self, entry: _Entry, delay: float) -> None:
        entry.changed.clear()
        try:
            await asyncio.wait_for(entry.changed.wait(), delay)
        except TimeoutError:
            return

    async def _pass(self, key: K, entry: _Entry) -> float | None:
        try:
            after = await self._work(key)
        except Exception as error:  # one run's trouble must not end the others'
            entry.failures += 1
            pause: float = min(FIRST_BACKOFF * 2.0 ** (entry.failures - 1), LONGEST_BACKOFF)
            logger.warning("%s: %s; again in %g s", key, error, pause, exc_info=not isinstance(error, self._expected))
            return pause
        entry.failures = 0
        return after
