"""The work queue: what is asked for once is done once, in time, and no failure stops it."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from enginebench.controller import queue
from enginebench.controller.queue import WorkQueue

PACE = 0.05


class Work:
    """Counts its calls; `answer` decides what each returns or raises."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, float]] = []
        self.answer: Callable[[int], float | None] = lambda number: None
        self.takes = 0.0
        self.cancelled = 0
        self.running = self.most_running = 0

    async def __call__(self, key: str) -> float | None:
        self.calls.append((key, asyncio.get_running_loop().time()))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return self.answer(len(self.calls))

    def count(self, key: str = "a") -> int:
        return sum(1 for one, _ in self.calls if one == key)


@pytest.fixture
def work() -> Work:
    return Work()


async def idle(queue_: WorkQueue[str], key: str = "a") -> None:
    async with asyncio.timeout(5):
        while key in queue_:  # noqa: ASYNC110  # nobody else waits for a queue to be idle
            await asyncio.sleep(0.005)


async def test_many_wishes_are_one_pass(work: Work) -> None:
    work_queue = WorkQueue(work, pace=PACE)
    for _ in range(10):
        work_queue.add("a")
    await idle(work_queue)
    assert work.count() == 1


async def test_a_wish_during_a_pass_is_another_pass_after_the_pace(work: Work) -> None:
    work.takes = 0.02
    work_queue = WorkQueue(work, pace=PACE)
    work_queue.add("a")
    await asyncio.sleep(0.01)
    work_queue.add("a")
    work_queue.add("a")
    await idle(work_queue)
    (_, first), (_, second) = work.calls
    assert second - first >= PACE


async def test_the_pace_holds_across_an_idle_moment(work: Work) -> None:
    work_queue = WorkQueue(work, pace=PACE)
    work_queue.add("a")
    await asyncio.sleep(PACE / 2)
    work_queue.add("a")
    await idle(work_queue)
    (_, first), (_, second) = work.calls
    assert second - first >= PACE


@pytest.mark.parametrize(("parallel", "at_once"), [(100, 3), (2, 2), (1, 1)])
async def test_keys_wait_for_each_other_only_beyond_what_is_allowed(work: Work, parallel: int, at_once: int) -> None:
    work.takes = 0.05
    work_queue = WorkQueue(work, pace=PACE, parallel=parallel)
    for key in "abc":
        work_queue.add(key)
    for key in "abc":
        await idle(work_queue, key)
    assert {key for key, _ in work.calls} == {"a", "b", "c"}
    assert work.most_running == at_once


async def test_a_pass_may_ask_for_another(work: Work) -> None:
    work.answer = lambda number: 0.0 if number < 3 else None
    work_queue = WorkQueue(work, pace=0.01)
    work_queue.add("a")
    await idle(work_queue)
    assert work.count() == 3


async def test_an_earlier_wish_wins_over_a_later_one(work: Work) -> None:
    work_queue = WorkQueue(work, pace=0.01)
    started = asyncio.get_running_loop().time()
    work_queue.add("a", after=30)
    work_queue.add("a", after=0.02)
    work_queue.add("a", after=20)
    await idle(work_queue)
    assert work.count() == 1
    assert 0.02 <= work.calls[0][1] - started < 5


async def test_failures_are_tried_again_more_and_more_slowly(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_BACKOFF", 0.02)

    def answer(number: int) -> None:
        if number < 4:
            raise ValueError("no")

    work.answer = answer
    work_queue = WorkQueue(work, pace=0.0)
    work_queue.add("a")
    await idle(work_queue)
    times = [at for _, at in work.calls]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(pauses) == 3
    assert all(pause >= 0.02 * 2**i for i, pause in enumerate(pauses))


async def test_news_does_not_wait_for_the_backoff(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_BACKOFF", 60.0)

    def answer(number: int) -> None:
        if number == 1:
            raise ValueError("no")

    work.answer = answer
    work_queue = WorkQueue(work, pace=0.01)
    work_queue.add("a")
    await asyncio.sleep(0.02)
    work_queue.add("a")
    await idle(work_queue)
    assert work.count() == 2


@pytest.mark.parametrize(("expected", "traceback"), [((ValueError,), False), ((), True)])
async def test_only_the_unexpected_is_logged_with_its_traceback(
    work: Work, caplog: pytest.LogCaptureFixture, expected: tuple[type[Exception], ...], traceback: bool
) -> None:
    def answer(_: int) -> None:
        raise ValueError("no")

    work.answer = answer
    work_queue = WorkQueue(work, expected=expected)
    work_queue.add("a")
    await asyncio.sleep(0.02)
    await work_queue.stop(1)
    (record,) = caplog.records
    assert bool(record.exc_info) is traceback


async def test_stopping_lets_running_passes_end_and_begins_no_other(work: Work) -> None:
    work.takes = 0.03
    work.answer = lambda number: 0.0
    work_queue = WorkQueue(work, pace=0.0)
    work_queue.add("a")
    work_queue.add("b", after=60)
    await asyncio.sleep(0.01)
    await work_queue.stop(1)
    work_queue.add("a")
    await asyncio.sleep(0.01)
    assert (work.count("a"), work.count("b"), work.cancelled) == (1, 0, 0)


async def test_stopping_does_not_wait_for_ever(work: Work) -> None:
    work.takes = 60
    work_queue = WorkQueue(work)
    work_queue.add("a")
    await asyncio.sleep(0.01)
    assert work_queue.longest_running() > 0
    await work_queue.stop(0.02)
    assert work.cancelled == 1


async def test_it_tells_how_long_ago_it_passed(work: Work) -> None:
    work_queue = WorkQueue(work, pace=0.01)
    assert work_queue.since_last_pass() is None
    work_queue.add("a")
    await idle(work_queue)
    since = work_queue.since_last_pass()
    assert since is not None
    assert 0 <= since < 5
    assert work_queue.longest_running() == 0
