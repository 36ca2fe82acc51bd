"""What must hold for any bytes that a server may answer with: the property that the fuzzer tries to break."""

from typing import Any

from enginebench.results.record import RequestRecord
from tests.fuzz import domain
from tests.fuzz.inputs import HEADER_BYTES, as_written, cuts, response_of
from tests.support import plainreader
from tests.unit.loadgen.wire import Wire

_COUNTED = ("outcome", "error", "events", "output_tokens", "prompt_tokens", "finish_reason")


def check(data: bytes) -> None:
    """AssertionError where cuts change what is counted, or where it is not what the plain reader reads.

    Any other exception is the parser's own: it let go of something that it should have told as an error.
    """
    if len(data) < HEADER_BYTES:
        return
    api, response = response_of(data)
    whole = told(api, [response] if response else [])  # a socket gives no empty piece
    assert told(api, cuts(response, data[1])) == whole, "cut by the seed, it is told otherwise"
    assert told(api, as_written(response)) == whole, "cut as a server writes, it is told otherwise"
    assert told(api, [response[at : at + 1] for at in range(len(response))]) == whole, "cut at every byte, otherwise"
    wanted = agreed(api, response)
    if wanted is None or not response:
        return
    succeeded = whole["outcome"] == "succeeded"
    assert succeeded == (not wanted.failed), (whole, wanted)
    if not wanted.status:
        return  # no whole response: what was read of it before that was seen is not the plain reader's business
    assert wanted.error[:100] in whole["error"], (whole, wanted)
    assert whole["events"] == len(wanted.indices), (whole, wanted)
    assert whole["first_output"] == (wanted.first_output is not None), (whole, wanted)
    if succeeded:
        assert whole["finish_reason"] == wanted.finish_reason[:256], (whole, wanted)
        assert (whole["output_tokens"], whole["prompt_tokens"]) == (wanted.output_tokens, wanted.prompt_tokens)


def told(api: str, pieces: list[bytes]) -> dict[str, Any]:
    """All that a connection tells of these pieces and the end of the connection, without the clock's part."""
    with Wire(api) as wire:
        record: RequestRecord = wire.ask()
        for piece in pieces:
            wire.connection.data_received(piece)
        wire.connection.eof_received()
        wire.connection.connection_lost(None)
        heard = wire.heard
        assert heard.ended == ([record] if pieces else [])
        assert [who for who, _ in heard.lost if who is not None] == ([] if pieces else [record])
        assert len(heard.gaps) == max(0, record.events - 1)
        assert not wire.connection.ready
        counted = {name: getattr(record, name) for name in _COUNTED}
        assert bool(record.first) == bool(record.last) == bool(record.events)
        return counted | {"first_output": bool(record.first_output), "models": heard.models}


def agreed(api: str, response: bytes) -> plainreader.Reading | None:
    """What the plain reader reads; None where the response has an event that may mean several things."""
    try:
        status, body = plainreader.unframed(response)
    except plainreader.BrokenError:
        return plainreader.read(api, response)
    if status == 200 and not all(domain.plain(api, event) for event in plainreader.stream_events(api, body)):
        return None
    return plainreader.read(api, response)
