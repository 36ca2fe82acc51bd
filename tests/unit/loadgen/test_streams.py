"""Every shape of stream, cut at every byte, against a plain reader that had the whole of it at once."""

import http.client
import io
import itertools
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enginebench.loadgen import connection as module
from enginebench.results.record import RequestRecord
from tests.support import plainreader, streams
from tests.support.plainreader import Reading
from tests.support.streams import APIS, Shape
from tests.unit.loadgen.cuts import cut
from tests.unit.loadgen.wire import Wire

texts = st.text(max_size=12) | st.sampled_from(streams.TEXTS)


def shapes(api: str) -> st.SearchStrategy[Shape]:
    """Every combination of what may differ."""
    return st.builds(
        Shape,
        api=st.just(api),
        deltas=st.lists(st.tuples(st.sampled_from(streams.KINDS), texts), max_size=5).map(tuple),
        role=st.sampled_from(streams.ROLES),
        usage=st.sampled_from(streams.USAGES),
        error=st.sampled_from(("", "", *streams.ERRORS)),
        tokens=st.integers(0, 500),
        last_text=st.sampled_from(("", "end")),
        done_mark=st.booleans(),
        comments=st.booleans(),
        crlf=st.booleans(),
        spaced=st.booleans(),
        merged=st.booleans(),
        framing=st.sampled_from(streams.FRAMINGS),
        trailers=st.booleans(),
    )


def whole(shape: Shape) -> bytes:
    head, pieces, end = streams.response(shape)
    return b"".join((head, *pieces, end))


def after(api: str, *pieces: bytes, closed: bool) -> tuple[Wire, RequestRecord]:
    """A connection that got these pieces in answer to a request, and the record of that."""
    with Wire(api) as wire:
        record = wire.ask()
        for piece in pieces:
            wire.connection.data_received(piece)
        if closed:
            wire.connection.eof_received()
            wire.connection.connection_lost(None)
        return wire, record


def assert_counted(record: RequestRecord, wanted: Reading) -> None:
    """All that the record says is what the plain reader read."""
    if wanted.failed:
        assert record.outcome == "errored"
        assert wanted.error in record.error
    else:
        assert (record.outcome, record.error) == ("succeeded", "")
        # Of a failed request no token count is used: what every event says of usage is read from the last one only.
        assert record.output_tokens == wanted.output_tokens
        assert record.prompt_tokens == wanted.prompt_tokens
    assert record.events == len(wanted.indices)
    assert record.finish_reason == wanted.finish_reason
    assert bool(record.first) == bool(record.last) == bool(wanted.indices)
    assert bool(record.first_output) == (wanted.first_output is not None)


@pytest.mark.parametrize("api", APIS)
@given(data=st.data())
@settings(max_examples=40)
def test_every_shape_cut_in_two_at_every_byte(api: str, data: st.DataObject) -> None:
    shape = data.draw(shapes(api))
    response, wanted = whole(shape), plainreader.read(api, whole(shape))
    for at in range(1, len(response)):
        wire, record = after(api, response[:at], response[at:], closed=shape.framing == "close")
        assert_counted(record, wanted)
        assert len(wire.heard.gaps) == max(0, record.events - 1)
        assert wire.heard.ended == [record]
        assert wire.connection.ready == (shape.framing != "close")


@pytest.mark.parametrize("api", APIS)
@given(data=st.data())
@settings(max_examples=150)
def test_every_shape_cut_anywhere_and_at_all_bytes_at_once(api: str, data: st.DataObject) -> None:
    shape = data.draw(shapes(api))
    response, wanted = whole(shape), plainreader.read(api, whole(shape))
    for pieces in (cut(response, data), (response[at : at + 1] for at in range(len(response)))):
        wire, record = after(api, *pieces, closed=shape.framing == "close")
        assert_counted(record, wanted)
        assert set(wire.heard.models) <= set(wanted.models)


