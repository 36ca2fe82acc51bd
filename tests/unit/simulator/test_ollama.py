"""Ollama's dialect, held against what Ollama 0.9.2 sends."""

import asyncio
import re
from datetime import datetime

import pytest

from tests.unit.simulator.client import Client
from tests.unit.simulator.conftest import HOUR, MILLISECOND, Connect, Start, until

GENERATE = {"model": "tiny", "prompt": "a b c", "options": {"num_predict": 4}}
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "a b c"}], "options": {"num_predict": 4}}
COMPLETION = {"model": "tiny", "prompt": "a b c", "max_tokens": 4}
OPENAI_CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "a b c"}], "max_tokens": 4}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}
ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
COUNTED = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


async def test_what_it_is(ollama: Client) -> None:
    assert (await ollama.get("/")).body == b"Ollama is running"
    assert (await ollama.get("/api/version")).json == {"version": "0.0.0-simulated"}
    head = await ollama.ask("HEAD", "/api/version")
    assert (head.status, head.body) == (200, b"")
    (model,) = (await ollama.get("/api/tags")).json["models"]
    assert (model["name"], model["model"]) == ("tiny:latest", "tiny:latest")
    assert re.fullmatch("[0-9a-f]{64}", model["digest"])
    assert model["details"]["parameter_size"] == "SIMULATED"
    assert (await ollama.get("/v1/models")).json["data"][0]["id"] == "tiny:latest"


async def test_show(ollama: Client) -> None:
    shown = (await ollama.post("/api/show", {"model": "tiny"})).json
    assert shown["capabilities"] == ["completion"]
    assert (await ollama.post("/api/show", {"name": "TINY:latest"})).json == shown
    missing = await ollama.post("/api/show", {"model": "other"})
    assert (missing.status, missing.json) == (404, {"error": "model 'other' not found"})
    assert (await ollama.post("/api/show", {})).json == {"error": "model is required"}


async def test_generate(ollama: Client) -> None:
    response = await ollama.post("/api/generate", GENERATE)
    assert response.headers["content-type"] == "application/x-ndjson"
    *tokens, end = response.lines
    assert len(tokens) == 4
    assert all(set(line) == {"model", "created_at", "response", "done"} for line in tokens)
    assert all(re.fullmatch(r" [a-z]{4}", line["response"]) and line["done"] is False for line in tokens)
    stamps = [datetime.fromisoformat(line["created_at"]) for line in tokens]
    assert stamps == sorted(stamps)
    assert (end["response"], end["done"], end["done_reason"]) == ("", True, "length")
    assert (end["prompt_eval_count"], end["eval_count"]) == (3, 4)
    assert len(end["context"]) == 7
    assert end["prompt_eval_duration"] == MILLISECOND
    assert end["eval_duration"] == 3 * MILLISECOND
    assert end["total_duration"] == 4 * MILLISECOND


async def test_raw_has_no_context(ollama: Client) -> None:
    *_, end = (await ollama.post("/api/generate", {**GENERATE, "raw": True})).lines
    assert "context" not in end


async def test_chat(ollama: Client) -> None:
    *tokens, end = (await ollama.post("/api/chat", CHAT)).lines
    assert len(tokens) == 4
    assert all(line["message"]["role"] == "assistant" and line["message"]["content"] for line in tokens)
    assert end["message"] == {"role": "assistant", "content": ""}
    assert (end["done_reason"], end["eval_count"], end["prompt_eval_count"]) == ("length", 4, 3)


async def test_whole_answers(ollama: Client) -> None:
    *tokens, _ = (await ollama.post("/api/generate", GENERATE)).lines
    whole = (await ollama.post("/api/generate", {**GENERATE, "stream": False})).json
    assert whole["response"] == "".join(line["response"] for line in tokens)
    assert (whole["done"], whole["eval_count"]) == (True, 4)
    chat = (await ollama.post("/api/chat", {**CHAT, "stream": False})).json
    assert len(chat["message"]["content"].split()) == 4


