"""What load pods have said: per pod a decoder of its log, and the messages that came out of it.

A feed is only memory: after a restart of the operator it is filled again from the beginning of the log.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from msgspec.structs import replace

from enginebench.results.frames import Decoder, is_frame
from enginebench.results.messages import DatasetReport, End, EngineReport, Failure, ModelReport, Progress
from enginebench.results.point_report import PointReport
from enginebench.workflow.observed import Heard, ReceivedPoint

LAST_LINES = 20
LONGEST_LINE = 500


class News(IntEnum):
    """How much a line matters to the run."""

    NONE = 0
    PROGRESS = 1
    """The same stage of the same point, a little further."""
    EVENT = 2
    """Something that may change what is to be done."""


@dataclass(frozen=True, slots=True)
class LoadPod:
    """A pod that is listened to, and what it belongs to."""

    namespace: str
    name: str
    uid: str
    run: str
    run_uid: str
    target: str
    attempt: int


class Feed:
    """What one load pod has said."""

    def __init__(self, pod: LoadPod) -> None:
        self.pod = pod
        self._decoder = Decoder()
        self._heard = Heard()
        self._lines: deque[str] = deque(maxlen=LAST_LINES)
        self._promised: int | None = None
        self._newest = 0.0
        """Of all that was told of progress, by the pod's clock: a log that is read again brings nothing new."""

    @property
    def heard(self) -> Heard:
        """All so far."""
        lines = tuple(self._lines)
        if lines != self._heard.last_lines:
            self._heard = replace(self._heard, last_lines=lines)
        return self._heard

    @property
    def closed(self) -> bool:
        """Nothing more will come."""
        return self._heard.ended or self._heard.exhausted

    def restart(self, now: datetime) -> None:
        """The log is about to be read from its beginning again: what was noise would be noted twice."""
        self._lines.clear()
        self.lost(now)

    def lost(self, now: datetime) -> None:
        """The log cannot be read, until its next line arrives."""
        self._heard = replace(self._heard, since=None, deaf_since=self._heard.deaf_since or now)

    def hear(self, line: str | bytes, now: datetime) -> News:  # noqa: PLR0912  # one branch a kind of message
        """Take one line of the log, without its newline."""
        if self._heard.since is None:
            self._heard = replace(self._heard, since=now, deaf_since=None)
        spoken = self._decoder.feed(line)
        if spoken is None:
            if not is_frame(line):
                self._note(line)
            return News.NONE
        heard = replace(self._heard, heard_at=now)
        news = News.EVENT
        match spoken.message:
            case Progress() as progress:
                news = _news(heard.progress, progress)
                heard = replace(heard, progress=progress)
                if progress.at > self._newest:
                    self._newest = progress.at
                    heard = replace(heard, moved_at=now)
                if progress.point is not None and heard.loading_at is None:
                    heard = replace(heard, loading_at=progress.at)
            case ModelReport() as model:
                heard = replace(heard, model=model)
            case DatasetReport() as dataset:
                heard = replace(heard, dataset=dataset, dataset_at=heard.dataset_at or now)
            case EngineReport() as engine:
                heard = replace(heard, engine=engine, milestone_at=now)
            case PointReport() as report:
                received = ReceivedPoint(report=report, payload=spoken.payload)
                heard = replace(heard, points=(*heard.points, received), milestone_at=now)
            case Failure() as failure:
                heard = replace(heard, failure=failure)
            case End() as end:
                self._promised = end.points
        if self._promised is not None and len(heard.points) >= self._promised:
            heard = replace(heard, ended=True)
        self._heard = heard
        return news

    def exhaust(self) -> None:
        """The pod is over or gone, and its log was read to the end or cannot be had any more."""
        self._heard = replace(self._heard, exhausted=True)

    @property
    def incomplete(self) -> bool:
        """The pod has said that it ended, but frames of its points are missing: the log is worth another reading."""
        return self._promised is not None and not self._heard.ended

    def _note(self, line: str | bytes) -> None:
        text = line.decode(errors="replace") if isinstance(line, bytes) else line
        if text := text.strip()[:LONGEST_LINE]:
            self._lines.append(text)


def _news(old: Progress | None, progress: Progress) -> News:
    """What the same words are worth again: nothing, they only show that the pod lives."""
    if old is None or (old.stage, old.point) != (progress.stage, progress.point):
        return News.EVENT
    return News.NONE if replace(progress, at=old.at) == old else News.PROGRESS


class Feeds:
    """The feeds of all runs, by the pod's UID."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}

    def feed(self, pod: LoadPod) -> Feed:
        """The pod's feed, a new one where there is none."""
        return self._feeds.setdefault(pod.uid, Feed(pod))

    def of_run(self, run_uid: str) -> Iterator[Feed]:
        """The feeds of a run, those of pods that are gone among them."""
        return (feed for feed in list(self._feeds.values()) if feed.pod.run_uid == run_uid)

    def forget(self, pod_uid: str) -> None:
        """Drop a feed whose words are all durable."""
        self._feeds.pop(pod_uid, None)

    def forget_run(self, run_uid: str) -> None:
        """Drop all feeds of a run that is gone or finished."""
        for feed in self.of_run(run_uid):
            self.forget(feed.pod.uid)
