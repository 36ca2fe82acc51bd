"""A connection without a network: responses are put into it as bytes, and what it told its listener is kept."""

import asyncio
import json
import socket
from dataclasses import dataclass, field
from typing import Any, cast

from enginebench.loadgen.connection import Connection
from enginebench.loadgen.gaps import Gaps
from enginebench.loadgen.routes import ROUTES
from enginebench.results.record import RequestRecord

OPENAI = ("ChatCompletions", "Completions")


@dataclass
class Listened:
    """What a connection has told."""

    gaps: list[int] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    ended: list[RequestRecord] = field(default_factory=list)
    lost: list[tuple[RequestRecord | None, str]] = field(default_factory=list)


class _Gaps(Gaps):
    """Kept as they were noted."""

    def __init__(self, heard: Listened) -> None:
        super().__init__()
        self.note = heard.gaps.append


class _Listener:
    def __init__(self, heard: Listened) -> None:
        self._heard = heard
        self.gaps = _Gaps(heard)

    def served_by(self, model: str) -> None:
        self._heard.models.append(model)

    def ended(self, connection: Connection, record: RequestRecord) -> None:  # Listener's signature
        self._heard.ended.append(record)

    def lost(self, connection: Connection, record: RequestRecord | None, why: str) -> None:  # ditto
        self._heard.lost.append((record, why))


class _Transport:
    """As much of a transport as the connection uses; the socket pair below it is real."""

    def __init__(self, sock: socket.socket) -> None:
        self.aborted = False
        self._sock = sock

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: bytes) -> None:
        self._sock.sendall(data)


class Wire:
    """One connection of a route."""

    def __init__(self, api: str) -> None:
        ours, self.server = socket.socketpair()
        self.heard = Listened()
        self.connection = Connection(ROUTES[api], _Listener(self.heard))
        self.transport = _Transport(ours)
        self.connection.connection_made(cast("asyncio.BaseTransport", self.transport))
        self._ours = ours

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()
        self.server.close()

    def ask(self) -> RequestRecord:
        """Send a request; its record."""
        record = RequestRecord(start=0)
        self.connection.send(b"POST", record)
        assert self.server.recv(10) == b"POST"
        return record


def chunked(pieces: list[bytes], *, status: int = 200) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece)
    return b"HTTP/1.1 %d Said\r\nTransfer-Encoding: chunked\r\n\r\n" % status + body + b"0\r\n\r\n"


def event(api: str, document: dict[str, Any], *, spaced: bool = False) -> bytes:
    """An event of a route's stream, compact or as Python's json writes it."""
    text = json.dumps(document, separators=None if spaced else (",", ":"), ensure_ascii=False).encode()
    return b"data: " + text + b"\n\n" if api in OPENAI else text + b"\n"


def content(api: str, text: str, **more: Any) -> dict[str, Any]:
    """An event with text that is not the last."""
    if api == "OllamaChat":
        return {"model": "m", "message": {"role": "assistant", "content": text}, "done": False, **more}
    if api == "OllamaGenerate":
        return {"model": "m", "response": text, "done": False, **more}
    choice = {"text": text} if api == "Completions" else {"delta": {"content": text}}
    return {"model": "m", "choices": [{"index": 0, **choice, "logprobs": None, "finish_reason": None}], **more}


def ending(api: str, tokens: int, reason: str = "length", text: str = "") -> list[bytes]:
    """How a stream ends well: the reason (with text, as vLLM sends the last token), the usage, the end mark."""
    if api not in OPENAI:
        last = content(api, text)
        return [event(api, {**last, "done": True, "done_reason": reason, "prompt_eval_count": 7, "eval_count": tokens})]
    last = content(api, text)
    last["choices"][0]["finish_reason"] = reason
    usage = {"model": "m", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}}
    return [event(api, last), event(api, usage), b"data: [DONE]\n\n"]
