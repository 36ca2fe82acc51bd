"""The four routes: where they are, what a request's body says, and what an event of the answer means.

An event is decoded only where it must be. That an event is content and not the last is seen by two byte searches,
which cannot be fooled by text: within a JSON string every quote is escaped, so `"content":"` is always a real key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec

from enginebench.api.loadplan import LoadPlan, RequestPlan, Row
from enginebench.loadgen.events import EventSink, NdjsonSplitter, Splitter, SseSplitter

JsonObject = dict[str, Any]


class _Lenient(msgspec.Struct, frozen=True, rename=None):
    """Part of an event: fields that are not listed are skipped without being built."""


_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Usage(_Lenient, frozen=True):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None


class _Function(_Lenient, frozen=True):
    name: str | None = None
    arguments: Any = None
    """A piece of JSON text (OpenAI) or an object (Ollama)."""


class _ToolCall(_Lenient, frozen=True):
    function: _Function | None = None


class _Delta(_Lenient, frozen=True):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(_Lenient, frozen=True):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _OpenAiEvent(_Lenient, frozen=True):
    model: str = ""
    choices: list[_Choice] | None = None
    """Null where a server in Go has none."""
    usage: _Usage | None = None
    error: Any = None


class _OllamaMessage(_Lenient, frozen=True):
    content: str = ""
    thinking: str = ""
    tool_calls: list[_ToolCall] | None = None


class _OllamaEvent(_Lenient, frozen=True):
    model: str = ""
    message: _OllamaMessage | None = None
    response: str = ""
    thinking: str = ""
    done: bool = False
    done_reason: str = ""
    prompt_eval_count: _Count | None = None
    eval_count: _Count | None = None
    error: Any = None


class Meaning(msgspec.Struct, frozen=True):
    """A decoded event."""

    output: bool = False
    """It has text, or a tool call with a name or arguments."""
    reasoning: bool = False
    finish_reason: str = ""
    """Why the answer ended, in the event that says so."""
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    model: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One way to ask an engine for a streamed completion."""

    path: str
    splitter: Callable[[EventSink], Splitter]
    content: bytes
    """Stands directly before an event's text, which is output and not reasoning."""
    unfinished: bytes
    """Stands in every event but the last."""
    decode: Callable[[bytes], Meaning]
    body: Callable[[LoadPlan, Row, int], JsonObject]
    """(plan, row, most output tokens) → the request's body."""
    chat: bool
    """Takes messages; the others take a prompt."""
    counts_each: bool = False
    """Every event is asked to bring the count of tokens so far, and is decoded for it."""


def error_text(error: object) -> str:
    """The words of an `error` member: a string, or an object with a message, as the dialects have it."""
    if isinstance(error, Mapping) and isinstance(error.get("message"), str):
        return str(error["message"])
    return error if isinstance(error, str) else msgspec.json.encode(error).decode()


def _says(tool_calls: list[_ToolCall] | None) -> bool:
    return any(call.function and (call.function.name or call.function.arguments) for call in tool_calls or ())


def _decode_openai(event: bytes) -> Meaning:
    decoded = _openai.decode(event)
    if decoded.error:  # some send `"error":""` with every event
        return Meaning(error=error_text(decoded.error), model=decoded.model)
    output, reasoning, finish_reason = False, False, ""
    for choice in decoded.choices or ():
        delta = choice.delta or _NO_DELTA
        output = output or bool(choice.text or delta.content) or _says(delta.tool_calls)
        reasoning = reasoning or bool(delta.reasoning or delta.reasoning_content)
        finish_reason = finish_reason or choice.finish_reason or ""
    usage = decoded.usage or _NO_USAGE
    return Meaning(
        output=output,
        reasoning=reasoning,
        finish_reason=finish_reason,
        prompt_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        model=decoded.model,
    )


def _decode_ollama(event: bytes) -> Meaning:
    decoded = _ollama.decode(event)
    if decoded.error:  # some send `"error":""` with every event
        return Meaning(error=error_text(decoded.error), model=decoded.model)
    message = decoded.message or _NO_MESSAGE
    return Meaning(
        output=bool(decoded.response or message.content) or _says(message.tool_calls),
        reasoning=bool(decoded.thinking or message.thinking),
        finish_reason=(decoded.done_reason or "stop") if decoded.done else "",
        prompt_tokens=decoded.prompt_eval_count,
        output_tokens=decoded.eval_count,
        model=decoded.model,
    )


_openai = msgspec.json.Decoder(_OpenAiEvent)
_ollama = msgspec.json.Decoder(_OllamaEvent)
_NO_DELTA, _NO_USAGE, _NO_MESSAGE = _Delta(), _Usage(), _OllamaMessage()


def _chat_messages(row: Row) -> list[JsonObject]:
    if row.messages is not None:
        return [{"role": message.role, "content": message.content} for message in row.messages]
    return [{"role": "user", "content": row.prompt}]


_REPETITION_PENALTY = {"vllm": "repetition_penalty", "llamacpp": "repeat_penalty"}


def _openai_body(plan: LoadPlan, most: int) -> JsonObject:
    """Sampling in full; what is no part of OpenAI's API goes only to those who know it."""
    sampling = plan.request.sampling
    body: JsonObject = {
        "max_tokens": most,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if plan.request.per_event_usage:
        body["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
    if plan.dialect in _REPETITION_PENALTY:
        body[_REPETITION_PENALTY[plan.dialect]] = sampling.repetition_penalty
        if plan.request.ignore_eos:
            body["ignore_eos"] = True
    return body


def _ollama_body(plan: LoadPlan, most: int) -> JsonObject:
    sampling = plan.request.sampling
    options = {
        "num_predict": most,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "repeat_penalty": sampling.repetition_penalty,
        "seed": sampling.seed,
    }
    return {"stream": True, "options": options}


ROUTES: dict[str, Route] = {
    "ChatCompletions": Route(
        path="/v1/chat/completions",
        splitter=SseSplitter,
        content=b'"content":"',
        unfinished=b'"finish_reason":null',
        decode=_decode_openai,
        body=lambda plan, row, most: {
            "model": plan.model,
            "messages": _chat_messages(row),
            **_openai_body(plan, most),
        },
        chat=True,
    ),
    "Completions": Route(
        path="/v1/completions",
        splitter=SseSplitter,
        content=b'"text":"',
        unfinished=b'"finish_reason":null',
        decode=_decode_openai,
        body=lambda plan, row, most: {"model": plan.model, "prompt": row.prompt, **_openai_body(plan, most)},
        chat=False,
    ),
    "OllamaChat": Route(
        path="/api/chat",
        splitter=NdjsonSplitter,
        content=b'"content":"',
        unfinished=b'"done":false',
        decode=_decode_ollama,
        body=lambda plan, row, most: {
            "model": plan.model,
            "messages": _chat_messages(row),
            **_ollama_body(plan, most),
        },
        chat=True,
    ),
    "OllamaGenerate": Route(
        path="/api/generate",
        splitter=NdjsonSplitter,
        content=b'"response":"',
        unfinished=b'"done":false',
        decode=_decode_ollama,
        body=lambda plan, row, most: {
            "model": plan.model,
            "prompt": row.prompt,
            "raw": True,
            **_ollama_body(plan, most),
        },
        chat=False,
    ),
}


def route_of(request: RequestPlan) -> Route:
    """How the engine is asked."""
    route = ROUTES[request.api]
    return replace(route, counts_each=True, content=_NOWHERE) if request.per_event_usage else route


_NOWHERE = b"\0"
"""Stands in no JSON: no event is taken for content before it was decoded."""
