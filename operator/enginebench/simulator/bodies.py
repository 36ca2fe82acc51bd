"""What clients send, and what it comes down to."""

import zlib
from typing import Literal, TypeVar

import msgspec

from enginebench.simulator.http import HttpError
from enginebench.simulator.latency import draw
from enginebench.simulator.settings import NATURAL_TOKENS, Settings
from enginebench.simulator.words import count_tokens

T = TypeVar("T", bound=msgspec.Struct)


class StreamOptions(msgspec.Struct):
    include_usage: bool = False
    continuous_usage_stats: bool = False


class Part(msgspec.Struct):
    """A part of a message; others than text have no tokens here."""

    type: str
    text: str = ""


class Message(msgspec.Struct):
    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content)
        return self.content or ""


class CompletionBody(msgspec.Struct):
    """POST /v1/completions."""

    prompt: str | list[int]
    model: str | None = None
    max_tokens: int | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    ignore_eos: bool = False
    n: int = 1


class ChatBody(msgspec.Struct):
    """POST /v1/chat/completions."""

    messages: list[Message]
    model: str | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    ignore_eos: bool = False
    n: int = 1


class Options(msgspec.Struct):
    num_predict: int = -1


class OllamaBody(msgspec.Struct):
    """POST /api/generate (with `prompt`) and /api/chat (with `messages`)."""

    model: str = ""
    prompt: str = ""
    messages: list[Message] = []
    raw: bool = False
    stream: bool = True
    keep_alive: str | float | None = None
    options: Options | None = None

    @property
    def limit(self) -> int | None:
        return self.options.num_predict if self.options else None


class ModelBody(msgspec.Struct):
    """POST /api/show and /api/pull; `name` is the older word for `model`."""

    model: str = ""
    name: str = ""
    stream: bool = True


class Asked(msgspec.Struct, frozen=True):
    """What a request comes down to, whatever the dialect."""

    key: int
    """Of the prompt: equal prompts get equal answers."""
    prompt_tokens: int
    output_tokens: int
    finish: Literal["length", "stop"]
    cached_tokens: int = 0
    """Of the prompt, found in a prefix cache."""


def decode(body: bytes, kind: type[T]) -> T:
    """The request's body; a 400 that names the field where it does not fit."""
    if not body:
        raise HttpError(400, "missing request body")
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HttpError(400, f"invalid request body: {error}") from error


def prompt_of(messages: list[Message]) -> str:
    """A chat as the text that stands for it."""
    return "\n".join(f"{message.role}: {message.text}" for message in messages)


def chat_tokens(messages: list[Message]) -> int:
    """Tokens of a chat: its words, without a template's."""
    return count_tokens(" ".join(message.text for message in messages))


def asked(settings: Settings, prompt: str, prompt_tokens: int, limit: int | None, *, ignore_eos: bool = False) -> Asked:
    """The answer's length and how it ends: by its limit, unless it has none or is one of the early stops."""
    key = zlib.crc32(prompt.encode(errors="surrogatepass"), settings.seed & 0xFFFFFFFF)
    if limit is None:
        if ignore_eos:
            return Asked(key, prompt_tokens, max(1, settings.context_length - prompt_tokens), "length")
        return Asked(key, prompt_tokens, NATURAL_TOKENS, "stop")
    if not ignore_eos and draw(settings.seed, 3, key) < settings.early_stops:
        length = 1 + int(draw(settings.seed, 4, key) * limit)
        if length < limit:
            return Asked(key, prompt_tokens, length, "stop")
    return Asked(key, prompt_tokens, limit, "length")
