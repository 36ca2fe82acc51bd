"""From GuideLLM's requests to records: what lies in the window, event by event and second by second."""

import pytest

from enginebench.loadgen.guidellm.adapter import Request
from enginebench.loadgen.guidellm.records import seen, strained
from enginebench.loadgen.guidellm.remote import Tick
from enginebench.results import figures
from enginebench.results.record import Window

EPOCH = 1_800_000_000.0
WINDOW = Window(round((EPOCH + 10) * 1e9), round((EPOCH + 20) * 1e9))


def request(start: float, *, first: float = 0.5, last: float = 1.5, tokens: int = 11, **changes: object) -> Request:
    """Seconds after EPOCH; content comes so long after the start."""
    begin = EPOCH + start
    said: dict[str, object] = {
        "start": begin,
        "due": None,
        "first": begin + first,
        "last": begin + last,
        "end": begin + last,
        "outcome": "succeeded",
        "output_tokens": tokens,
        "prompt_tokens": 7,
    }
    return Request(**(said | changes))  # type: ignore[arg-type]  # what a test changes


def test_only_what_was_started_in_the_window_is_tracked() -> None:
    of = seen([request(7), request(8.6), request(10), request(19.9), request(20)], WINDOW, [], scheduled=False)
    assert [record.tracked for record in of.records] == [False, True, True], "8.6 reaches into it, 7 and 20 do not"


def test_tokens_count_when_they_came() -> None:
    """Eleven tokens from 9.6 to 10.6, one every 0.1 s: seven of them from 10.0 on."""
    of = seen([request(9.1)], WINDOW, [], scheduled=False)
    assert of.records[0].events_in_window in (6, 7), "the one at 10.0 falls on the edge"
    rate = figures.output_tokens_per_second(of.records, WINDOW, figures.tokens(of.records))
    assert rate == pytest.approx(of.records[0].events_in_window / 10)


def test_seconds_add_up_to_the_window() -> None:
    of = seen([request(9.25), request(12.25), request(19.25)], WINDOW, [], scheduled=False)
    assert len(of.ticks) == 10
    assert of.ticks[-1].events == sum(record.events_in_window for record in of.records)
    assert [tick.in_flight for tick in of.ticks] == [0, 0, 1, 0, 0, 0, 0, 0, 0, 1]


def test_what_was_cut_off_is_open() -> None:
    """0.2.1 forgets of it when the first token came."""
    of = seen([request(19, outcome="open", first=0.5)], WINDOW, [], scheduled=False)
    assert figures.ttft(of.records).observed == [500_000_000]
    cut = Request(start=EPOCH + 19, due=None, first=None, last=None, end=EPOCH + 23, outcome="open")
    of = seen([cut], WINDOW, [], scheduled=False)
    assert figures.ttft(of.records).censored == [4_000_000_000]


def test_an_open_loop_counts_from_when_a_request_was_due() -> None:
    late = request(10.4, due=EPOCH + 10.1)
    of = seen([late], WINDOW, [], scheduled=True)
    assert figures.ttft(of.records).observed == [pytest.approx(800_000_000, abs=1000)]
    assert figures.lateness(of.records) == [pytest.approx(300_000_000, abs=1000)]
    of = seen([late], WINDOW, [], scheduled=False)
    assert figures.ttft(of.records).observed == [pytest.approx(500_000_000, abs=1000)], "a closed loop has no schedule"


def test_an_answer_of_one_token_has_no_pace() -> None:
    of = seen([request(11, tokens=1, first=0.5, last=0.5)], WINDOW, [], scheduled=False)
    assert of.records[0].events_in_window == 1
    assert figures.itl(of.records, figures.tokens(of.records)) == []


def ticks(*cpu: float, busiest: float = 0.5, throttled: float | None = None) -> list[Tick]:
    return [
        Tick(
            at=EPOCH + 9 + n,
            cpu=used,
            busiest=busiest,
            processes=3,
            memory=1000 + n,
            waited=0.5 * n,
            ran=100 * n,
            throttled=None if throttled is None else throttled * n,
        )
        for n, used in enumerate(cpu)
    ]


def test_what_it_took_is_what_it_took_in_the_window() -> None:
    span = ticks(5.0, *(6.0 + 1.5 * n for n in range(11)), 99.0, throttled=0.02)
    of = seen([request(10, last=9.9), request(10, last=4.9)], WINDOW, span, scheduled=False)
    assert of.strain.wall_seconds == pytest.approx(10)
    assert of.strain.cpu_seconds == pytest.approx(15)
    assert of.strain.throttled == pytest.approx(0.02)
    strain = strained(span, of.records, WINDOW, cpus=2.0)
    assert strain.busiest_percent == pytest.approx(50)
    assert strain.concurrency == pytest.approx(1.48)
    assert strain.memory_bytes == 1012
    assert strain.wait_milliseconds == pytest.approx(5)
    assert strain.processes == 3


def test_nothing_is_made_up_where_nobody_looked() -> None:
    of = seen([request(10)], WINDOW, [], scheduled=False)
    assert of.strain.wall_seconds == 0
    assert strained([], of.records, WINDOW, cpus=2.0).busiest_percent == 0
