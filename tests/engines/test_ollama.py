"""A real Ollama 0.9.2 with the tiny model, and the simulated one held against it, answer by answer.

Builds Ollama from its Go module where that is not cached: minutes, once.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from enginebench.simulator.server import serve
from enginebench.simulator.settings import Settings
from images.ollama.binary import ensure_ollama_binary
from images.ollama.models import ensure_tiny_model, serving
from tests.unit.simulator.client import Client, Response

OPTIONS = {"options": {"num_predict": 5}}
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "one two three"}]}
PROMPT = {"model": "tiny", "prompt": "one two three"}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    model = ensure_tiny_model()
    with serving(ensure_ollama_binary(), model.folder, OLLAMA_NUM_PARALLEL="1", OLLAMA_CONTEXT_LENGTH="512") as url:
        yield url


@pytest.fixture
async def real(url: str) -> AsyncIterator[Client]:
    client = await Client.connect(int(url.rpartition(":")[2]))
    yield client
    await client.close()


@pytest.fixture
async def simulated() -> AsyncIterator[Client]:
    server = await serve(Settings(model="tiny", api="Ollama", host="127.0.0.1", slots=1, decode_step=1_000_000))
    client = await Client.connect(server.port)
    yield client
    await client.close()
    server.close()


def documents(response: Response) -> list[Any]:
    """All documents of an answer, streamed or not."""
    kind = response.headers["content-type"].partition(";")[0]
    if kind == "text/event-stream":
        return response.events
    return response.lines if kind == "application/x-ndjson" else [response.json]


def shape(document: Any, *, of: str = "") -> Any:
    """Its keys and the types of its values; contents only where they are words of the protocol."""
    if isinstance(document, dict):
        return {key: shape(value, of=key) for key, value in sorted(document.items())}
    if isinstance(document, list):
        return [shape(element) for element in document[:1]]
    if of in ("done_reason", "finish_reason", "object", "role", "done", "type"):
        return document
    return type(document).__name__


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/generate", {**PROMPT, **OPTIONS}),
        ("/api/generate", {**PROMPT, **OPTIONS, "raw": True}),
        ("/api/generate", {**PROMPT, **OPTIONS, "stream": False}),
        ("/api/chat", {**CHAT, **OPTIONS}),
        ("/api/chat", {**CHAT, **OPTIONS, "stream": False}),
        ("/v1/completions", {**PROMPT, "max_tokens": 5, **USAGE}),
        ("/v1/completions", {**PROMPT, "max_tokens": 5, "stream": True}),
        ("/v1/completions", {**PROMPT, "max_tokens": 5}),
        ("/v1/chat/completions", {**CHAT, "max_tokens": 5, **USAGE}),
        ("/v1/chat/completions", {**CHAT, "max_tokens": 5, "stream": True}),
        ("/v1/chat/completions", {**CHAT, "max_tokens": 5}),
        ("/api/generate", {"model": "tiny"}),
        ("/api/generate", {**PROMPT, "model": "other"}),
        ("/api/chat", {**CHAT, "model": "other"}),
        ("/v1/completions", {**PROMPT, "model": "other"}),
        ("/v1/chat/completions", {**CHAT, "model": "other"}),
        ("/v1/chat/completions", {**CHAT, "messages": []}),
        ("/v1/completions", {**PROMPT, "prompt": ["one"]}),
        ("/api/show", {"model": "other"}),
        ("/api/show", {}),
        ("/api/chat", {}),
        ("/api/chat", b""),
    ],
)
async def test_the_simulated_answers_as_the_real(real: Client, simulated: Client, path: str, body: object) -> None:
    truth, copy = await real.post(path, body), await simulated.post(path, body)
    assert copy.status == truth.status
    assert copy.headers["content-type"].partition(";")[0] == truth.headers["content-type"].partition(";")[0]
    # The real one leaves durations out where they are zero.
    wanted = [{k: v for k, v in shape(document).items() if k != "load_duration"} for document in documents(truth)]
    assert [shape(document) for document in documents(copy)] == wanted
    if truth.status != 200 and b"cannot unmarshal" not in truth.body:  # Go's words for a wrong type are its own
        assert copy.body.strip() == truth.body.strip()


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags", "/api/ps", "/v1/models", "/health"])
async def test_the_simulated_describes_itself_as_the_real(real: Client, simulated: Client, path: str) -> None:
    for client in (real, simulated):
        await client.post("/api/generate", {"model": "tiny"})
    truth, copy = await real.get(path), await simulated.get(path)
    assert (copy.status, copy.headers["content-type"].partition(";")[0]) == (
        truth.status,
        truth.headers["content-type"].partition(";")[0],
    )
    if copy.headers["content-type"].startswith("application/json"):
        assert shape(copy.json) == shape(truth.json)
    else:
        assert copy.body == truth.body


def generate(url: str, **more: object) -> list[Any]:
    body = json.dumps({"model": "tiny", "prompt": "hello", **more}).encode()
    with urlopen(f"{url}/api/generate", body) as response:  # noqa: S310  # http on loopback
        return [json.loads(line) for line in response]


def test_the_tiny_model_answers_until_its_limit_a_token_an_event(url: str) -> None:
    greedy = {"temperature": 0, "repeat_penalty": 1.0}
    for sampling in (greedy, {"temperature": 0}, {"temperature": 1, "seed": 1}, {"temperature": 1, "seed": 2}):
        *tokens, end = generate(url, raw=True, options={"num_predict": 200, **sampling})
        assert (end["done_reason"], end["eval_count"], len(tokens)) == ("length", 200, 200)
        assert all(re.fullmatch(" [a-z]{2}", token["response"]) for token in tokens)


@pytest.mark.parametrize("slots", [1, 4])
def test_the_runner_s_line_tells_slots_and_context(slots: int, tmp_path: Path) -> None:
    log = tmp_path / "log"
    variables = {"OLLAMA_NUM_PARALLEL": str(slots), "OLLAMA_CONTEXT_LENGTH": "512"}
    with serving(ensure_ollama_binary(), ensure_tiny_model().folder, log, **variables) as url:
        generate(url, options={"num_predict": 1})
    (line,) = [line for line in log.read_text().splitlines() if 'msg="starting llama server"' in line]
    assert re.search(rf'cmd="\S+ runner .*--ctx-size {512 * slots} .*--parallel {slots} ', line)
