"""A small engine of known timing and chosen misbehaviour, for tests of the load generator: real sockets, no model.

It speaks the four routes, /v1/models, /version, /metrics and Ollama's /api. What a request gets is decided by
`behave(n)`, n being the number of the completion request from 0.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

OPENAI_ROUTES = ("/v1/chat/completions", "/v1/completions")
OLLAMA_ROUTES = ("/api/chat", "/api/generate")


@dataclass(slots=True)
class Behaviour:
    """What one completion request gets."""

    ttft: float = 0.02
    gap: float = 0.005
    status: int = 200
    """Other than 200: an error response."""
    reset: bool = False
    """The connection is reset without a byte."""
    cut_after: int | None = None
    """The connection is closed after so many events."""
    error_after: int | None = None
    """An error event comes after so many, and the response ends well otherwise."""
    finish: bool = True
    """The last event says why the answer ended."""
    usage: bool = True
    tokens_per_event: int = 1
    """By the usage, an event carries so many."""
    thinking: int = 0
    """So many of the first tokens are reasoning, which plain completions do not have."""
    silent: bool = False
    """Nothing ever comes."""
    close: bool = False
    """The response says `Connection: close`, and the server does."""
    model: str | None = None


@dataclass(slots=True)
class Served:
    """Of one answer, monotonic seconds: asked, first and last event with content."""

    asked: float
    first: float = 0.0
    last: float = 0.0


@dataclass
class Engine:
    """The state of the server; tests read and change it."""

    model: str = "tiny"
    lists: bool = True
    """/v1/models is not empty."""
    others: tuple[str, ...] = ()
    """More models that /v1/models lists."""
    tokens: int = 10
    """Tokens of an answer where the request asks for more."""
    behave: Callable[[int], Behaviour] = lambda _: Behaviour()
    models_refused: int = 0
    """So many requests for the list of models get a 503 first."""
    pull: list[dict[str, Any]] = field(default_factory=list)
    """Lines of /api/pull; after a success the model is there."""
    present: bool = True
    """Ollama: the model is on the disk."""
    metrics: bool = True
    counters: Callable[[], str] = str
    """More of /metrics."""
    started_at: float = 1000.0
    idle_close: float | None = None
    """A connection that was idle for so long is closed."""
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Of all completion requests."""
    paths: list[str] = field(default_factory=list)
    connections: int = 0
    served: list[Served] = field(default_factory=list)
    """What really happened: of each answer that came to its end, when it was written."""


