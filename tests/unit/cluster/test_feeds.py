"""What a feed makes of a load pod's log."""

from datetime import timedelta

from enginebench.cluster.feeds import LAST_LINES, Feed, Feeds, LoadPod, News
from enginebench.results.messages import Failure
from tests.unit.cluster.fake import NOW, RUN_UID
from tests.unit.cluster.said import DATASET, ENGINE, end, lines, point, progress

POD = LoadPod("ns", "r-a-sim-l1-x-0", "pod-uid", "r", RUN_UID, "a-sim", 1)


def test_everything_said_is_heard() -> None:
    feed = Feed(POD)
    later = NOW + timedelta(seconds=5)
    said = lines(DATASET, ENGINE, progress(), point(0), Failure(reason="X", message="m"), end(1))
    for line in (line for message in said[:-1] for line in message):
        feed.hear(line, NOW)
    assert not feed.heard.ended
    for line in said[-1]:
        feed.hear(line, later)
    heard = feed.heard
    assert (heard.dataset, heard.engine, heard.progress) == (DATASET, ENGINE, progress())
    assert [p.report for p in heard.points] == [point(0)]
    assert heard.failure == Failure(reason="X", message="m")
    assert heard.ended
    assert (heard.heard_at, heard.milestone_at) == (later, NOW)


def test_only_a_new_stage_or_point_is_an_event() -> None:
    feed = Feed(POD)
    said = lines(
        progress("Loading", 0, "a"), progress("Loading", 0, "b"), progress("Loading", 1), progress("Draining", 1)
    )
    news = [feed.hear(message[0], NOW) for message in said]
    assert news == [News.EVENT, News.PROGRESS, News.EVENT, News.EVENT]
    assert feed.hear("Traceback", NOW) is News.NONE


def test_the_same_words_again_are_no_news_but_show_that_the_pod_lives() -> None:
    feed, later = Feed(POD), NOW + timedelta(seconds=1)
    ((first,), (again,)) = lines(progress("Loading", 0, "a", at=5.0), progress("Loading", 0, "a", at=6.0))
    assert (feed.hear(first, NOW), feed.hear(again, later)) == (News.EVENT, News.NONE)
    assert (feed.heard.heard_at, feed.heard.moved_at) == (later, later)


def test_a_heart_that_beats_is_not_progress() -> None:
    feed = Feed(POD)
    said = [progress("Loading", 0, at=1000.0), progress("Loading", 0, at=1001.0), progress("Loading", 0, at=1001.0)]
    for second, (line,) in enumerate(lines(*said)):
        feed.hear(line, NOW + timedelta(seconds=second))
    assert feed.heard.moved_at == NOW + timedelta(seconds=1)
    feed.restart(NOW)
    for (line,) in lines(*said):
        feed.hear(line, NOW + timedelta(seconds=60))
    assert feed.heard.moved_at == NOW + timedelta(seconds=1)


def test_a_log_read_again_counts_once() -> None:
    feed = Feed(POD)
    (message,) = lines(point(0))
    for _ in range(2):
        feed.restart(NOW)
        feed.hear("booting", NOW)
        for line in message:
            feed.hear(line, NOW)
    assert len(feed.heard.points) == 1
    assert feed.heard.last_lines == ("booting",)


def test_end_waits_for_the_points_it_counts() -> None:
    feed = Feed(POD)
    first, second, last = lines(point(0), point(1), end(2))
    for line in [*first, *last]:
        feed.hear(line, NOW)
    assert not feed.heard.ended
    assert feed.incomplete
    for line in second:
        feed.hear(line, NOW)
    assert feed.heard.ended
    assert feed.closed
    assert not feed.incomplete


def test_the_last_words_are_kept_and_bounded() -> None:
    feed = Feed(POD)
    for i in range(LAST_LINES + 5):
        feed.hear(f"line {i}".encode(), NOW)
    feed.hear(b"   ", NOW)
    feed.hear("x" * 10000, NOW)
    heard = feed.heard.last_lines
    assert len(heard) == LAST_LINES
    assert heard[-2] == f"line {LAST_LINES + 4}"
    assert len(heard[-1]) == 500


def test_exhausted_feed_is_closed() -> None:
    feed = Feed(POD)
    feed.exhaust()
    assert feed.closed
    assert feed.heard.exhausted


def test_feeds_are_kept_by_pod_and_forgotten_by_run() -> None:
    feeds = Feeds()
    feed = feeds.feed(POD)
    assert feeds.feed(POD) is feed
    assert list(feeds.of_run(RUN_UID)) == [feed]
    assert list(feeds.of_run("another")) == []
    feeds.forget_run(RUN_UID)
    assert list(feeds.of_run(RUN_UID)) == []
