"""The process that is tested: its memory, its work queue, the logs that it follows. The code under test is real:
`reconcile` and all below it, and the feeds; this file stands for `enginebench.controller` and `cluster.follow`.
"""

import logging
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeVar, cast

from enginebench.cluster import labels
from enginebench.cluster.api import ApiError, Unavailable
from enginebench.cluster.feeds import Feed, Feeds, LoadPod, News
from enginebench.cluster.memory import Memory
from enginebench.cluster.observe import Key
from enginebench.cluster.reconcile import Pass, reconcile
from enginebench.engines.base import Platform
from tests.simulation.cluster import Cluster
from tests.simulation.kubelet import Life
from tests.simulation.store import RUN, Change, Item
from tests.simulation.timeline import NEVER

PLATFORM = Platform(image="registry.example/enginebench:0.1.0")
SECOND_PASS = 1.0
"""At most one pass a second and run."""
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 30.0
PROGRESS_DELAY = 5.0
PATIENCE, POLL, PAUSE, LONGEST_PAUSE, REREADS = 60.0, 5.0, 1.0, 15.0, 2
"""As `controller` and `cluster.follow` have them; those modules import the clients, which cost a second."""
WATCHED = (RUN, "Pod", "Job", "Service")

T = TypeVar("T")
Medium = Callable[[bytes], list[bytes]]
"""What a line becomes on its way: itself, pieces of it, more, or nothing."""

logging.getLogger("enginebench").setLevel(logging.CRITICAL)  # faults are meant: their warnings would cost and drown


class Crash(BaseException):
    """The process dies here."""


class Operator:
    """One process of the operator."""

    def __init__(self, cluster: Cluster, random: Random) -> None:
        self.cluster = cluster
        self.store = cluster.store
        self.timeline = cluster.timeline
        self.deaf = 0
        """Above 0 its watches are dead."""
        self.medium: Medium = lambda line: [line]
        self.breaks: Callable[[], bool] = lambda: False
        """Whether the connection breaks at this line."""
        self.rotated: Callable[[list[bytes]], list[bytes]] = lambda lines: lines
        """What is left of a log when it is read from its start."""
        self.passes = 0
        self.alive = False
        self.errors: list[str] = []
        """What a process would log as a defect of its own."""
        self.random = random
        self.store.watch(self._watch, *WATCHED)
        self._forget_all()
        self.start()

    def _forget_all(self) -> None:
        self.feeds = Feeds()
        self.memory = Memory()
        self.due: dict[Key, float] = {}
        self._last: dict[Key, float] = {}
        self._failures: dict[Key, int] = {}
        self.followers: dict[str, Follower] = {}

    def start(self) -> None:
        self.alive = True
        self.relist()

    def stop(self) -> None:
        """The process ends at any moment: nothing of what it knew is left."""
        self.alive = False
        for follower in self.followers.values():
            follower.drop()
        self._forget_all()

    def disconnect(self) -> None:
        """All its connections to logs break."""
        for follower in list(self.followers.values()):
            follower.disconnect()

    def twin(self) -> "Operator":
        """Another process beside this one."""
        return Operator(self.cluster, self.random)

    def relist(self) -> None:
        """A watch that begins anew tells of everything."""
        if self.alive:
            for run in self.store.all(RUN):
                self.wake((run.namespace, run.name))

    def wake(self, key: Key, after: float = 0.0) -> None:
        at = max(self.timeline.now + after, self._last.get(key, -SECOND_PASS) + SECOND_PASS)
        if at < self.due.get(key, NEVER):
            self.due[key] = at

    def _watch(self, change: Change, item: Item) -> None:
        if not self.alive or self.deaf:
            return
        name = item.name if item.kind == RUN else item.labels.get(labels.RUN)
        if name is None:
            return
        key = (item.namespace, name)
        written = item.kind == RUN and change == "modified"  # perhaps by ourselves
        if not written or not self.memory.has_read(key, item.uid, item.obj["metadata"]["generation"]):
            self.wake(key, 0.01)

    def next_due(self) -> float:
        """When the next pass is due."""
        return min(self.due.values()) if self.alive and self.due else NEVER

    def run_pass(self) -> None:
        """The pass that is due first."""
        key = min(self.due, key=self.due.__getitem__)
        del self.due[key]
        self._last[key] = self.timeline.now
        self.passes += 1
        feeds = self.feeds
        try:
            done = drive(reconcile(self.cluster.api, feeds, self.memory, PLATFORM, key, self.timeline.date))
        except Crash:
            self.cluster.transcript.note("operator", "crashes")
            self.stop()
            self.timeline.after(self.random.choice((0.1, 3.0, 20.0, 90.0)), self.start)
            return
        except (ApiError, Unavailable) as error:
            if not isinstance(error, Unavailable) and error.status not in (403, 404, 409):
                self.errors.append(f"reconcile raised {error.status} {error}")
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            self.cluster.transcript.note("operator", "gives the pass up:", repr(error))
            self.wake(key, min(FIRST_BACKOFF * 2.0 ** (failures - 1), LONGEST_BACKOFF))
            return
        if self.alive and feeds is self.feeds:
            self._failures.pop(key, None)
            self._after(key, done)

    def _after(self, key: Key, done: Pass) -> None:
        if done.wake_after is not None:
            self.wake(key, done.wake_after.total_seconds())
        if done.ended:
            for uid in [uid for uid, follower in self.followers.items() if follower.key == key]:
                self.followers.pop(uid).drop()
            return
        for pod in done.follow:
            if pod.uid not in self.followers:
                self.followers[pod.uid] = Follower(self, key, pod)


