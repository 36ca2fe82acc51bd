"""Streamed answers in every shape that engines and their frontends send, as bytes.

A `Shape` is plain data, so that hypothesis can draw it and the fuzzer can enumerate it; `events` and `response` turn
it into what comes off the socket.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

APIS = ("ChatCompletions", "Completions", "OllamaChat", "OllamaGenerate")
OPENAI = ("ChatCompletions", "Completions")
KINDS = ("text", "reasoning", "reasoning_content", "tool name", "tool arguments", "nothing", "null")
ROLES = ("", "bare", "with empty content", "in every delta")
USAGES = ("own", "each", "both", "null and own", "none")
ERRORS = ("", "object", "string", "bare line")
FRAMINGS = ("chunked", "extended", "length", "close")
TEXTS = (
    "Hello",
    " several words in one event",
    'a "content":"x" \\ \'quoted\' \n, "done":true "finish_reason":"stop" \u2603 \U0001f600',
    '"text":"',
    '"done":false',
    "\\",
    "data: [DONE]\n\ndata: {}\n\n",
    "\r\n0\r\n\r\n",
)


@dataclass(frozen=True)
class Shape:
    """One answer. What a route cannot say (reasoning in plain completions) it leaves out."""

    api: str
    deltas: tuple[tuple[str, str], ...]
    """(kind, text)."""
    role: str = ""
    usage: str = "own"
    error: str = ""
    """After the last delta, inside the 200, instead of the ending."""
    tokens: int = 7
    last_text: str = ""
    """In the event with the finish reason, as vLLM sends the last token."""
    done_mark: bool = True
    comments: bool = False
    crlf: bool = False
    spaced: bool = False
    """JSON as Python's json writes it."""
    merged: bool = False
    """All events in one chunk."""
    framing: str = "chunked"
    trailers: bool = False


def events(shape: Shape) -> list[bytes]:
    """The stream's events as they stand in the body, comments in front of the event that follows."""
    documents = list(_openai(shape) if shape.api in OPENAI else _ollama(shape))
    separators = None if shape.spaced else (",", ":")
    texts = [json.dumps(document, separators=separators, ensure_ascii=False).encode() for document in documents]
    if shape.api in OPENAI:
        bare = [shape.error == "bare line" and "error" in document for document in documents]
        written = [t + b"\n" if alone else b"data: " + t + b"\n\n" for t, alone in zip(texts, bare, strict=True)]
        if shape.done_mark and not shape.error:
            written.append(b"data: [DONE]\n\n")
        keep_alive = b": keep-alive\n\nevent: message\n"
    else:
        written = [text + b"\n" for text in texts]
        keep_alive = b"\n"
    if shape.comments:
        written = [keep_alive + event for event in written]
    return [event.replace(b"\n", b"\r\n") for event in written] if shape.crlf else written


def response(shape: Shape) -> tuple[bytes, list[bytes], bytes]:
    """(head, the events as they are framed, end); an event is whole once its piece is."""
    pieces = events(shape)
    if shape.merged:
        pieces = [b"".join(pieces)]
    body = b"".join(pieces)
    start = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    if shape.framing == "length":
        return start + b"Content-Length: %d\r\n\r\n" % len(body), pieces, b""
    if shape.framing == "close":
        return start + b"Connection: close\r\n\r\n", pieces, b""
    extension = b";name=value" if shape.framing == "extended" else b""
    chunks = [b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces]
    end = b"0%b\r\n" % extension + (b"Server-Timing: total;dur=1\r\nX: y\r\n" if shape.trailers else b"") + b"\r\n"
    return start + b"transfer-encoding: chunked\r\n\r\n", chunks, end


def some(api: str, seed: int, many: int) -> Iterator[Shape]:
    """So many shapes of a route, the same for the same seed."""
    random = Random(seed)  # noqa: S311  # no secret
    for _ in range(many):
        yield Shape(
            api,
            tuple((random.choice(KINDS), random.choice(TEXTS)) for _ in range(random.randrange(5))),
            role=random.choice(ROLES),
            usage=random.choice(USAGES),
            error=random.choice(ERRORS),
            tokens=random.randrange(500),
            last_text=random.choice(("", "end")),
            done_mark=random.random() < 0.5,
            comments=random.random() < 0.5,
            crlf=random.random() < 0.5,
            spaced=random.random() < 0.5,
            merged=random.random() < 0.5,
            framing=random.choice(FRAMINGS),
            trailers=random.random() < 0.5,
        )


def _openai(shape: Shape) -> Iterator[dict[str, Any]]:
    count = {"prompt_tokens": 7, "completion_tokens": shape.tokens}
    beside: dict[str, Any] = {}
    if shape.usage in {"each", "both"}:
        beside = {"usage": count}
    elif shape.usage == "null and own":
        beside = {"usage": None}

    def event(content: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": finish_reason}
        return {"id": "cmpl-1", "object": "chunk", "model": "m", "choices": [choice], **beside}

    chat = shape.api == "ChatCompletions"
    if chat and shape.role in {"bare", "with empty content"}:
        yield event({"delta": {"role": "assistant"} | ({"content": ""} if shape.role != "bare" else {})})
    always = {"role": "assistant"} if shape.role == "in every delta" else {}
    for kind, text in shape.deltas:
        yield event({"delta": always | _delta(kind, text)} if chat else {"text": text if kind == "text" else ""})
    if shape.error:
        words: Any = {"message": "out of memory", "code": 500} if shape.error == "object" else "out of memory"
        yield {"error": words}
        return
    yield event({"delta": {"content": shape.last_text}} if chat else {"text": shape.last_text}, "length")
    if shape.usage in {"own", "both", "null and own"}:
        yield {"id": "cmpl-1", "object": "chunk", "model": "m", "choices": [], "usage": count}


def _delta(kind: str, text: str) -> dict[str, Any]:
    if kind == "text":
        return {"content": text}
    if kind == "reasoning":  # as Ollama writes it
        return {"content": "", "reasoning": text}
    if kind == "reasoning_content":
        return {"reasoning_content": text}
    if kind == "tool name":
        return {"tool_calls": [{"index": 0, "id": "call-1", "function": {"name": "f", "arguments": ""}}]}
    if kind == "tool arguments":
        return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
    return {"content": None} if kind == "null" else {}


def _ollama(shape: Shape) -> Iterator[dict[str, Any]]:
    def event(kind: str, text: str, **more: Any) -> dict[str, Any]:
        thinking = {"thinking": text} if kind.startswith("reasoning") else {}
        said = text if kind == "text" else ""
        if shape.api == "OllamaGenerate":
            return {"model": "m", "response": said, **thinking, "done": False, **more}
        message: dict[str, Any] = {"role": "assistant", "content": said, **thinking}
        if kind.startswith("tool"):
            function = {"name": "f" if kind == "tool name" else "", "arguments": {"content": text}}
            message["tool_calls"] = [{"function": function}]
        return {"model": "m", "message": message, "done": False, **more}

    for kind, text in shape.deltas:
        yield event(kind, text)
    if shape.error:
        yield {"error": "out of memory"}
        return
    counts = {} if shape.usage == "none" else {"prompt_eval_count": 7, "eval_count": shape.tokens}
    yield event("text", shape.last_text, done=True, done_reason="length", total_duration=12345, **counts)
