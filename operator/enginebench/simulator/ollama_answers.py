"""What Ollama sends (0.9.2): its own streams, those of its OpenAI layer, and its whole responses.

Every token has an event of its own, and the end another one, without text: other than vLLM's last event.
"""

import time
from abc import ABC, abstractmethod
from functools import lru_cache

from enginebench.simulator.answer import (
    HOLE,
    SSE_DONE,
    WORD_HOLE,
    Answer,
    Whole,
    around_holes,
    ndjson,
    sse,
)
from enginebench.simulator.bodies import Asked
from enginebench.simulator.http import LAST_CHUNK, Connection
from enginebench.simulator.words import text

Document = dict[str, object]

STAMP_HOLE = HOLE * len("2026-11-23T12:00:00.123456789Z")


@lru_cache(maxsize=4)  # all events of a step have the same
def stamp(nanoseconds: int) -> str:
    """A moment (Unix nanoseconds) as Ollama writes it: RFC 3339 in UTC, always nine decimals here."""
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"


class _NativeForm(ABC):
    """The documents of /api/generate or /api/chat."""

    @abstractmethod
    def token(self, model: str, created_at: str, content: str) -> Document:
        """One token's event."""

    @abstractmethod
    def end(self, model: str, created_at: str, content: str, finish: str) -> Document:
        """The last event, before its figures."""


class GenerateForm(_NativeForm):
    """GenerateResponse."""

    def token(self, model: str, created_at: str, content: str) -> Document:
        return {"model": model, "created_at": created_at, "response": content, "done": False}

    def end(self, model: str, created_at: str, content: str, finish: str) -> Document:
        return {
            "model": model, "created_at": created_at, "response": content, "done": True, "done_reason": finish,
        }  # fmt: skip


class ChatForm(_NativeForm):
    """ChatResponse."""

    def token(self, model: str, created_at: str, content: str) -> Document:
        message = {"role": "assistant", "content": content}
        return {"model": model, "created_at": created_at, "message": message, "done": False}

    def end(self, model: str, created_at: str, content: str, finish: str) -> Document:
        message = {"role": "assistant", "content": content}
        return {
            "model": model, "created_at": created_at, "message": message, "done_reason": finish, "done": True,
        }  # fmt: skip


class NativeStream(Answer):
    """/api/generate and /api/chat, streamed: newline-delimited JSON."""

    __slots__ = ("_context", "_event", "_form", "_model")

    def __init__(self, connection: Connection, asked: Asked, model: str, form: _NativeForm, *, context: bool) -> None:
        super().__init__(connection, asked)
        self._model = model
        self._form = form
        self._context = context
        self._event = around_holes(ndjson(form.token(model, STAMP_HOLE, WORD_HOLE)))

    def event(self, due: int) -> bytes:
        created_at = stamp(due + self.epoch)
        head, middle, tail = self._event
        data = head + created_at.encode() + middle + self.next_word() + tail
        if not self.produced:
            data = self.connection.head(b"application/x-ndjson") + data
        if self.is_last:
            end = self._form.end(self._model, created_at, "", self.finish)
            data += ndjson({**end, **_figures(self, due, context=self._context)}) + LAST_CHUNK
        return data


class WholeNative(Whole):
    """/api/generate and /api/chat with `"stream": false`."""

    __slots__ = ("_context", "_form", "_model")

    def __init__(self, connection: Connection, asked: Asked, model: str, form: _NativeForm, *, context: bool) -> None:
        super().__init__(connection, asked)
        self._model = model
        self._form = form
        self._context = context

    def document(self, due: int) -> Document:
        content = text(self.key, self.output_tokens)
        end = self._form.end(self._model, stamp(due + self.epoch), content, self.finish)
        return {**end, **_figures(self, due, context=self._context)}


def _figures(answer: Answer, due: int, *, context: bool) -> Document:
    """api.Metrics, durations in nanoseconds, and the tokens of the conversation (not after `raw`)."""
    first = answer.first_at or due
    figures: Document = {
        "total_duration": due - answer.arrived_at,
        "prompt_eval_count": answer.prompt_tokens,
        "prompt_eval_duration": first - answer.admitted_at,
        "eval_count": answer.output_tokens,
        "eval_duration": due - first,
    }
    if context:
        figures["context"] = list(range(answer.prompt_tokens + answer.output_tokens))
    return figures


class OpenAIStream(Answer):
    """/v1/completions and /v1/chat/completions, streamed. Completions carry a `usage` of zeros until the end."""

    __slots__ = ("_chat", "_event", "_identity", "_usage_wanted")

    def __init__(
        self, connection: Connection, asked: Asked, identity: Document, *, chat: bool, include_usage: bool
    ) -> None:
        super().__init__(connection, asked)
        self._identity = identity
        self._chat = chat
        self._usage_wanted = include_usage
        self._event = around_holes(sse(self._document(WORD_HOLE, None)))

    def event(self, due: int) -> bytes:  # noqa: ARG002  # these events carry no time of their own
        head, tail = self._event
        data = head + self.next_word() + tail
        if not self.produced:
            data = self.connection.head(b"text/event-stream") + data
        if self.is_last:
            data += sse(self._document("", self.finish))
            if self._usage_wanted:
                data += sse({**self._identity, "choices": [], "usage": _usage(self.prompt_tokens, self.output_tokens)})
            data += SSE_DONE
        return data

    def _document(self, content: str, finish: str | None) -> Document:
        if self._chat:
            delta = {"role": "assistant", "content": content}
            return {**self._identity, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        choice = {"text": content, "index": 0, "finish_reason": finish}
        document: Document = {**self._identity, "choices": [choice]}
        if self._usage_wanted:
            document["usage"] = _usage(0, 0)
        return document


class WholeOpenAI(Whole):
    """/v1/completions and /v1/chat/completions, not streamed."""

    __slots__ = ("_chat", "_identity")

    def __init__(self, connection: Connection, asked: Asked, identity: Document, *, chat: bool) -> None:
        super().__init__(connection, asked)
        self._identity = identity
        self._chat = chat

    def document(self, due: int) -> Document:  # noqa: ARG002  # `created` is when the request came
        content = text(self.key, self.output_tokens)
        said: Document = {"message": {"role": "assistant", "content": content}} if self._chat else {"text": content}
        choice = {"index": 0, **said, "finish_reason": self.finish}
        return {**self._identity, "choices": [choice], "usage": _usage(self.prompt_tokens, self.output_tokens)}


def _usage(prompt_tokens: int, completion_tokens: int) -> Document:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
