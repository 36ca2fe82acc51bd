"""GuideLLM's way of counting: its algorithm step by step, beside the quotient that it comes to."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.results.figures import Tokens
from enginebench.results.guidellm import guidellm_count
from enginebench.results.record import RequestRecord, Window

SECOND = 1_000_000_000
WINDOW = Window(10 * SECOND, 40 * SECOND)
USAGE = Tokens("usage", 1.0)


def request(start: float, end: float, tokens: int, outcome: str = "succeeded") -> RequestRecord:
    at = [round(seconds * SECOND) for seconds in (start, end)]
    first = (at[0] + at[1]) // 2
    record = RequestRecord(start=at[0], first=first, last=at[1], end=at[1], events=tokens, output_tokens=tokens)
    record.outcome = outcome  # type: ignore[assignment]  # one of the three
    return record


def mean_rate(events: list[tuple[float, int]]) -> float:
    """As GuideLLM: each event's count is a rate until the next one, weighted by that time; the last one has none."""
    merged: list[tuple[float, int]] = []
    for time, count in sorted(events):
        if merged and time - merged[-1][0] <= 1e-6:
            merged[-1] = (merged[-1][0], merged[-1][1] + count)
        else:
            merged.append((time, count))
    spans = [later[0] - earlier[0] for earlier, later in itertools.pairwise(merged)]
    rates = [count / span for (_, count), span in zip(merged, spans, strict=False)]
    return sum(rate * span for rate, span in zip(rates, spans, strict=True)) / sum(spans)


@given(
    st.lists(
        st.tuples(st.integers(10_000, 29_000), st.integers(100, 10_000), st.integers(2, 60)),
        min_size=1,
        max_size=20,
        unique_by=lambda drawn: drawn[0] + drawn[1],
    )
)
def test_it_is_the_mean_of_guidellms_distribution(drawn: list[tuple[int, int, int]]) -> None:
    records = [request(start / 1e3, (start + length) / 1e3, tokens) for start, length, tokens in drawn]
    ours = guidellm_count(records, WINDOW, USAGE)
    assert ours is not None
    ends = [(r.end / 1e9, 1) for r in records]
    began = min(r.start for r in records) / 1e9
    assert ours.requests_per_second == pytest.approx(mean_rate([(began, 1), *ends]))
    tokens = [(began, 0)]
    for r in records:
        step = (r.end - r.first) / 1e9 / ((r.output_tokens or 0) - 1)
        tokens += [(r.first / 1e9 + n * step, 1) for n in range(r.output_tokens or 0)]
    # The tokens on the very end are those that GuideLLM's last interval does not have: one of the last request.
    assert ours.output_tokens_per_second == pytest.approx(mean_rate(tokens) + 1 / ours.seconds, rel=1e-6)


def test_only_whole_successes_within_the_window_count() -> None:
    records = [
        request(9, 12, 100),
        request(11, 15, 10),
        request(12, 21, 30),
        request(20, 22, 100, "errored"),
        request(38, 41, 100),
        request(30, 35, 0, "open"),
    ]
    ours = guidellm_count(records, WINDOW, USAGE)
    assert ours is not None
    assert (ours.requests, ours.seconds) == (2, 10.0)
    assert (ours.requests_per_second, ours.output_tokens_per_second) == (0.2, 4.0)


def test_without_any_there_is_none() -> None:
    assert guidellm_count([request(9, 12, 100)], WINDOW, USAGE) is None
