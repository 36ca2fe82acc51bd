"""What a connection makes of a stream: counted alike however it is cut, in every dialect and in every shape."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enginebench.loadgen.routes import ROUTES
from enginebench.results.record import RequestRecord
from tests.unit.loadgen.cuts import cut
from tests.unit.loadgen.wire import OPENAI, Wire, chunked, content, ending, event

APIS = tuple(ROUTES)
TEXT = 'a "content":"x" \\ \'quoted\' \n, "done":true "finish_reason":"stop" \u2603 \U0001f600'


def counted(record: RequestRecord) -> tuple[Any, ...]:
    """All of a record that does not depend on the clock."""
    assert (record.first > 0) == (record.last > 0) == bool(record.events)
    assert record.start <= (record.first or record.start) <= (record.last or record.start) <= record.end
    return (
        record.outcome,
        record.error,
        record.events,
        record.output_tokens,
        record.prompt_tokens,
        record.finish_reason,
    )


def answered(api: str, *pieces: bytes) -> Wire:
    """A wire that got a request and these pieces in answer."""
    with Wire(api) as wire:
        wire.ask()
        for piece in pieces:
            wire.connection.data_received(piece)
        return wire


texts = st.text(max_size=12) | st.sampled_from([TEXT, '"', '"content":"x"', '"text":"', '"done":false', "\\"])


@st.composite
def streams(draw: st.DrawFn, api: str) -> tuple[bytes, tuple[Any, ...]]:
    """A response as some server sends it, and what must be counted."""
    spaced = draw(st.booleans())
    words = draw(st.lists(texts, min_size=1, max_size=5))
    pieces, events = [], 0
    if draw(st.booleans()) and api == "ChatCompletions":  # the role first, with or without empty content
        delta = draw(st.sampled_from([{"role": "assistant"}, {"role": "assistant", "content": ""}]))
        pieces.append(event(api, {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
    usage = {"usage": {"prompt_tokens": 7, "completion_tokens": 1}} if draw(st.booleans()) and api in OPENAI else {}
    for word in words:
        if draw(st.booleans()) and api in OPENAI:
            pieces.append(b": keep-alive\n\n")
        pieces.append(event(api, content(api, word, **usage), spaced=spaced))
        events += bool(word)
    tokens = draw(st.integers(1, 500))
    last = draw(st.sampled_from(["", "end"]))
    tail = ending(api, tokens, text=last)
    if draw(st.booleans()) and api in OPENAI:
        tail.pop()  # `[DONE]` missing
    pieces += tail
    events += bool(last)
    if draw(st.booleans()) and api in OPENAI:
        pieces = [piece.replace(b"\n", b"\r\n") for piece in pieces]
    if draw(st.booleans()):
        pieces = [b"".join(pieces)]  # the server's frontend merges
    response = chunked(pieces)
    if draw(st.booleans()):
        body = b"".join(pieces)
        response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    if not events:
        return response, ("errored", "the response had no content", 0, tokens, 7, "length")
    return response, ("succeeded", "", events, tokens, 7, "length")


@pytest.mark.parametrize("api", APIS)
@given(data=st.data())
@settings(max_examples=150)
def test_streams_of_every_shape_cut_anywhere(api: str, data: st.DataObject) -> None:
    response, wanted = data.draw(streams(api))
    wire = answered(api, *cut(response, data))
    [record] = wire.heard.ended
    assert counted(record) == wanted
    assert len(wire.heard.gaps) == max(0, record.events - 1)
    assert all(gap >= 0 for gap in wire.heard.gaps)
    assert set(wire.heard.models) <= {"m"}
    assert wire.connection.ready


@pytest.mark.parametrize("api", APIS)
def test_the_same_stream_cut_in_two_at_every_byte(api: str) -> None:
    events = [event(api, content(api, word)) for word in ("one", TEXT, "", "three")]
    response = chunked([*events, *ending(api, 42, "stop")])
    for at in range(1, len(response)):
        wire = answered(api, response[:at], response[at:])
        assert [counted(r) for r in wire.heard.ended] == [("succeeded", "", 3, 42, 7, "stop")]
    wire = answered(api, *(response[at : at + 1] for at in range(len(response))))
    assert [counted(r) for r in wire.heard.ended] == [("succeeded", "", 3, 42, 7, "stop")]


@pytest.mark.parametrize("api", APIS)
def test_a_connection_closed_at_any_byte_is_an_error_and_never_a_success(api: str) -> None:
    response = chunked([event(api, content(api, "one")), *ending(api, 1)])
    for at in range(1, len(response)):
        with Wire(api) as wire:
            record = wire.ask()
            wire.connection.data_received(response[:at])
            wire.connection.eof_received()
            wire.connection.connection_lost(None)
            assert wire.heard.ended == [record]
            assert record.outcome == "errored"
            assert record.error == "the connection was closed in the middle of the response"
            assert not wire.connection.ready


@given(st.sampled_from(APIS), texts)
def test_what_is_seen_without_decoding_is_what_decoding_shows(api: str, text: str) -> None:
    """The two byte searches agree with the decoder on every event that they decide."""
    line = event(api, content(api, text)).removeprefix(b"data: ").rstrip(b"\n")
    route = ROUTES[api]
    at = line.find(route.content)
    decided = at >= 0 and not line.startswith(b'"', at + len(route.content)) and route.unfinished in line
    meaning = route.decode(line)
    assert decided == bool(text) == meaning.content
    assert not meaning.finish_reason


@pytest.mark.parametrize(
    ("delta", "is_content"),
    [
        ({"role": "assistant"}, False),
        ({"role": "assistant", "content": ""}, False),
        ({"content": None}, False),
        ({"content": "x"}, True),
        ({"reasoning_content": "hm"}, True),
        ({"reasoning": "hm", "content": None}, True),
        ({"reasoning": ""}, False),
        ({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": ""}}]}, True),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"content":"'}}]}, True),
        ({"tool_calls": [{"index": 0, "id": "1"}]}, False),
        ({"tool_calls": []}, False),
        ({}, False),
    ],
)
def test_which_deltas_are_content(delta: dict[str, Any], is_content: bool) -> None:
    document = {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    [record] = answered(
        "ChatCompletions",
        chunked([event("ChatCompletions", document), *ending("ChatCompletions", 1, text="end")]),
    ).heard.ended
    assert record.events == 1 + is_content


@pytest.mark.parametrize(
    ("message", "is_content"),
    [
        ({"role": "assistant", "content": "", "thinking": "hm"}, True),
        ({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}, True),
        (
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"arguments": {"content": "x"}}}]},
            True,
        ),
        ({"role": "assistant", "content": ""}, False),
    ],
)
def test_which_messages_of_ollama_are_content(message: dict[str, Any], is_content: bool) -> None:
    document = {"model": "m", "message": message, "done": False}
    [record] = answered(
        "OllamaChat", chunked([event("OllamaChat", document), *ending("OllamaChat", 1, text="end")])
    ).heard.ended
    assert record.events == 1 + is_content


@pytest.mark.parametrize(
    ("api", "pieces", "error"),
    [
        ("ChatCompletions", [b'data: {"error":{"message":"out of memory","code":500}}\n\n'], "out of memory"),
        ("ChatCompletions", [b'{"error":"bare"}\n'], "bare"),
        ("Completions", [b'data: {"error":{"code":500}}\n\n', b"data: [DONE]\n\n"], '{"code":500}'),
        ("OllamaChat", [b'{"error":"llama runner process has terminated"}\n'], "llama runner process has terminated"),
        ("OllamaGenerate", [b'{"response":"x","done":false}\n', b'{"error":"late"}\n'], "late"),
        ("OllamaGenerate", [b'{"response":"x","done":false}\n'], "the response ended without a finish reason"),
        ("Completions", [b'data: {"choices":[{"text":"x","finish_reason":null}]}\n\n'], "without a finish reason"),
        ("ChatCompletions", ending("ChatCompletions", 1), "the response had no content"),
        ("ChatCompletions", [b"data: {not json\n\n"], "an event is not understood"),
        ("ChatCompletions", [b'data: {"choices":"none"}\n\n'], "an event is not understood"),
        ("OllamaChat", [b"<html>\n"], "an event is not understood"),
    ],
)
def test_errors_inside_a_200_are_errors(api: str, pieces: list[bytes], error: str) -> None:
    wire = answered(api, chunked(pieces))
    [record] = wire.heard.ended
    assert record.outcome == "errored"
    assert error in record.error
    assert wire.connection.ready


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error":{"message":"no room","type":"x"}}', "HTTP 503: no room"),
        (b'{"error":"server busy, please try again"}', "HTTP 503: server busy, please try again"),
        (b'{"object":"error","message":"too long"}', "HTTP 503: too long"),
        (b'{"detail":"Not Found"}', "HTTP 503: Not Found"),
        (b"<h1>Bad\n gateway</h1>", "HTTP 503: <h1>Bad gateway</h1>"),
        (b"", "HTTP 503: "),
        (b"x" * 100_000, "HTTP 503: " + "x" * 190),
    ],
)
def test_an_error_response_is_told_in_its_own_words(body: bytes, error: str) -> None:
    response = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    wire = answered("Completions", *(response[at : at + 9000] for at in range(0, len(response), 9000)))
    [record] = wire.heard.ended
    assert (record.outcome, record.error) == ("errored", error)
    assert wire.connection.ready


def test_a_compressed_body_is_refused_and_the_connection_with_it() -> None:
    wire = answered("Completions", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    [record] = wire.heard.ended
    assert "compressed (gzip)" in record.error
    assert wire.transport.aborted


@given(st.sampled_from(APIS), st.binary(max_size=200), st.data())
def test_no_bytes_are_a_success_or_a_crash(api: str, noise: bytes, data: st.DataObject) -> None:
    """Noise at any place of a good response: counted as what came before it, or told as an error."""
    response = chunked([event(api, content(api, "one")), *ending(api, 1)])
    at = data.draw(st.integers(0, len(response) - 1))
    with Wire(api) as wire:
        record = wire.ask()
        for piece in cut(response[:at] + b"\x00" + noise, data):
            wire.connection.data_received(piece)
        wire.connection.eof_received()
        wire.connection.connection_lost(None)
        assert record.outcome == "errored" or record.output_tokens == 1
        assert record.outcome != "open" or wire.heard.lost == [(record, "the server closed the connection")]


def test_requests_follow_each_other_on_one_connection() -> None:
    with Wire("Completions") as wire:
        for tokens in (1, 2, 3):
            record = wire.ask()
            assert not wire.connection.ready
            events = [event("Completions", content("Completions", "x"))] * tokens
            wire.connection.data_received(chunked([*events, *ending("Completions", tokens)]))
            assert counted(record) == ("succeeded", "", tokens, tokens, 7, "length")
            assert wire.connection.ready


def test_a_connection_that_is_lost_before_any_byte_gives_the_request_back() -> None:
    with Wire("Completions") as wire:
        record = wire.ask()
        wire.connection.connection_lost(ConnectionResetError("reset by peer"))
        assert wire.heard.ended == []
        assert wire.heard.lost == [(record, "the connection was lost: reset by peer")]
        assert record.outcome == "open"


def test_words_out_of_turn_lose_the_connection() -> None:
    with Wire("Completions") as wire:
        wire.connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        assert wire.heard.lost == [(None, "the server sent something that was not asked for")]
        assert not wire.connection.ready


def test_a_replayed_request_keeps_its_start() -> None:
    with Wire("Completions") as wire:
        record = RequestRecord(start=12345)
        wire.connection.send(b"POST", record)
        assert record.start == 12345