async def test_openai_completion_stream_has_a_usage_of_zeros_until_the_end(ollama: Client) -> None:
    *tokens, end, usage = (await ollama.post("/v1/completions", {**COMPLETION, **USAGE})).events
    assert len(tokens) == 4
    assert all(event["choices"][0]["finish_reason"] is None and event["usage"] == ZEROS for event in tokens)
    assert (end["choices"][0]["text"], end["choices"][0]["finish_reason"]) == ("", "length")
    assert (usage["choices"], usage["usage"]) == ([], COUNTED)


async def test_openai_chat_stream(ollama: Client) -> None:
    *tokens, end, usage = (await ollama.post("/v1/chat/completions", {**OPENAI_CHAT, **USAGE})).events
    assert len(tokens) == 4
    assert all(event["choices"][0]["delta"]["role"] == "assistant" and "usage" not in event for event in tokens)
    assert end["choices"][0] == {
        "index": 0,
        "delta": {"role": "assistant", "content": ""},
        "finish_reason": "length",
    }
    assert usage["usage"] == COUNTED
    assert "SIMULATED" in usage["system_fingerprint"]


async def test_openai_whole_answers(ollama: Client) -> None:
    completion = (await ollama.post("/v1/completions", COMPLETION)).json
    assert (completion["object"], completion["usage"]) == ("text_completion", COUNTED)
    chat = (await ollama.post("/v1/chat/completions", OPENAI_CHAT)).json
    assert (chat["object"], chat["choices"][0]["finish_reason"]) == ("chat.completion", "length")


async def test_an_answer_without_a_limit_ends_by_itself(start: Start, connect: Connect) -> None:
    client = await connect(await start(api="Ollama", decode_step=1000))
    for body in ({"model": "tiny", "prompt": "a"}, {"model": "tiny", "prompt": "a", "options": {"num_predict": -1}}):
        *_, end = (await client.post("/api/generate", body)).lines
        assert (end["eval_count"], end["done_reason"]) == (128, "stop")
    # This version does not know max_completion_tokens, nor ignore_eos.
    other = {"model": "tiny", "messages": CHAT["messages"], "max_completion_tokens": 3, "ignore_eos": True}
    assert (await client.post("/v1/chat/completions", other)).json["usage"]["completion_tokens"] == 128


async def test_a_prompt_beyond_the_context_is_cut_silently(start: Start, connect: Connect) -> None:
    client = await connect(await start(api="Ollama", context_length=10))
    answer = (await client.post("/api/generate", {**GENERATE, "prompt": "word " * 50, "stream": False})).json
    assert answer["prompt_eval_count"] == 10


async def test_the_model_is_loaded_by_the_first_request_and_the_runner_s_line_tells_the_slots(
    start: Start, connect: Connect, capfd: pytest.CaptureFixture[str]
) -> None:
    client = await connect(await start(api="Ollama", slots=4, context_length=512))
    assert (await client.get("/api/ps")).json == {"models": []}
    loaded = await client.post("/api/generate", {"model": "tiny", "keep_alive": -1})
    assert (loaded.json["done_reason"], loaded.json["response"]) == ("load", "")
    await client.post("/api/generate", GENERATE)
    (model,) = (await client.get("/api/ps")).json["models"]
    assert (model["name"], model["size_vram"]) == ("tiny:latest", model["size"])
    assert "context_length" not in model
    (line,) = capfd.readouterr().err.splitlines()
    assert 'msg="starting llama server"' in line
    assert re.search(r'cmd="\S+ runner .*--ctx-size 2048 .*--parallel 4 ', line)
    unloaded = await client.post("/api/chat", {"model": "tiny", "messages": [], "keep_alive": 0})
    assert unloaded.json["done_reason"] == "unload"
    assert (await client.get("/api/ps")).json == {"models": []}


async def test_pull(start: Start, connect: Connect) -> None:
    server = await start(api="Ollama", pull_bytes=10_000_000, pull_seconds=0.3)
    client = await connect(server)
    assert (await client.get("/api/tags")).json == {"models": []}
    assert (await client.get("/v1/models")).json["data"] is None
    assert (await client.post("/api/generate", GENERATE)).status == 404
    response = await client.post("/api/pull", {"model": "tiny"})
    assert response.status == 200
    first, *layers, verifying, writing, success = response.lines
    assert first == {"status": "pulling manifest"}
    assert len(layers) >= 2
    assert all(line["total"] == 10_000_000 and line["digest"].startswith("sha256:") for line in layers)
    done = [line["completed"] for line in layers]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, 10_000_000)
    assert [verifying["status"], writing["status"], success["status"]] == [
        "verifying sha256 digest",
        "writing manifest",
        "success",
    ]
    assert (await client.get("/api/tags")).json["models"][0]["size"] == 10_000_000
    assert (await client.post("/api/generate", GENERATE)).status == 200
    again = (await client.post("/api/pull", {"model": "tiny", "stream": False})).json
    assert again == {"status": "success"}