@pytest.mark.parametrize("api", APIS)
@given(data=st.data())
@settings(max_examples=150)
def test_first_content_first_output_and_gaps_are_those_of_the_plain_reader(api: str, data: st.DataObject) -> None:
    """On a clock that ticks once a piece, with one event a piece, instants are indices."""
    shape = data.draw(shapes(api).filter(lambda shape: not shape.merged))
    head, pieces, end = streams.response(shape)
    wanted = plainreader.read(api, whole(shape))
    clock = itertools.count(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "monotonic_ns", lambda: next(clock))
        wire, record = after(api, head, *pieces, *filter(None, [end]), closed=shape.framing == "close")
    # Tick 1 is the start, tick 2 the head; event i comes with tick 3 + i.
    assert_counted(record, wanted)
    instants = [3 + index for index in wanted.indices]
    assert [record.first, record.last] == ([instants[0], instants[-1]] if instants else [0, 0])
    assert record.first_output == (0 if wanted.first_output is None else 3 + wanted.first_output)
    assert wire.heard.gaps == [later - earlier for earlier, later in itertools.pairwise(instants)]


@pytest.mark.parametrize("api", APIS)
@given(data=st.data())
@settings(max_examples=20)
def test_every_shape_closed_at_every_byte_is_an_error_with_what_had_come(api: str, data: st.DataObject) -> None:
    shape = data.draw(shapes(api).filter(lambda shape: not shape.error))
    response, wanted = whole(shape), plainreader.read(api, whole(shape))
    before = 0
    for at in range(1, len(response)):
        wire, record = after(api, response[:at], closed=True)
        if shape.framing == "close" and record.outcome == "succeeded":
            assert record.finish_reason  # cut off behind the last event that matters
            assert record.events == len(wanted.indices)
        else:
            assert record.outcome == "errored"
            assert shape.framing == "close" or "in the middle of the response" in record.error
        assert before <= record.events <= len(wanted.indices)
        assert wire.heard.ended == [record]
        assert not wire.connection.ready
        before = record.events


@pytest.mark.parametrize("framing", streams.FRAMINGS)
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
def test_a_compressed_body_is_refused_in_every_framing_wherever_it_is_cut(framing: str, coding: str) -> None:
    response = whole(Shape("ChatCompletions", (("text", "x"),), framing=framing))
    response = response.replace(b"200 OK\r\n", b"200 OK\r\nContent-Encoding: %b\r\n" % coding.encode(), 1)
    for at in range(1, len(response)):
        wire, record = after("ChatCompletions", response[:at], response[at:], closed=True)
        assert f"compressed ({coding})" in record.error
        assert record.events == 0
        assert wire.transport.aborted


@pytest.mark.parametrize("api", APIS)
@given(data=st.data())
def test_the_plain_reader_unframes_as_the_standard_library_does(api: str, data: st.DataObject) -> None:
    response = whole(data.draw(shapes(api)))

    class Socket:
        def makefile(self, mode: str) -> io.BytesIO:
            return io.BytesIO(response)

    theirs = http.client.HTTPResponse(cast("Any", Socket()))
    theirs.begin()
    assert plainreader.unframed(response) == (200, theirs.read())


def test_the_plain_reader_on_a_stream_read_by_eye() -> None:
    deltas = (("reasoning", "hm"), ("nothing", ""), ("text", "Hi"), ("tool name", ""))
    shape = Shape("ChatCompletions", deltas, role="bare", tokens=9, comments=True, crlf=True)
    # Events: 0 role, 1 reasoning, 2 nothing, 3 text, 4 tool, 5 finish, 6 usage, 7 [DONE].
    assert plainreader.read("ChatCompletions", whole(shape)) == Reading(
        status=200,
        indices=[1, 3, 4],
        first_output=3,
        output_tokens=9,
        prompt_tokens=7,
        finish_reason="length",
        models=["m"] * 7,
    )
