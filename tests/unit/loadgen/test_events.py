"""The splitters: the same events, however the body is cut, and one after the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.loadgen.events import NdjsonSplitter, SseSplitter
from tests.unit.loadgen.cuts import cut

data_lines = st.binary(max_size=30).map(lambda b: b.translate(None, b"\r\n")).filter(lambda b: not b.startswith(b" "))


@given(st.lists(data_lines, max_size=5), st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.data())
def test_server_sent_events_cut_anywhere(lines: list[bytes], end: bytes, spaced: bool, data: st.DataObject) -> None:
    prefix = b"data: " if spaced else b"data:"
    body = b"".join(b": keep-alive" + end + end + prefix + line + end + end for line in lines)
    events: list[bytes] = []
    splitter = SseSplitter(events.append)
    for piece in cut(body, data):
        splitter.feed(piece)
    splitter.finish()
    assert events == [line for line in lines if line]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\n", [b"a"]),
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"event: message\nid: 7\ndata: a\nretry: 5\n\n", [b"a"]),
        (b"data: a\n\ndata: left", [b"a", b"left"]),
        (b'data: a\n\n{"error":"bare"}\n', [b"a", b'{"error":"bare"}']),
        (b'data: a\n\n{"error":"bare"}', [b"a", b'{"error":"bare"}']),
        (b": only a comment\n\n", []),
        (b"data: \n\ndata:\n\ndata\n\ndata: a\n\n", [b"a"]),
        (b"\n\n\n", []),
        (b"", []),
    ],
)
def test_shapes_of_server_sent_events(body: bytes, events: list[bytes]) -> None:
    for size in (len(body) or 1, 1, 2, 3):
        got: list[bytes] = []
        splitter = SseSplitter(got.append)
        for at in range(0, len(body), size):
            splitter.feed(body[at : at + size])
        splitter.finish()
        assert got == events


@given(st.lists(data_lines.filter(bool), max_size=5), st.sampled_from([b"\n", b"\r\n", b"\n\n"]), st.data())
def test_json_lines_cut_anywhere(lines: list[bytes], end: bytes, data: st.DataObject) -> None:
    events: list[bytes] = []
    splitter = NdjsonSplitter(events.append)
    for piece in cut(end.join(lines), data):
        splitter.feed(piece)
    splitter.finish()
    assert events == lines


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    events: list[bytes] = []
    splitter = SseSplitter(events.append)
    splitter.feed(b"data: a\n\nda")
    assert events == [b"a"]
    splitter.feed(b"ta: b\n\n")
    assert events == [b"a", b"b"]
    lines = NdjsonSplitter(events.append)
    lines.feed(b"c\nd")
    assert events == [b"a", b"b", b"c"]
