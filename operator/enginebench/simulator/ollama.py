"""Ollama's API (0.9.2) and its OpenAI layer, as far as benchmarks use them."""

import time
from collections.abc import Callable

import msgspec

from enginebench.simulator.bodies import (
    Asked,
    ChatBody,
    CompletionBody,
    ModelBody,
    OllamaBody,
    asked,
    chat_tokens,
    decode,
    prompt_of,
)
from enginebench.simulator.engine import Engine
from enginebench.simulator.http import JSON, TEXT, Connection, HttpError, Request
from enginebench.simulator.ollama_answers import (
    ChatForm,
    Document,
    GenerateForm,
    NativeStream,
    OpenAIStream,
    WholeNative,
    WholeOpenAI,
    stamp,
)
from enginebench.simulator.ollama_library import Library
from enginebench.simulator.settings import VERSION, Settings
from enginebench.simulator.words import count_tokens

_METRICS = b"text/plain; version=0.0.4; charset=utf-8"


class Ollama:
    """The routes."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._library = library = Library(settings)
        self._answered = 0
        gets: dict[str, Callable[[], tuple[bytes, bytes]]] = {
            "/": lambda: (TEXT, b"Ollama is running"),
            "/api/version": lambda: _json({"version": VERSION}),
            "/api/tags": lambda: _json(library.tags()),
            "/api/ps": lambda: _json(library.running()),
            "/v1/models": lambda: _json(library.models()),
            # The real one has no metrics; the simulator's own lateness is told all the same.
            "/metrics": lambda: (_METRICS, ("\n".join(engine.counters.lateness_lines()) + "\n").encode()),
        }
        self._gets = gets
        self._posts: dict[str, Callable[[Connection, bytes], None]] = {
            "/api/show": self._show,
            "/api/pull": self._pull,
            "/api/generate": self._generate,
            "/api/chat": self._chat,
            "/v1/completions": self._openai_completion,
            "/v1/chat/completions": self._openai_chat,
        }

    def handle(self, request: Request, connection: Connection) -> None:
        if request.method in ("GET", "HEAD") and request.path in self._gets:
            connection.reply(200, *self._gets[request.path]())
        elif request.method == "POST" and request.path in self._posts:
            self._posts[request.path](connection, request.body)
        else:
            connection.reply(404, b"text/plain", b"404 page not found")

    def error(self, error: HttpError, path: str) -> tuple[bytes, bytes]:
        """A sentence; in the OpenAI layer with the type that it gives every error but those of the body's form."""
        if not path.startswith("/v1/"):
            return _json({"error": error.message})
        kind = "invalid_request_error" if error.status == 400 else "api_error"  # noqa: PLR2004  # HTTP's number
        return _json({"error": {"message": error.message, "type": kind, "param": None, "code": None}})

    def _show(self, connection: Connection, data: bytes) -> None:
        body = decode(data, ModelBody)
        name = body.model or body.name
        if not name:
            raise HttpError(400, "model is required")
        if not self._library.has(name):
            raise HttpError(404, f"model '{name}' not found")
        connection.reply(200, *_json(self._library.show()))

    def _pull(self, connection: Connection, data: bytes) -> None:
        body = decode(data, ModelBody)
        name = body.model or body.name
        if not name:
            raise HttpError(400, "invalid model name")
        self._library.pull(connection, name, stream=body.stream)

    def _generate(self, connection: Connection, data: bytes) -> None:
        body = decode(data, OllamaBody)
        if not self._library.has(body.model):
            raise HttpError(404, f"model '{body.model}' not found")
        form = GenerateForm()
        if not body.prompt:
            self._load_only(connection, body, form)
            return
        request = self._asked(body.prompt, count_tokens(body.prompt), body.limit)
        self._library.load()
        kind = NativeStream if body.stream else WholeNative
        self._engine.submit(kind(connection, request, body.model, form, context=not body.raw))

    def _chat(self, connection: Connection, data: bytes) -> None:
        body = decode(data, OllamaBody)
        if not body.model:
            raise HttpError(400, "model is required")
        if not self._library.has(body.model):
            raise HttpError(404, f'model "{body.model}" not found, try pulling it first')
        form = ChatForm()
        if not body.messages:
            self._load_only(connection, body, form)
            return
        request = self._asked(prompt_of(body.messages), chat_tokens(body.messages), body.limit)
        self._library.load()
        kind = NativeStream if body.stream else WholeNative
        self._engine.submit(kind(connection, request, body.model, form, context=False))

    def _load_only(self, connection: Connection, body: OllamaBody, form: GenerateForm | ChatForm) -> None:
        """A request without a prompt loads the model, or unloads it where it is not to be kept."""
        unload = body.keep_alive in (0, "0", "0s")
        if unload:
            self._library.unload()
        else:
            self._library.load()
        end = form.end(body.model, stamp(time.time_ns()), "", "unload" if unload else "load")
        connection.reply(200, *_json(end))

    def _openai_completion(self, connection: Connection, data: bytes) -> None:
        body = decode(data, CompletionBody)
        if not isinstance(body.prompt, str):
            raise HttpError(
                400, "json: cannot unmarshal array into Go struct field CompletionRequest.prompt of type string"
            )
        if not self._library.has(body.model or ""):
            raise HttpError(404, f"model '{body.model or ''}' not found")
        request = self._asked(body.prompt, count_tokens(body.prompt), body.max_tokens)
        self._openai(connection, body, request, chat=False)

    def _openai_chat(self, connection: Connection, data: bytes) -> None:
        body = decode(data, ChatBody)
        if not body.messages:
            raise HttpError(400, "[] is too short - 'messages'")
        if not self._library.has(body.model or ""):
            raise HttpError(404, f'model "{body.model or ""}" not found, try pulling it first')
        # max_completion_tokens is not known to this version.
        request = self._asked(prompt_of(body.messages), chat_tokens(body.messages), body.max_tokens)
        self._openai(connection, body, request, chat=True)

    def _openai(self, connection: Connection, body: CompletionBody | ChatBody, request: Asked, *, chat: bool) -> None:
        self._library.load()
        identity = self._identity(body.model or "", chat=chat, stream=body.stream)
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            self._engine.submit(OpenAIStream(connection, request, identity, chat=chat, include_usage=usage))
        else:
            self._engine.submit(WholeOpenAI(connection, request, identity, chat=chat))

    def _asked(self, prompt: str, prompt_tokens: int, limit: int | None) -> Asked:
        """Cut to the context, silently; without a limit above 0 the answer ends by itself."""
        prompt_tokens = min(prompt_tokens, self._settings.context_length)
        return asked(self._settings, prompt, prompt_tokens, limit if limit and limit > 0 else None)

    def _identity(self, model: str, *, chat: bool, stream: bool) -> Document:
        self._answered += 1
        return {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{self._answered}",
            "object": ("chat.completion.chunk" if stream else "chat.completion") if chat else "text_completion",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": "fp_ollama_SIMULATED",
        }


def _json(document: object) -> tuple[bytes, bytes]:
    return JSON, msgspec.json.encode(document)