class Follower:
    """Reads a load pod's log into its feed, from the start and on: the steps of `cluster.follow`, as bookings."""

    def __init__(self, operator: Operator, key: Key, pod: LoadPod) -> None:
        self.key = key
        self._operator = operator
        self._pod = pod
        self._feed: Feed = operator.feeds.feed(pod)
        self._live = True
        self._listening: Life | None = None
        self._over_since: float | None = None
        self._rereads = 0
        self._pause = PAUSE
        self._later(operator.random.uniform(0.0, 0.5), self._read)

    def drop(self) -> None:
        self._live = False
        self._hang_up()

    def disconnect(self) -> None:
        """The connection breaks; it is made anew, and the log is read from its start."""
        if self._live and self._listening is not None:
            self._hang_up()
            self._later(PAUSE, self._read)

    def _hang_up(self) -> None:
        life, self._listening = self._listening, None
        if life is not None:
            life.listeners.remove(self._hear)
            life.at_end.remove(self._stream_ends)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._operator.timeline.after(seconds, lambda: action() if self._live else None)

    def _read(self) -> None:
        """Read the log from its start, and listen on where the container runs."""
        cluster = self._operator.cluster
        pod, life = cluster.store.of_uid(self._pod.uid), cluster.kubelets.lives.get(self._pod.uid)
        if pod is None or life is None:
            self._exhaust()
            return
        if pod.over and self._over_since is None and not cluster.around.api_down:
            self._over_since = self._operator.timeline.now
        if cluster.around.logs_down or not cluster.kubelets.reaches(life):
            self._refused()
            return
        self._pause = PAUSE
        follow = not pod.over and not self._feed.incomplete
        self._feed.restart(self._operator.timeline.date)
        whole = self._take_all(life)
        if self._feed.closed:
            self._end()
        elif whole and pod.over:
            self._exhaust()
        elif whole and not follow:
            self._read_again()
        elif not whole or life.over or self._feed.incomplete:
            self._later(PAUSE, self._read)
        else:
            self._listening = life
            life.listeners.append(self._hear)
            life.at_end.append(self._stream_ends)

    def _refused(self) -> None:
        """The log cannot be read now; that of a dead pod is not waited for long."""
        if self._over_since is not None and self._operator.timeline.now - self._over_since >= PATIENCE:
            self._exhaust()
            return
        self._feed.lost(self._operator.timeline.date)
        self._later(self._pause, self._read)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _read_again(self) -> None:
        """The end was said, points are missing: a few more readings may bring them."""
        self._rereads += self._feed.incomplete
        if self._rereads >= REREADS:
            self._exhaust()
        else:
            self._later(POLL, self._read)

    def _take_all(self, life: Life) -> bool:
        """What the log has by now; False where the connection broke before its end."""
        for line in self._operator.rotated(list(life.log)):
            if self._operator.breaks():
                self._take(line[: len(line) // 2])
                return False
            self._take(line)
        return True

    def _stream_ends(self) -> None:
        self._hang_up()
        self._later(PAUSE, self._read)

    def _hear(self, line: bytes) -> None:
        life = self._listening
        if life is None:
            return
        if not self._operator.cluster.kubelets.reaches(life):
            self.disconnect()  # the node is cut off: what it writes is read later, from the start
            return
        if self._operator.breaks():
            self._take(line[: len(line) // 2])
            self.disconnect()
            return
        self._take(line)
        if self._feed.closed:
            self._hang_up()
            self._end()
        elif self._feed.incomplete:
            self.disconnect()

    def _take(self, line: bytes) -> None:
        operator = self._operator
        for piece in operator.medium(line):
            news = self._feed.hear(piece.rstrip(b"\n"), operator.timeline.date)
            if news is not News.NONE:
                operator.wake(self.key, PROGRESS_DELAY if news is News.PROGRESS else 0.0)

    def _exhaust(self) -> None:
        self._feed.exhaust()
        self._end()

    def _end(self) -> None:
        self._live = False
        self._operator.followers.pop(self._pod.uid, None)
        self._operator.wake(self.key)


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits for anything but the virtual cluster."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    coroutine.close()
    raise AssertionError("it awaited something that is no call of KubeApi")
