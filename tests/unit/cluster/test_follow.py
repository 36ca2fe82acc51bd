"""Followers, against logs that break off, come late, or never come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from enginebench.cluster import follow
from enginebench.cluster.api import ApiError, Kind, Obj, Unavailable
from enginebench.cluster.feeds import Feeds, News
from enginebench.cluster.follow import Followers
from tests.unit.cluster.said import ENGINE, end, lines, point
from tests.unit.cluster.test_observe import LOAD_POD

SAID = [line for message in lines(ENGINE, point(0), end(1)) for line in message]


class FakeLogs:
    """A pod whose log is read in these portions, one a request; an exception is raised where it stands."""

    def __init__(self, *portions: Sequence[bytes | Exception], phases: Sequence[str] = ("Running",)) -> None:
        self.portions, self.phases = list(portions), list(phases)
        self.requests: list[bool] = []
        """Per request, whether it was to follow."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        phase = self.phases.pop(0) if len(self.phases) > 1 else self.phases[0]
        if phase == "Gone":
            return None
        return {"metadata": {"uid": LOAD_POD.uid}, "status": {"phase": phase}}

    async def log_lines(self, namespace: str, pod: str, container: str, *, follow: bool) -> AsyncGenerator[bytes, None]:
        assert container == "load"
        self.requests.append(follow)
        portion = self.portions.pop(0) if len(self.portions) > 1 else self.portions[0]
        for line in portion:
            await asyncio.sleep(0)
            if isinstance(line, Exception):
                raise line
            yield line


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PAUSE", "POLL", "LONGEST_PAUSE"):
        monkeypatch.setattr(follow, name, 0.001)
    monkeypatch.setattr(follow, "PATIENCE", 0.05)


async def listen(logs: FakeLogs) -> tuple[Feeds, list[News]]:
    """Follow until the follower is done."""
    feeds, news = Feeds(), []
    followers = Followers(logs, feeds, lambda key, what: news.append(what) if key == ("ns", "r") else None)
    followers.follow([LOAD_POD])
    async with asyncio.timeout(5):
        while not feeds.feed(LOAD_POD).closed:  # noqa: ASYNC110  # a feed has no event: the queue is woken instead
            await asyncio.sleep(0.001)
    await followers.stop()
    return feeds, news


async def test_it_listens_until_the_end_is_said() -> None:
    logs = FakeLogs(SAID)
    feeds, news = await listen(logs)
    heard = feeds.feed(LOAD_POD).heard
    assert (heard.ended, heard.exhausted, len(heard.points)) == (True, False, 1)
    assert news.count(News.EVENT) >= len(SAID)
    assert logs.requests == [True]


async def test_after_a_break_it_reads_from_the_beginning() -> None:
    logs = FakeLogs([SAID[0], Unavailable("reset")], SAID)
    feeds, _ = await listen(logs)
    assert feeds.feed(LOAD_POD).heard.ended
    assert logs.requests == [True, True]


async def test_the_log_of_a_dead_pod_is_read_once_to_its_end() -> None:
    logs = FakeLogs([*SAID[:2], b"Traceback", b"MemoryError"], phases=["Failed"])
    feeds, _ = await listen(logs)
    heard = feeds.feed(LOAD_POD).heard
    assert (heard.ended, heard.exhausted) == (False, True)
    assert heard.last_lines == ("Traceback", "MemoryError")
    assert logs.requests == [False]


async def test_a_stream_that_ends_with_its_pod_is_read_again_to_be_sure() -> None:
    logs = FakeLogs(SAID[:1], SAID[:2], phases=["Running", "Failed"])
    feeds, _ = await listen(logs)
    heard = feeds.feed(LOAD_POD).heard
    assert heard.exhausted
    assert len(heard.points) == 1
    assert logs.requests == [True, False]


async def test_a_pod_that_is_gone_has_nothing_more_to_say() -> None:
    feeds, news = await listen(FakeLogs([], phases=["Gone"]))
    assert feeds.feed(LOAD_POD).heard.exhausted
    assert news == [News.EVENT]


async def test_the_log_of_a_dead_pod_that_cannot_be_had_is_given_up() -> None:
    logs = FakeLogs([ApiError(400, "BadRequest", "container not found")], phases=["Failed"])
    feeds, _ = await listen(logs)
    assert feeds.feed(LOAD_POD).heard.exhausted
    assert len(logs.requests) > 1


async def test_missing_frames_are_looked_for_again_and_then_given_up() -> None:
    torn = [SAID[0], SAID[-1]]
    found = FakeLogs(torn, SAID)
    feeds, _ = await listen(found)
    assert feeds.feed(LOAD_POD).heard.ended
    assert found.requests == [True, False]
    lost = FakeLogs(torn)
    feeds, _ = await listen(lost)
    heard = feeds.feed(LOAD_POD).heard
    assert (heard.ended, heard.exhausted) == (False, True)
    assert lost.requests == [True, False, False]


async def test_above_the_limit_it_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "MOST_STREAMS", 0)
    logs = FakeLogs(SAID[:1], SAID)
    feeds, _ = await listen(logs)
    assert feeds.feed(LOAD_POD).heard.ended
    assert logs.requests == [False, False]


async def test_a_dropped_run_is_not_listened_to() -> None:
    feeds, logs = Feeds(), FakeLogs([b"x"])
    followers = Followers(logs, feeds, lambda key, what: None)
    followers.follow([LOAD_POD, LOAD_POD])
    await asyncio.sleep(0.01)
    followers.drop(("ns", "another"))
    before = len(logs.requests)
    await asyncio.sleep(0.01)
    assert len(logs.requests) > before
    followers.drop(("ns", "r"))
    await asyncio.sleep(0.01)
    after = len(logs.requests)
    await asyncio.sleep(0.01)
    assert len(logs.requests) == after
