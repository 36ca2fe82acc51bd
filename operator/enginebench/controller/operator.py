"""The running operator: events wake keys, keys get passes, passes start followers, followers wake keys."""

from datetime import UTC, datetime

from enginebench.cluster.api import Unavailable
from enginebench.cluster.client import Client
from enginebench.cluster.feeds import Feeds, News
from enginebench.cluster.follow import Followers
from enginebench.cluster.memory import Memory
from enginebench.cluster.observe import Key, UnreadableStatusError
from enginebench.cluster.reconcile import reconcile
from enginebench.controller.queue import WorkQueue
from enginebench.engines.base import Platform

PROGRESS_DELAY = 5.0
"""Seconds: a load pod's progress alone is worth a pass only so often."""
LAST_PASS_SECONDS = 6.0
"""For passes that run when the operator is told to stop; the pod has 10 s in all."""
HUNG_SECONDS = 300.0
"""Every call of the API has a time-out of 40 s: a pass that takes longer than this never ends."""


class HungError(Exception):
    """A pass does not come to its end."""


class Operator:
    """One operator process: its work queue, its followers, and what it remembers."""

    def __init__(self, client: Client, platform: Platform) -> None:
        self._client, self._platform = client, platform
        self._feeds, self._memory = Feeds(), Memory()
        self._followers = Followers(client, self._feeds, self._heard)
        self._queue: WorkQueue[Key] = WorkQueue(self._pass, expected=(Unavailable, UnreadableStatusError))

    def wake(self, namespace: str, run: str) -> None:
        """Something happened to this run or to a child of it."""
        self._queue.add((namespace, run))

    def modified(self, namespace: str, run: str, *, uid: str, generation: int) -> None:
        """The run was written to: worth a pass, unless it was but its status."""
        if not self._memory.has_read((namespace, run), uid, generation):
            self.wake(namespace, run)

    def longest_pass(self) -> float:
        """Seconds that the longest running pass has taken so far. Raises HungError where it will not end."""
        seconds = self._queue.longest_running()
        if seconds > HUNG_SECONDS:
            raise HungError(f"a pass has been running for {seconds:.0f} s")
        return seconds

    def since_last_pass(self) -> float | None:
        """Seconds since a pass last ended; None before the first."""
        return self._queue.since_last_pass()

    async def stop(self) -> None:
        """Let the running passes end, read no more logs."""
        await self._queue.stop(LAST_PASS_SECONDS)
        await self._followers.stop()

    async def _pass(self, key: Key) -> float | None:
        done = await reconcile(self._client, self._feeds, self._memory, self._platform, key, datetime.now(UTC))
        if done.ended:
            self._followers.drop(key)
        else:
            self._followers.follow(done.follow)
        return done.wake_after.total_seconds() if done.wake_after is not None else None

    def _heard(self, key: Key, news: News) -> None:
        self._queue.add(key, PROGRESS_DELAY if news is News.PROGRESS else 0.0)