async def test_a_pull_that_is_left_and_taken_up_again_goes_on(start: Start, connect: Connect) -> None:
    server = await start(api="Ollama", pull_bytes=1000, pull_seconds=0.4)
    leaver = await Client.connect(server.port)
    leaver.send("POST", "/api/pull", {"model": "tiny"})
    await leaver.head()
    await asyncio.sleep(0.2)
    await leaver.close()
    lines = (await (await connect(server)).post("/api/pull", {"model": "tiny"})).lines
    assert lines[1]["completed"] >= 400
    assert lines[-1] == {"status": "success"}


async def test_an_unknown_model_fails_to_pull_in_a_line_under_200(ollama: Client) -> None:
    response = await ollama.post("/api/pull", {"model": "other"})
    assert response.status == 200
    assert response.lines[-1] == {"error": "pull model manifest: file does not exist"}
    assert (await ollama.post("/api/pull", {})).status == 400


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/api/generate", {**GENERATE, "model": "other"}, 404, "model 'other' not found"),
        ("/api/chat", {**CHAT, "model": "other"}, 404, 'model "other" not found, try pulling it first'),
        ("/api/chat", {}, 400, "model is required"),
        ("/api/generate", b"", 400, "missing request body"),
        ("/api/generate", b"[]", 400, "invalid request body"),
        ("/api/generate", {**GENERATE, "options": {"num_predict": "4"}}, 400, "$.options.num_predict"),
    ],
)
async def test_what_is_wrong_is_said(ollama: Client, path: str, body: object, status: int, words: str) -> None:
    response = await ollama.post(path, body)
    assert response.status == status
    assert words in response.json["error"]


@pytest.mark.parametrize(
    ("path", "body", "status", "kind", "words"),
    [
        ("/v1/completions", {**COMPLETION, "model": "other"}, 404, "api_error", "model 'other' not found"),
        ("/v1/chat/completions", {**OPENAI_CHAT, "model": "other"}, 404, "api_error", "try pulling it first"),
        ("/v1/completions", {**COMPLETION, "prompt": [1]}, 400, "invalid_request_error", "cannot unmarshal array"),
        ("/v1/chat/completions", {**OPENAI_CHAT, "messages": []}, 400, "invalid_request_error", "too short"),
    ],
)
async def test_what_is_wrong_in_the_openai_layer(
    ollama: Client, path: str, body: object, status: int, kind: str, words: str
) -> None:
    response = await ollama.post(path, body)
    error = response.json["error"]
    assert (response.status, error["type"]) == (status, kind)
    assert words in error["message"]


async def test_what_ollama_does_not_have(ollama: Client) -> None:
    health = await ollama.get("/health")
    assert (health.status, health.body) == (404, b"404 page not found")
    metrics = (await ollama.get("/metrics")).body.decode()
    assert "enginebench_simulator_lateness_seconds_count 0" in metrics
    assert "vllm:" not in metrics


@pytest.mark.parametrize(("path", "body"), [("/api/generate", GENERATE), ("/v1/completions", COMPLETION)])
async def test_beyond_the_queue_the_server_is_busy(
    start: Start, connect: Connect, path: str, body: dict[str, object]
) -> None:
    server = await start(api="Ollama", slots=1, max_queue=1, decode_step=HOUR)
    running, waiting, refused = [await connect(server) for _ in range(3)]
    running.send("POST", path, body)
    await until(lambda: len(server.engine.scheduler.batch) == 1)
    waiting.send("POST", path, body)
    await until(lambda: len(server.engine.scheduler.waiting) == 1)
    response = await refused.post(path, body)
    assert response.status == 503
    assert "server busy, please try again" in response.body.decode()
