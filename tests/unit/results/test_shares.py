"""Unequal shares of a point merged, against one generator that has seen every sample by one clock."""

from dataclasses import dataclass, fields
from itertools import pairwise
from random import Random

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from enginebench.api.loadplan import PointPlan
from enginebench.loadgen.report import Course, point_report
from enginebench.results import shares
from enginebench.results.histogram import Histogram
from enginebench.results.point_report import PointReport
from enginebench.results.record import RequestRecord, Window
from enginebench.results.records import Records
from enginebench.results.seen import Seen, Strain
from enginebench.results.series import Tick, decode
from enginebench.results.shares import Offset

MS = 1_000_000
SECOND = 1000 * MS
OPEN, CLOSE, STOPPED = 100 * SECOND, 110 * SECOND, 112 * SECOND
ALWAYS = Window(0, STOPPED)
POINT = PointPlan(index=0, concurrency=1)


def test_of_a_round_trip_nobody_knows_which_way_took_longer() -> None:
    assert shares.reading(1000, 51_000, 1400) == Offset(ahead=49_800, uncertainty=200)


@given(st.lists(st.builds(Offset, st.integers(-(10**15), 10**15), st.integers(0, 10**9)), min_size=1, max_size=4))
def test_an_offset_spans_all_that_was_read(readings: list[Offset]) -> None:
    whole = shares.spanning(readings)
    for reading in readings:
        assert whole.ahead - whole.uncertainty <= reading.ahead - reading.uncertainty
        assert whole.ahead + whole.uncertainty >= reading.ahead + reading.uncertainty
    if len(readings) == 1:
        assert whole == readings[0]


@dataclass
class Answer:
    """One request as it was in truth, by the leader's clock."""

    start: int
    events: list[int]
    finished: bool
    window: Window = ALWAYS
    """Of the process that sent it."""


