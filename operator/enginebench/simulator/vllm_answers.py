"""What vLLM sends (0.9.1): the events of its streams, and its whole responses."""

from abc import abstractmethod

from enginebench.simulator.answer import SSE_DONE, WORD_HOLE, Answer, Whole, around_holes, sse
from enginebench.simulator.bodies import Asked, StreamOptions
from enginebench.simulator.http import Connection
from enginebench.simulator.words import text

Identity = dict[str, object]
"""The members that all events of an answer have in common."""


class _Stream(Answer):
    """Server-sent events: the head at once, one event a token, the finish reason in the last token's."""

    __slots__ = ("_continuous", "_event", "_identity", "_usage_wanted")

    def __init__(self, connection: Connection, asked: Asked, identity: Identity, options: StreamOptions | None) -> None:
        super().__init__(connection, asked)
        self._identity = identity
        self._usage_wanted = options is not None and options.include_usage
        self._continuous = options is not None and options.include_usage and options.continuous_usage_stats
        self._event = around_holes(sse(self.document(WORD_HOLE, None, 0)))

    def opening(self) -> bytes:
        return self.connection.head(b"text/event-stream; charset=utf-8")

    def event(self, due: int) -> bytes:  # noqa: ARG002  # these events carry no time
        if self.is_last or self._continuous:
            finish = self.finish if self.is_last else None
            data = sse(self.document(self.next_word().decode(), finish, self.produced + 1))
        else:
            head, tail = self._event
            data = head + self.next_word() + tail
        if not self.produced:
            data = self.before_first() + data
        if self.is_last:
            if self._usage_wanted:
                data += sse({**self._identity, "choices": [], "usage": _usage(self, self.output_tokens)})
            data += SSE_DONE
        return data

    def before_first(self) -> bytes:
        """An event that comes with the first token's."""
        return b""

    @abstractmethod
    def document(self, content: str, finish: str | None, completion_tokens: int) -> Identity:
        """The event of one token."""


class CompletionStream(_Stream):
    """CompletionStreamResponse; `usage` is null where it was not asked for."""

    __slots__ = ()

    def document(self, content: str, finish: str | None, completion_tokens: int) -> Identity:
        choice = {"index": 0, "text": content, "logprobs": None, "finish_reason": finish, "stop_reason": None}
        usage = _usage(self, completion_tokens) if self._continuous else None
        return {**self._identity, "choices": [choice], "usage": usage}


class ChatStream(_Stream):
    """ChatCompletionStreamResponse; the first event has the role and no content."""

    __slots__ = ()

    def before_first(self) -> bytes:
        return sse(self._with_delta({"role": "assistant", "content": ""}, None, 0))

    def document(self, content: str, finish: str | None, completion_tokens: int) -> Identity:
        return self._with_delta({"content": content}, finish, completion_tokens)

    def _with_delta(self, delta: dict[str, str], finish: str | None, completion_tokens: int) -> Identity:
        choice: Identity = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        if finish:
            choice["stop_reason"] = None
        document: Identity = {**self._identity, "choices": [choice]}
        if self._continuous:
            document["usage"] = _usage(self, completion_tokens)
        return document


class _WholeAnswer(Whole):
    __slots__ = ("_identity",)

    def __init__(self, connection: Connection, asked: Asked, identity: Identity) -> None:
        super().__init__(connection, asked)
        self._identity = identity

    def document(self, due: int) -> Identity:  # noqa: ARG002  # `created` is when the request came
        choice = {
            "index": 0,
            **self.content(text(self.key, self.output_tokens)),
            "logprobs": None,
            "finish_reason": self.finish,
            "stop_reason": None,
        }
        return {**self._identity, "choices": [choice], "usage": _usage(self, self.output_tokens)}

    @abstractmethod
    def content(self, content: str) -> Identity:
        """The choice's members that hold the text."""


class WholeCompletion(_WholeAnswer):
    """CompletionResponse."""

    __slots__ = ()

    def content(self, content: str) -> Identity:
        return {"text": content}


class WholeChat(_WholeAnswer):
    """ChatCompletionResponse."""

    __slots__ = ()

    def content(self, content: str) -> Identity:
        return {"message": {"role": "assistant", "content": content, "tool_calls": []}}


def _usage(answer: Answer, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "total_tokens": answer.prompt_tokens + completion_tokens,
        "completion_tokens": completion_tokens,
    }
