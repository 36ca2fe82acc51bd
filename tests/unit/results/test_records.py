"""Requests column by column: what goes in comes out, whatever happens to it on the way."""

import tracemalloc
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.results import records as module
from enginebench.results import shares
from enginebench.results.histogram import Histogram
from enginebench.results.record import Outcome, RequestRecord, Window
from enginebench.results.records import MOST_COUNTED, Records
from enginebench.results.seen import Seen

instants = st.integers(0, 2**62)
tokens = st.none() | st.integers(0, MOST_COUNTED)
RECORDS = st.lists(
    st.builds(
        RequestRecord,
        start=instants,
        sent=instants,
        tracked=st.booleans(),
        first=instants,
        first_output=instants,
        last=instants,
        end=instants,
        events=st.integers(0, 2**32 - 1),
        events_in_window=st.integers(0, 2**32).map(float),
        output_tokens=tokens,
        prompt_tokens=tokens,
        outcome=st.sampled_from(get_args(Outcome)),
        error=st.text(max_size=5),
        finish_reason=st.sampled_from(("", "stop", "length")),
        known_prompt_tokens=tokens,
    ),
    max_size=8,
)


@given(RECORDS)
def test_what_goes_in_comes_out(made: list[RequestRecord]) -> None:
    records = Records(made)
    assert len(records) == len(made)
    assert list(records) == made
    assert list(records.at_hand()) == made
    assert [records[place] for place in range(len(made))] == made
    assert records[1::2] == made[1::2]
    assert list(records.tracked()) == [record for record in made if record.tracked]


@given(RECORDS, RECORDS)
def test_one_after_the_other(some: list[RequestRecord], others: list[RequestRecord]) -> None:
    records = Records(some)
    records.extend(Records(others))
    assert list(records) == some + others


@given(RECORDS, st.integers(0, 2**60))
def test_into_another_clock_and_back(made: list[RequestRecord], ahead: int) -> None:
    records = Records(made).shifted(-ahead, 0.5)
    for shifted, record in zip(records, made, strict=True):
        assert shifted.start == record.start + ahead
        assert (shifted.sent, shifted.first) == tuple(at and at + ahead for at in (record.sent, record.first))
        assert (shifted.last, shifted.end) == tuple(at and at + ahead for at in (record.last, record.end))
        assert shifted.events_in_window == record.events_in_window / 2
    assert list(records.shifted(ahead, 2)) == made
    assert records.shifted(0, 1) is records


@given(RECORDS)
def test_from_one_process_to_another(made: list[RequestRecord]) -> None:
    what = Seen(Window(1, 2), Records(made), Histogram(), [])
    assert list(shares.from_bytes(shares.to_bytes(what)).records) == made


def test_what_is_no_request_is_refused() -> None:
    words, rows = Records([RequestRecord(start=1, error="no")]).to_parts()
    assert rows[:8] == (1).to_bytes(8, "little")  # on every machine
    with pytest.raises(ValueError, match="cut off"):
        Records.from_parts(words, rows[1:])
    with pytest.raises(ValueError, match="unknown words"):
        Records.from_parts(words[:1], rows)
    with pytest.raises(ValueError, match="unknown words"):
        Records.from_parts(words, rows[:-13] + b"\3" + rows[-12:])


def test_a_count_beyond_belief_stays_a_number() -> None:
    records = Records([RequestRecord(start=1, output_tokens=10**30, prompt_tokens=2**31)])
    assert (records[0].output_tokens, records[0].prompt_tokens) == (MOST_COUNTED, MOST_COUNTED)


def test_many_take_little_memory_also_when_they_are_read() -> None:
    one = RequestRecord(start=10**15, sent=10**15, tracked=True, first=10**15, last=10**15, end=10**15, events=128)
    many = 3 * module.FEW
    tracemalloc.start()
    try:
        records = Records(replace(one, start=one.start + n, finish_reason="length") for n in range(many))
        kept, _ = tracemalloc.get_traced_memory()
        assert kept / many < 81 * 9 / 8 + 5
        tracemalloc.reset_peak()
        assert sum(record.start - one.start for record in records.at_hand()) == many * (many - 1) // 2
        _, peak = tracemalloc.get_traced_memory()
        assert peak - kept < 10_000
    finally:
        tracemalloc.stop()