def answers(random: Random, users: int, gap: int, tokens: int) -> list[Answer]:
    """What users ask one after another, from before the window until they are cut off."""
    made = []
    for _ in range(users):
        now = OPEN - random.randrange(SECOND)
        while now < STOPPED:
            start, now = now, now + random.randrange(gap, 5 * gap)
            events = [now]
            for _ in range(tokens - 1):
                now += random.randrange(gap // 2, 2 * gap)
                events.append(now)
            there = [at for at in events if at < STOPPED]
            made.append(Answer(start, there, finished=len(there) == tokens))
    return made


def seen(made: list[Answer], window: Window, ahead: int = 0) -> Seen:
    """By a clock that is ahead; what each process has tracked is tracked, what came in `window` is booked."""
    records, gaps, arrivals, times = [], Histogram(), list[int](), list[tuple[int, int]]()
    for answer in made:
        ended = answer.events[-1] if answer.finished else STOPPED
        times += [(answer.start, 1), (ended, -1)]
        for before, after in pairwise(answer.events):
            if after in answer.window:
                gaps.record(after - before)
        tracked = answer.start in answer.window
        if not tracked and (answer.start >= window.close or ended < window.open):
            continue
        arrived = [at for at in answer.events if at in window]
        arrivals += arrived
        record = RequestRecord(
            start=answer.start + ahead,
            tracked=tracked,
            end=ended + ahead,
            events=len(answer.events),
            events_in_window=len(arrived),
            outcome="succeeded" if answer.finished else "open",
        )
        if answer.events:
            record.first = record.first_output = answer.events[0] + ahead
            record.last = answer.events[-1] + ahead
        records.append(record)
    ticks = [
        Tick(in_flight=sum(step for when, step in times if when <= at), events=sum(when < at for when in arrivals))
        for at in (*range(window.open + SECOND, window.close, SECOND), window.close)
    ]
    return Seen(Window(window.open + ahead, window.close + ahead), Records(records), gaps, ticks)


def share(made: list[Answer], window: Window, ahead: int = 0) -> Seen:
    """What the process saw that sent all of these."""
    for answer in made:
        answer.window = window
    return seen(made, window, ahead)


def report(what: Seen) -> PointReport:
    return point_report(POINT, what, Course(started_at=0, ended_at=1), most_bytes=1 << 30)


USERS = st.lists(st.integers(1, 9), min_size=1, max_size=4)
QUICKLY = settings(max_examples=30, phases=(Phase.generate,), deadline=None)
"""Whole points: nothing that could be shrunk to a few lines."""


@QUICKLY
@given(USERS, st.integers(0, 2**32))
def test_merged_is_what_one_generator_would_have_seen(users: list[int], seed: int) -> None:
    """Unequal in users, speed and lengths, with clocks of their own and windows some milliseconds apart."""
    random = Random(seed)  # noqa: S311  # no secret
    everything: list[Answer] = []
    parts: list[tuple[Seen, Offset]] = []
    late = 0
    for number, count in enumerate(users):
        gap, tokens = random.randrange(10, 60) * MS, random.randrange(2, 60)
        made = answers(random, count, gap, tokens)
        everything += made
        begin = random.randrange(3 * MS) if number else 0
        late = max(late, begin)
        ahead, uncertainty = (random.randrange(-(10**15), 10**15), random.randrange(MS)) if number else (0, 0)
        believed = Offset(ahead + random.randint(-uncertainty, uncertainty), uncertainty)
        parts.append((share(made, Window(OPEN + begin, CLOSE + begin), ahead), believed))
    parts = [(shares.from_bytes(shares.to_bytes(part)), offset) for part, offset in parts]
    merged = shares.merged(parts)
    assert OPEN <= merged.window.open <= OPEN + 6 * MS
    assert CLOSE - 3 * MS <= merged.window.close <= CLOSE + late
    together, alone = report(merged), report(seen(everything, merged.window))
    assert together.requests == alone.requests
    for name in ("ttft", "itl", "tpot", "request_latency", "inter_event_gap"):
        assert getattr(together, name) == getattr(alone, name), name
    # An end, or a step of the batch, may lie within the uncertainty of a clock on either side of the window's.
    assert together.requests_per_second == pytest.approx(alone.requests_per_second, rel=0.005, abs=2 / 10)
    assert together.output_tokens_per_second == pytest.approx(
        alone.output_tokens_per_second, rel=0.005, abs=2 * sum(users) / 10
    )
    assert together.window_seconds == alone.window_seconds
    span, truth = decode(together.series), decode(alone.series)
    assert len(span.events) == len(truth.events) == 10
    assert sum(span.events) == pytest.approx(sum(truth.events), rel=0.005, abs=2 * sum(users))


@QUICKLY
@given(USERS, st.integers(0, 2**32))
def test_on_one_clock_with_one_window_it_is_the_same_to_the_last_digit(users: list[int], seed: int) -> None:
    random, window = Random(seed), Window(OPEN, CLOSE)  # noqa: S311  # no secret
    made = [answers(random, count, 20 * MS, 30) for count in users]
    merged = shares.merged([(share(part, window), shares.SAME_CLOCK) for part in made])
    alone = seen([answer for part in made for answer in part], window)
    assert report(merged) == report(alone)


def test_the_window_is_the_intersection_shrunk_by_the_uncertainty_and_rates_add_up() -> None:
    """A share's tokens are scaled to the common window: its rate stays what it was."""
    parts = [
        (Seen(Window(1000, 3000), Records([_counted(200)]), Histogram(), []), Offset()),
        (Seen(Window(51100, 53500), Records([_counted(480)]), Histogram(), []), Offset(ahead=50000, uncertainty=100)),
    ]
    merged = shares.merged(parts)
    assert merged.window == Window(1200, 2900)
    assert [record.events_in_window / 1700 for record in merged.records] == pytest.approx([0.1, 0.2])


def test_instants_that_never_came_stay_so() -> None:
    open_ = RequestRecord(start=60, sent=65, end=90)
    merged = shares.merged([(Seen(Window(50, 150), Records([open_]), Histogram(), []), Offset(ahead=50))])
    assert list(merged.records) == [RequestRecord(start=10, sent=15, end=40)]


def test_what_counts_alike_is_added() -> None:
    lag = Histogram()
    lag.record(5)
    strain = Strain(lag, late_gaps=7, late_coalesced=3, cpu_seconds=2.0, wall_seconds=10.0, throttled=0.1)
    one = Seen(Window(0, 10), Records(), Histogram(), [Tick(1, 2), Tick(3, 4)], 5, {"other": 1}, strain)
    merged = shares.merged([(one, Offset()), (shares.from_bytes(shares.to_bytes(one)), Offset())])
    assert merged.ticks == [Tick(2, 4), Tick(6, 8)]
    assert (merged.replayed, merged.wrong_models) == (10, {"other": 2})
    assert (merged.strain.lag.samples, merged.strain.late_gaps, merged.strain.late_coalesced) == (2, 14, 6)
    assert (merged.strain.throttled, merged.strain.stolen) == (0.1, None)  # the worst of both
    assert (merged.strain.cpu_seconds, merged.strain.wall_seconds) == (4.0, 10.0)  # two processes over the same span


def test_without_a_common_window_nothing_is_made_up() -> None:
    early, late = (Seen(Window(at, at + 5), Records(), Histogram(), []) for at in (0, 5))
    with pytest.raises(shares.NoCommonWindowError, match="no common window"):
        shares.merged([(early, Offset()), (late, Offset())])


def test_every_part_of_what_was_seen_has_a_rule_of_merging() -> None:
    """A new field fails here: say in `shares.merged` how it is merged."""
    assert {field.name for field in fields(Seen)} == {
        *("window", "records", "gaps", "ticks", "replayed", "wrong_models", "strain"),
    }  # fmt: skip
    instants = {"start", "sent", "first", "first_output", "last", "end"}
    others = {"tracked", "events", "events_in_window", "output_tokens", "prompt_tokens", "outcome", "error"}
    others |= {"known_prompt_tokens", "finish_reason"}
    assert {field.name for field in fields(RequestRecord)} == instants | others  # instants are shifted
    assert {field.name for field in fields(Strain)} == {
        *("lag", "late_gaps", "late_coalesced", "cpu_seconds", "wall_seconds", "throttled", "stolen"),
    }  # fmt: skip


def _counted(events: int) -> RequestRecord:
    return RequestRecord(start=1, end=2, events=events, events_in_window=events)
