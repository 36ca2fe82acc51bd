"""What a connection makes of answers, one by one as they stand here; test_streams has every shape, cut everywhere."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.loadgen.routes import ROUTES, Meaning
from enginebench.results.record import RequestRecord
from tests.unit.loadgen.cuts import cut
from tests.unit.loadgen.wire import Wire, chunked, content, ending, event

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


@given(st.sampled_from(APIS), texts)
def test_what_is_seen_without_decoding_is_what_decoding_shows(api: str, text: str) -> None:
    """The two byte searches agree with the decoder on every event that they decide."""
    line = event(api, content(api, text)).removeprefix(b"data: ").rstrip(b"\n")
    route = ROUTES[api]
    at = line.find(route.content)
    decided = at >= 0 and not line.startswith(b'"', at + len(route.content)) and route.unfinished in line
    meaning = route.decode(line)
    assert decided == bool(text) == meaning.output
    assert not meaning.finish_reason
    assert not meaning.reasoning


@pytest.mark.parametrize("api", APIS)
def test_only_what_ends_an_answer_is_decoded(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred events with text and the end: at once, and byte by byte."""
    route, decoded = ROUTES[api], list[bytes]()

    def decode(event: bytes) -> Meaning:
        decoded.append(event)
        return route.decode(event)

    monkeypatch.setitem(ROUTES, api, replace(route, decode=decode))
    end = ending(api, 100)
    whole = chunked([*(event(api, content(api, f"word {number}")) for number in range(100)), *end])
    for size in (len(whole), 1):
        decoded.clear()
        [record] = answered(api, *(whole[at : at + size] for at in range(0, len(whole), size))).heard.ended
        assert (record.outcome, record.events, record.output_tokens) == ("succeeded", 100, 100)
        assert len(decoded) == len([piece for piece in end if b"[DONE]" not in piece])


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
        ("ChatCompletions", [b'data: {"choices":[{"delta":{"tool_calls":[{"function":"f"}]}}]}\n\n'], "not understood"),
        ("Completions", [b'data: {"choices":' + b"[" * 100_000 + b"\n\n"], "an event is not understood"),
        ("OllamaGenerate", [b'{"error":' + b"[" * 9_000 + b"]" * 9_000 + b"}\n"], "an event is not understood"),
        ("OllamaChat", [b'{"message":{"content":"x"},"done":true,"eval_count":-1}\n'], "an event is not understood"),
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
        (b'{"error":' + b"[" * 4000 + b"]" * 4000 + b"}", "HTTP 503: " + '{"error":' + "[" * 181),
    ],
)
def test_an_error_response_is_told_in_its_own_words(body: bytes, error: str) -> None:
    response = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    wire = answered("Completions", *(response[at : at + 9000] for at in range(0, len(response), 9000)))
    [record] = wire.heard.ended
    assert (record.outcome, record.error) == ("errored", error)
    assert wire.connection.ready


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


@pytest.mark.parametrize("size", [100, 4096, 8191, 8192, 8193, 20_000])
def test_a_long_error_response_is_told_alike_however_it_is_cut(size: int) -> None:
    body = b'{"error":"' + b"x" * 15_000 + b'"}'
    response = b"HTTP/1.1 503 Busy\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    wire = answered("Completions", *(response[at : at + size] for at in range(0, len(response), size)))
    assert wire.heard.ended[0].error == 'HTTP 503: {"error":"' + "x" * 180


def test_an_empty_error_member_is_no_error() -> None:
    """Servers whose structs have no `omitempty` send one with every event."""
    pieces = [event("Completions", content("Completions", text, error="")) for text in ("one", "", "three")]
    [record] = answered("Completions", chunked([*pieces, *ending("Completions", 2)])).heard.ended
    assert counted(record) == ("succeeded", "", 2, 2, 7, "length")


def test_a_finish_reason_of_any_length_is_kept_short() -> None:
    [record] = answered("OllamaChat", chunked(ending("OllamaChat", 1, "x" * 9999, text="end"))).heard.ended
    assert record.finish_reason == "x" * 256


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
