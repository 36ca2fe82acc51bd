"""Followers: one task a load pod reads its log into its feed, until nothing more will come."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from enginebench.cluster import labels
from enginebench.cluster.api import ApiError, Kind, Obj, Unavailable
from enginebench.cluster.feeds import Feed, Feeds, LoadPod, News
from enginebench.cluster.observe import Key

logger = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds after the end of a pod in which its log may still come within reach."""
MOST_STREAMS = 200
"""More logs than these are not followed but read again and again: the API server holds a stream for each."""
POLL, PAUSE, LONGEST_PAUSE = 5.0, 1.0, 15.0
REREADS = 2
"""So often a log is read again whose pod has ended without all its points: frames may have been torn on the way."""


class Logs(Protocol):
    """What a follower asks of the cluster."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """As `KubeApi.get`."""

    def log_lines(self, namespace: str, pod: str, container: str, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """A log from its beginning; ApiError or Unavailable where it cannot be read."""


class _GoneError(Exception):
    """There is no such pod any more."""


class Followers:
    """All followers. `wake` is told which run has news, and how much it matters."""

    def __init__(self, logs: Logs, feeds: Feeds, wake: Callable[[Key, News], None]) -> None:
        self._logs, self._feeds, self._wake = logs, feeds, wake
        self._tasks: dict[str, tuple[Key, asyncio.Task[None]]] = {}

    def follow(self, pods: Iterable[LoadPod]) -> None:
        """Listen to these, too; those that are followed already stay followed."""
        for pod in pods:
            if pod.uid not in self._tasks:
                task = asyncio.create_task(self._listen(pod), name=f"log of {pod.namespace}/{pod.name}")
                self._tasks[pod.uid] = ((pod.namespace, pod.run), task)
                task.add_done_callback(partial(self._forget, pod.uid))

    def drop(self, key: Key) -> None:
        """Listen to no pod of this run any more."""
        for run, task in self._tasks.values():
            if run == key:
                task.cancel()

    async def stop(self) -> None:
        """Listen to nobody."""
        tasks = [task for _, task in self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, uid: str, _: object) -> None:
        self._tasks.pop(uid, None)

    async def _listen(self, pod: LoadPod) -> None:
        feed, key = self._feeds.feed(pod), (pod.namespace, pod.run)
        loop = asyncio.get_running_loop()
        over_since: float | None = None
        pause, readings = PAUSE, 0
        while not feed.closed:
            try:
                over = await self._is_over(pod)
                over_since = over_since or (loop.time() if over else None)
                follow = not over and not feed.incomplete and len(self._tasks) <= MOST_STREAMS
                await self._read(pod, feed, key, follow=follow)
            except _GoneError:
                feed.exhaust()
            except (ApiError, Unavailable) as error:
                logger.info("log of %s/%s: %s", pod.namespace, pod.name, error)
                feed.lost(datetime.now(UTC))
                if over_since is not None and loop.time() - over_since >= PATIENCE:
                    feed.exhaust()
                else:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = PAUSE
                readings += feed.incomplete and not follow
                if over or readings >= REREADS:
                    feed.exhaust()
                elif not feed.closed:
                    await asyncio.sleep(PAUSE if follow else POLL)
        self._wake(key, News.EVENT)

    async def _is_over(self, pod: LoadPod) -> bool:
        obj = await self._logs.get("Pod", pod.namespace, pod.name)
        if obj is None or obj["metadata"]["uid"] != pod.uid:
            raise _GoneError
        return (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed")

    async def _read(self, pod: LoadPod, feed: Feed, key: Key, *, follow: bool) -> None:
        feed.restart(datetime.now(UTC))
        lines = self._logs.log_lines(pod.namespace, pod.name, labels.LOAD_CONTAINER, follow=follow)
        async with aclosing(lines):
            async for line in lines:
                news = feed.hear(line, datetime.now(UTC))
                if news is not News.NONE:
                    self._wake(key, news)
                if feed.closed or (follow and feed.incomplete):
                    return
