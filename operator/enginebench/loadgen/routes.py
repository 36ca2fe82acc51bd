"""The four routes: where they are, what a request's body says, and what an event of the answer means.

An event is decoded only where it must be. That an event is content and not the last is seen by two byte searches,
which cannot be fooled by text: within a JSON string every quote is escaped, so `"content":"` is always a real key.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from enginebench.api.loadplan import LoadPlan, Row
from enginebench.loadgen.events import EventSink, NdjsonSplitter, Splitter, SseSplitter

JsonObject = dict[str, Any]


class _Lenient(msgspec.Struct, frozen=True, rename=None):
    """Part of an event: fields that are not listed are skipped without being built."""


class _Usage(_Lenient, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Delta(_Lenient, frozen=True):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[JsonObject] | None = None


class _Choice(_Lenient, frozen=True):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _OpenAiEvent(_Lenient, frozen=True):
    model: str = ""
    choices: list[_Choice] = []  # msgspec copies an empty list
    usage: _Usage | None = None
    error: Any = None


class _OllamaMessage(_Lenient, frozen=True):
    content: str = ""
    thinking: str = ""
    tool_calls: list[JsonObject] | None = None


class _OllamaEvent(_Lenient, frozen=True):
    model: str = ""
    message: _OllamaMessage | None = None
    response: str = ""
    thinking: str = ""
    done: bool = False
    done_reason: str = ""
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: Any = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """A decoded event."""

    content: bool = False
    """Text, reasoning, or a tool call with a name or arguments."""
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
    """Stands directly before an event's text."""
    unfinished: bytes
    """Stands in every event but the last."""
    decode: Callable[[bytes], Meaning]
    body: Callable[[LoadPlan, Row, int], JsonObject]
    """(plan, row, most output tokens) → the request's body."""
    chat: bool
    """Takes messages; the others take a prompt."""


def error_text(error: object) -> str:
    """The words of an `error` member: a string, or an object with a message, as the dialects have it."""
    if isinstance(error, Mapping) and isinstance(error.get("message"), str):
        return str(error["message"])
    return error if isinstance(error, str) else msgspec.json.encode(error).decode()


def _says(tool_calls: list[JsonObject] | None) -> bool:
    functions = [call.get("function") or {} for call in tool_calls or ()]
    return any(function.get("name") or function.get("arguments") for function in functions)


def _decode_openai(event: bytes) -> Meaning:
    decoded = _openai.decode(event)
    if decoded.error is not None:
        return Meaning(error=error_text(decoded.error), model=decoded.model)
    content, finish_reason = False, ""
    for choice in decoded.choices:
        delta = choice.delta or _NO_DELTA
        content = content or bool(choice.text or delta.content or delta.reasoning or delta.reasoning_content)
        content = content or _says(delta.tool_calls)
        finish_reason = finish_reason or choice.finish_reason or ""
    usage = decoded.usage or _NO_USAGE
    return Meaning(
        content=content,
        finish_reason=finish_reason,
        prompt_tokens=usage.prompt_tokens,
        output_tokens=usage.completion_tokens,
        model=decoded.model,
    )


def _decode_ollama(event: bytes) -> Meaning:
    decoded = _ollama.decode(event)
    if decoded.error is not None:
        return Meaning(error=error_text(decoded.error), model=decoded.model)
    message = decoded.message or _NO_MESSAGE
    return Meaning(
        content=bool(decoded.response or decoded.thinking or message.content or message.thinking)
        or _says(message.tool_calls),
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


def _openai_body(plan: LoadPlan, most: int) -> JsonObject:
    """Sampling in full; what is no part of OpenAI's API goes only to vLLM, which knows it."""
    sampling = plan.request.sampling
    body: JsonObject = {
        "max_tokens": most,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if plan.dialect == "vllm":
        body["repetition_penalty"] = sampling.repetition_penalty
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
