"""vLLM's API (0.9.1), as far as benchmarks use it."""

import time
from collections.abc import Callable, Iterable

import msgspec

from enginebench.simulator.bodies import (
    Asked,
    ChatBody,
    CompletionBody,
    asked,
    chat_tokens,
    decode,
    prompt_of,
)
from enginebench.simulator.engine import Engine
from enginebench.simulator.http import JSON, TEXT, Connection, HttpError, Request
from enginebench.simulator.prefix_cache import PrefixCache
from enginebench.simulator.settings import VERSION, Settings
from enginebench.simulator.vllm_answers import ChatStream, CompletionStream, WholeChat, WholeCompletion
from enginebench.simulator.words import count_tokens

_ERROR_TYPES = {404: "NotFoundError", 500: "InternalServerError", 503: "ServiceUnavailableError"}

_DEFAULT_MAX_TOKENS = 16
"""`max_tokens` of /v1/completions where it is not given."""

BLOCK_SIZE = 16
"""Tokens of a block of the KV cache, which has room for every slot's whole context."""

_METRICS = b"text/plain; version=0.0.4; charset=utf-8"


class Vllm:
    """The routes."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        self._started = time.time()
        self._answered = 0
        self._cache = PrefixCache(self._kv_tokens) if settings.prefix_caching else None
        self._key = f"Bearer {settings.api_key}".encode() if settings.api_key else b""
        self._routes: dict[str, tuple[str, Callable[[Connection, bytes], None]]] = {
            "/health": ("GET", lambda connection, _: connection.reply(200, TEXT, b"")),
            "/version": ("GET", lambda connection, _: _json(connection, {"version": VERSION})),
            "/v1/models": ("GET", lambda connection, _: _json(connection, self._models())),
            "/metrics": ("GET", lambda connection, _: connection.reply(200, _METRICS, self._metrics())),
            "/v1/completions": ("POST", self._complete),
            "/v1/chat/completions": ("POST", self._chat),
        }

    def handle(self, request: Request, connection: Connection) -> None:
        if request.path not in self._routes:
            connection.reply(404, JSON, b'{"detail":"Not Found"}')
            return
        if self._key and request.path.startswith("/v1/") and request.authorization != self._key:
            connection.reply(401, JSON, b'{"error":"Unauthorized"}')
            return
        method, route = self._routes[request.path]
        if request.method != method:
            connection.reply(405, JSON, b'{"detail":"Method Not Allowed"}')
            return
        route(connection, request.body)

    def error(self, error: HttpError, path: str) -> tuple[bytes, bytes]:  # noqa: ARG002  # one form for all paths
        """vLLM's ErrorResponse."""
        document = {
            "object": "error",
            "message": error.message,
            "type": _ERROR_TYPES.get(error.status, "BadRequestError"),
            "param": None,
            "code": error.status,
        }
        return JSON, msgspec.json.encode(document)

    @property
    def _kv_tokens(self) -> int:
        """What its KV cache holds: every slot has room for a whole context, so that nothing is ever preempted."""
        return self._settings.slots * self._settings.context_length

    def _complete(self, connection: Connection, data: bytes) -> None:
        body = decode(data, CompletionBody)
        if isinstance(body.prompt, str):
            prompt, tokens = body.prompt, count_tokens(body.prompt)
        else:
            prompt, tokens = str(body.prompt), max(1, len(body.prompt))
        limit = _DEFAULT_MAX_TOKENS if body.max_tokens is None else body.max_tokens
        request = self._asked(body, prompt, tokens, limit)
        identity = self._identity("cmpl", "text_completion")
        self._engine.submit(
            CompletionStream(connection, request, identity, body.stream_options)
            if body.stream
            else WholeCompletion(connection, request, identity)
        )

    def _chat(self, connection: Connection, data: bytes) -> None:
        body = decode(data, ChatBody)
        if not body.messages:
            raise HttpError(400, "messages must not be empty")
        limit = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
        request = self._asked(body, prompt_of(body.messages), chat_tokens(body.messages), limit)
        identity = self._identity("chatcmpl", "chat.completion.chunk" if body.stream else "chat.completion")
        self._engine.submit(
            ChatStream(connection, request, identity, body.stream_options)
            if body.stream
            else WholeChat(connection, request, identity)
        )

    def _asked(self, body: ChatBody | CompletionBody, prompt: str, tokens: int, limit: int | None) -> Asked:
        context = self._settings.context_length
        if body.model not in (None, self._settings.model):
            raise HttpError(404, f"The model `{body.model}` does not exist.")
        if body.n != 1:
            raise HttpError(400, f"a simulated engine gives one choice: n must be 1, got {body.n}.")
        if limit is not None and limit < 1:
            raise HttpError(400, f"max_tokens must be at least 1, got {limit}.")
        wanted = tokens + (limit or 1)
        if wanted > context:
            raise HttpError(
                400,
                f"This model's maximum context length is {context} tokens. However, you requested {wanted} tokens "
                f"({tokens} in the prompt, {limit or 1} in the completion). "
                "Please reduce the length of the prompt or completion.",
            )
        request = asked(self._settings, prompt, tokens, limit, ignore_eos=body.ignore_eos)
        if self._cache is None:
            return request
        return msgspec.structs.replace(request, cached_tokens=self._cache.look_up(prompt))

    def _identity(self, prefix: str, kind: str) -> dict[str, object]:
        self._answered += 1
        return {
            "id": f"{prefix}-simulated-{self._answered}",
            "object": kind,
            "created": int(time.time()),
            "model": self._settings.model,
            "system_fingerprint": "SIMULATED",
        }

    def _models(self) -> object:
        card = {
            "id": self._settings.model,
            "object": "model",
            "created": int(self._started),
            "owned_by": "SIMULATED",
            "root": self._settings.model,
            "parent": None,
            "max_model_len": self._settings.context_length,
            "permission": [],
        }
        return {"object": "list", "data": [card]}

    def _metrics(self) -> bytes:
        return ("\n".join(self._metric_lines()) + "\n").encode()

    def _metric_lines(self) -> Iterable[str]:
        scheduler, counters = self._engine.scheduler, self._engine.counters
        model = self._settings.model.replace("\\", "\\\\").replace('"', '\\"')
        labels = f'engine="0",model_name="{model}"'
        in_cache = sum(sequence.prompt_tokens + sequence.produced for sequence in scheduler.batch)
        yield "# TYPE process_start_time_seconds gauge"
        yield f"process_start_time_seconds {self._started!r}"
        cache = {
            "block_size": BLOCK_SIZE,
            "cache_dtype": "auto",
            "enable_prefix_caching": "False",
            "gpu_memory_utilization": "0.9",
            "num_gpu_blocks": -(-self._settings.context_length // BLOCK_SIZE) * self._settings.slots,
        }
        yield "# TYPE vllm:cache_config_info gauge"
        inner = ",".join(f'{name}="{value}"' for name, value in cache.items())
        yield f'vllm:cache_config_info{{{inner},engine="0"}} 1.0'
        for name, kind, value in (
            ("num_requests_running", "gauge", len(scheduler.batch)),
            ("num_requests_waiting", "gauge", len(scheduler.waiting)),
            ("kv_cache_usage_perc", "gauge", in_cache / self._kv_tokens),
            ("num_preemptions_total", "counter", 0),
            ("prefix_cache_queries_total", "counter", counters.prompt_tokens if self._cache is not None else 0),
            ("prefix_cache_hits_total", "counter", counters.cached_tokens),
            ("prompt_tokens_total", "counter", counters.prompt_tokens),
            ("generation_tokens_total", "counter", counters.generation_tokens),
        ):
            yield f"# TYPE vllm:{name} {kind}"
            yield f"vllm:{name}{{{labels}}} {value}"
        yield "# TYPE vllm:request_success_total counter"
        for reason, count in counters.finished.items():
            yield f'vllm:request_success_total{{{labels},finished_reason="{reason}"}} {count}'
        yield from counters.ttft.lines("vllm:time_to_first_token_seconds", labels)
        yield from counters.itl.lines("vllm:inter_token_latency_seconds", labels)
        yield from counters.e2e.lines("vllm:e2e_request_latency_seconds", labels)
        yield from counters.queue_time.lines("vllm:request_queue_time_seconds", labels)
        yield from counters.lateness_lines()


def _json(connection: Connection, document: object) -> None:
    connection.reply(200, JSON, msgspec.json.encode(document))
