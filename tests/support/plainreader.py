"""What a streamed answer says, read plainly: the whole response at once, every event by `json.loads`.

The oracle of the load generator's parser. It shares no line with it, and is as simple as the formats allow: no
pieces, no states, no searches within events.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

OPENAI = ("ChatCompletions", "Completions")
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL)


@dataclass
class Reading:
    """All that must be counted of one answer."""

    status: int = 0
    failed: bool = False
    error: str = ""
    """Words that the error of a failed one must contain."""
    indices: list[int] = field(default_factory=list)
    """Which of the stream's events have content, counted from 0."""
    first_output: int | None = None
    """Index of the first event with content that is not reasoning."""
    output_tokens: int | None = None
    prompt_tokens: int | None = None
    finish_reason: str = ""
    models: list[str] = field(default_factory=list)
    """As the events name them, which the load generator reads of some events only."""


class BrokenError(Exception):
    """The bytes are not a whole response that may be read."""


def read(api: str, response: bytes) -> Reading:
    """The answer of a route; `response` is all that came until the server closed or the response was complete."""
    reading = Reading()
    try:
        reading.status, body = unframed(response)
    except BrokenError as broken:
        _fail(reading, str(broken))
        return reading
    if reading.status != 200:
        _fail(reading, f"HTTP {reading.status}: ")
        return reading
    for index, event in enumerate(stream_events(api, body)):
        (_read_openai if api in OPENAI else _read_ollama)(index, event, reading)
    if not reading.failed and not reading.indices:
        _fail(reading, "the response had no content")
    elif not reading.failed and not reading.finish_reason:
        _fail(reading, "the response ended without a finish reason")
    return reading


def unframed(response: bytes) -> tuple[int, bytes]:
    """(status, body) of a whole HTTP/1.1 response; `BrokenError` where something is missing or is not allowed."""
    head, separator, rest = response.partition(b"\r\n\r\n")
    if not separator:
        raise BrokenError("in the middle")
    first, *fields = head.decode("latin-1").split("\r\n")
    found = re.fullmatch(r"HTTP/1\.\S* (\d{3})(?:\s.*)?", first, re.ASCII | re.DOTALL)
    if not found or any(":" not in line for line in fields):
        raise BrokenError("not a")
    status = int(found[1])
    if 100 <= status < 200:
        return unframed(rest)
    headers: dict[str, list[str]] = {}
    for line in fields:
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), []).append(value.strip())
    if any(value.lower() != "identity" for value in headers.get("content-encoding", [])):
        raise BrokenError("compressed")
    if status in {204, 304}:
        return status, b""
    if "transfer-encoding" in headers:
        if [value.lower() for value in headers["transfer-encoding"]] != ["chunked"]:
            raise BrokenError("transfer-encoding")
        return status, b"".join(_chunks(rest))
    if "content-length" in headers:
        [length] = headers["content-length"] if len(headers["content-length"]) == 1 else ["several"]
        if not re.fullmatch(r"[0-9]{1,15}", length):
            raise BrokenError("not a length")
        if len(rest) < int(length):
            raise BrokenError("in the middle")
        return status, rest[: int(length)]
    return status, rest


def _chunks(rest: bytes) -> Iterator[bytes]:
    while True:
        line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            raise BrokenError("in the middle")
        size = _CHUNK_SIZE.fullmatch(line)
        if not size:
            raise BrokenError("not a length")
        length = int(size[1], 16)
        if not length:
            break
        chunk, end, rest = rest[:length], rest[length : length + 2], rest[length + 2 :]
        if len(end) < 2:
            raise BrokenError("in the middle")
        if end != b"\r\n":
            raise BrokenError("a chunk is longer than it says")
        yield chunk
    while True:  # trailers, up to an empty line
        line, separator, rest = rest.partition(b"\r\n")
        if not separator:
            raise BrokenError("in the middle")
        if not line:
            return


def stream_events(api: str, body: bytes) -> list[bytes]:
    """What the body of a route's answer is made of."""
    return list(sse(body)) if api in OPENAI else [line for line in lines(body) if line]


def lines(body: bytes) -> list[bytes]:
    """Lines that end with LF or CRLF, the last one perhaps without its end."""
    return [line[:-1] if line.endswith(b"\r") else line for line in body.split(b"\n")]


def sse(body: bytes) -> Iterator[bytes]:
    """The events' data; a bare JSON object on a line of its own is one, too, and the last needs no empty line."""
    data: list[bytes] = []
    for line in [*lines(body), b""]:
        if line[:1] == b"{":
            yield line
        elif line[:5] == b"data:":
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"":
            if joined := b"\n".join(data):
                yield joined
            data = []


def _read_openai(index: int, event: bytes, reading: Reading) -> None:
    if event == b"[DONE]":
        reading.finish_reason = reading.finish_reason or "done"
        return
    document = json.loads(event)
    if document.get("error"):
        _fail(reading, _words(document["error"]))
        return
    reading.models.append(document.get("model", ""))
    output = reasoning = False
    for choice in document.get("choices") or []:
        delta = choice.get("delta") or {}
        output = output or bool(choice.get("text") or delta.get("content") or _tools(delta))
        reasoning = reasoning or bool(delta.get("reasoning") or delta.get("reasoning_content"))
        _finished(reading, choice.get("finish_reason"))
    _content(reading, index, output, reasoning)
    usage = document.get("usage") or {}
    _counted(reading, usage.get("completion_tokens"), usage.get("prompt_tokens"))


def _read_ollama(index: int, event: bytes, reading: Reading) -> None:
    document = json.loads(event)
    if document.get("error"):
        _fail(reading, _words(document["error"]))
        return
    reading.models.append(document.get("model", ""))
    message = document.get("message") or {}
    output = bool(document.get("response") or message.get("content") or _tools(message))
    _content(reading, index, output, bool(document.get("thinking") or message.get("thinking")))
    if document.get("done"):
        _finished(reading, document.get("done_reason") or "stop")
    _counted(reading, document.get("eval_count"), document.get("prompt_eval_count"))


def _tools(message: dict[str, Any]) -> bool:
    functions = [call.get("function") or {} for call in message.get("tool_calls") or []]
    return any(function.get("name") or function.get("arguments") for function in functions)


def _content(reading: Reading, index: int, output: bool, reasoning: bool) -> None:
    if output or reasoning:
        reading.indices.append(index)
    if output and reading.first_output is None:
        reading.first_output = index


def _finished(reading: Reading, reason: str | None) -> None:
    if reason:
        reading.finish_reason = reason


def _counted(reading: Reading, output: int | None, prompt: int | None) -> None:
    if output is not None:
        reading.output_tokens = output
    if prompt is not None:
        reading.prompt_tokens = prompt


def _fail(reading: Reading, words: str) -> None:
    reading.failed, reading.error = True, words


def _words(error: Any) -> str:
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return str(error["message"])
    return error if isinstance(error, str) else ""