@asynccontextmanager
async def serving(engine: Engine, port: int = 0) -> AsyncIterator[Engine]:
    """The engine, listening on a free port of this machine."""
    tasks: set[asyncio.Task[None]] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        engine.connections += 1
        try:
            while await _exchange(engine, reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(client, "127.0.0.1", port, backlog=1024)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _exchange(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    async with asyncio.timeout(engine.idle_close):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, path, _ = head.split("\r\n", 1)[0].split(" ")
    headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    engine.paths.append(path)
    if path in OPENAI_ROUTES + OLLAMA_ROUTES:
        assert method == "POST"
        document = json.loads(body)
        engine.bodies.append(document)
        return await _complete(engine, path, document, writer, engine.behave(len(engine.bodies) - 1))
    status, text = _plain(engine, path, json.loads(body) if body else {})
    writer.write(_head(status, len(text)) + text)
    await writer.drain()
    return headers.get("connection") != "close"


def _plain(engine: Engine, path: str, asked: dict[str, Any]) -> tuple[int, bytes]:
    tags = [{"name": engine.model, "digest": "sha256:abc"}] if engine.present else []
    loaded = [{"name": engine.model, "size": 100, "size_vram": 60, "context_length": 512}]
    documents: dict[str, Any] = {
        "/v1/models": {
            "data": [{"id": model, "max_model_len": 2048} for model in (engine.model, *engine.others) if engine.lists]
        },
        "/version": {"version": "1.2.3"},
        "/api/version": {"version": "0.9.2"},
        "/api/tags": {"models": tags},
        "/api/ps": {"models": loaded},
        "/api/show": {"details": {"quantization_level": "F16", "parameter_size": "1M"}},
    }
    if path in ("/v1/models", "/api/tags") and engine.models_refused > 0:
        engine.models_refused -= 1
        return 503, b'{"error":"starting"}'
    if path == "/metrics" and engine.metrics:
        started = f"# TYPE x gauge\nprocess_start_time_seconds {engine.started_at}\n"
        return 200, (started + engine.counters()).encode()
    if path == "/api/pull":
        engine.present = engine.present or any(line.get("status") == "success" for line in engine.pull)
        assert asked["model"]
        return 200, b"".join(json.dumps(line).encode() + b"\n" for line in engine.pull)
    return (200, json.dumps(documents[path]).encode()) if path in documents else (404, b"404 page not found")


async def _complete(
    engine: Engine, path: str, body: dict[str, Any], writer: asyncio.StreamWriter, how: Behaviour
) -> bool:
    served = Served(asked=monotonic())
    if how.reset:
        writer.transport.abort()
        return False
    if how.silent:
        await asyncio.sleep(3600)
    if how.status != 200:
        text = json.dumps({"error": {"message": "no room", "code": how.status}}).encode()
        writer.write(_head(how.status, len(text)) + text)
        await writer.drain()
        return True
    close = "Connection: close\r\n" if how.close else ""
    writer.write(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{close}\r\n".encode())
    await asyncio.sleep(how.ttft)
    for number, event in enumerate(events(path, body, engine, how)):
        if number == how.cut_after:
            writer.transport.abort()
            return False
        if number:
            await asyncio.sleep(how.gap)
        if writer.is_closing():
            return False
        if b"word" in event:
            served.last = monotonic()
            served.first = served.first or served.last
        writer.write(b"%x\r\n%b\r\n" % (len(event), event))
    engine.served.append(served)
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return not how.close


def events(path: str, body: dict[str, Any], engine: Engine, how: Behaviour) -> Iterator[bytes]:
    """The answer's events, each a piece of the body: one token each, then how it ended, the usage, the end mark."""
    limit = body.get("max_tokens") or body.get("options", {}).get("num_predict") or engine.tokens
    tokens, model = min(limit, engine.tokens), how.model or engine.model
    count_each = how.usage and bool((body.get("stream_options") or {}).get("continuous_usage_stats"))
    for number in range(tokens):
        if number == how.error_after:
            yield _frame(path, {"error": {"message": "out of memory"}} if path in OPENAI_ROUTES else {"error": "crash"})
            return
        so_far = {"prompt_tokens": 7, "completion_tokens": (number + 1) * how.tokens_per_event}
        content = _content(path, model, f" word{number}", thought=number < how.thinking)
        yield _frame(path, content | ({"usage": so_far} if count_each else {}))
    prompt, counted = 7, tokens * how.tokens_per_event
    if path in OLLAMA_ROUTES:
        usage = {"prompt_eval_count": prompt, "eval_count": counted} if how.usage else {}
        ending = {"done": True, "done_reason": "length", **usage} if how.finish else {"done": False}
        yield _frame(path, {**_content(path, model, ""), **ending})
        return
    if how.finish:
        yield _frame(
            path, {"model": model, "choices": [{"index": 0, "delta": {}, "text": "", "finish_reason": "length"}]}
        )
    if how.usage:
        yield _frame(
            path, {"model": model, "choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": counted}}
        )
    if how.finish:
        yield b"data: [DONE]\n\n"


def _content(path: str, model: str, text: str, *, thought: bool = False) -> dict[str, Any]:
    said = {"thinking": text} if thought else {}
    if path == "/api/chat":
        return {
            "model": model,
            "message": {"role": "assistant", "content": "" if said else text, **said},
            "done": False,
        }
    if path == "/api/generate":
        return {"model": model, "response": "" if said else text, **said, "done": False}
    if path == "/v1/completions":
        return {"model": model, "choices": [{"index": 0, "text": text, "finish_reason": None}]}
    name = "reasoning_content" if thought else "content"
    return {"model": model, "choices": [{"index": 0, "delta": {name: text}, "finish_reason": None}]}


def _frame(path: str, document: dict[str, Any]) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    return text + b"\n" if path in OLLAMA_ROUTES else b"data: " + text + b"\n\n"


def _head(status: int, length: int) -> bytes:
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n\r\n".encode()
