"""vLLM's dialect, held against the shapes of vLLM 0.9.1's own models."""

import asyncio
import re
from itertools import pairwise

import pytest

from tests.unit.simulator.client import Client
from tests.unit.simulator.conftest import HOUR, MILLISECOND, Connect, Start, until

COMPLETION = {"model": "tiny", "prompt": "a b c d", "max_tokens": 4}
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "a b c"}], "max_tokens": 4}
USAGE = {"stream": True, "stream_options": {"include_usage": True}}


async def test_what_it_is(vllm: Client) -> None:
    assert (await vllm.get("/health")).body == b""
    assert (await vllm.get("/version")).json == {"version": "0.0.0-simulated"}
    models = (await vllm.get("/v1/models")).json
    assert models["object"] == "list"
    (card,) = models["data"]
    assert (card["id"], card["object"], card["max_model_len"]) == ("tiny", "model", 8192)
    assert card["owned_by"] == "SIMULATED"


async def test_completion_stream(vllm: Client) -> None:
    response = await vllm.post("/v1/completions", {**COMPLETION, **USAGE})
    assert response.headers["content-type"].startswith("text/event-stream")
    *tokens, usage = response.events
    assert len(tokens) == 4
    assert all(event["object"] == "text_completion" and event["model"] == "tiny" for event in tokens)
    assert all(event["usage"] is None for event in tokens)
    assert len({event["id"] for event in tokens}) == 1
    choices = [event["choices"][0] for event in tokens]
    assert all(re.fullmatch(r" [a-z]{4}", choice["text"]) for choice in choices)
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "length"]
    assert set(choices[0]) == {"index", "text", "logprobs", "finish_reason", "stop_reason"}
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 4, "total_tokens": 8, "completion_tokens": 4}


async def test_completion_stream_without_usage_ends_with_the_last_token(vllm: Client) -> None:
    events = (await vllm.post("/v1/completions", {**COMPLETION, "stream": True})).events
    assert len(events) == 4
    assert events[-1]["choices"][0]["finish_reason"] == "length"


async def test_chat_stream(vllm: Client) -> None:
    role, *tokens, usage = (await vllm.post("/v1/chat/completions", {**CHAT, **USAGE})).events
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len(tokens) == 4
    assert all(event["object"] == "chat.completion.chunk" and "usage" not in event for event in tokens)
    assert all(set(event["choices"][0]["delta"]) == {"content"} for event in tokens)
    assert [event["choices"][0]["finish_reason"] for event in tokens] == [None, None, None, "length"]
    assert usage["usage"] == {"prompt_tokens": 3, "total_tokens": 7, "completion_tokens": 4}


@pytest.mark.parametrize(("path", "body"), [("/v1/completions", COMPLETION), ("/v1/chat/completions", CHAT)])
async def test_continuous_usage_counts_in_every_event(vllm: Client, path: str, body: dict[str, object]) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    events = (await vllm.post(path, {**body, "stream": True, "stream_options": options})).events
    counts = [event["usage"]["completion_tokens"] for event in events if event["choices"]]
    assert counts[-4:] == [1, 2, 3, 4]
    assert events[-1]["usage"]["completion_tokens"] == 4


async def test_whole_answers_say_what_the_streams_say(vllm: Client) -> None:
    whole = (await vllm.post("/v1/completions", COMPLETION)).json
    streamed = (await vllm.post("/v1/completions", {**COMPLETION, "stream": True})).events
    assert whole["choices"][0]["text"] == "".join(event["choices"][0]["text"] for event in streamed)
    assert whole["choices"][0]["finish_reason"] == "length"
    assert whole["usage"] == {"prompt_tokens": 4, "total_tokens": 8, "completion_tokens": 4}
    chat = (await vllm.post("/v1/chat/completions", CHAT)).json
    assert chat["object"] == "chat.completion"
    assert chat["system_fingerprint"] == "SIMULATED"
    assert chat["choices"][0]["message"]["role"] == "assistant"
    assert len(chat["choices"][0]["message"]["content"].split()) == 4


async def test_equal_requests_get_equal_texts_and_other_seeds_others(start: Start, connect: Connect) -> None:
    texts = []
    for seed in (1, 1, 2):
        client = await connect(await start(seed=seed))
        texts.append((await client.post("/v1/completions", COMPLETION)).json["choices"][0]["text"])
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("path", "body", "tokens", "finish"),
    [
        ("/v1/completions", {"prompt": "a"}, 16, "length"),
        ("/v1/completions", {"prompt": [5, 6, 7], "max_tokens": 1}, 1, "length"),
        ("/v1/completions", {"prompt": "", "max_tokens": 3}, 3, "length"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}, 128, "stop"),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": "a"}], "max_tokens": 9, "max_completion_tokens": 5},
            5,
            "length",
        ),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a b"}]}], "max_tokens": 2},
            2,
            "length",
        ),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}], "ignore_eos": True}, 8191, "length"),
    ],
)
async def test_how_long_an_answer_is(
    start: Start, connect: Connect, path: str, body: dict[str, object], tokens: int, finish: str
) -> None:
    client = await connect(await start(decode_step=1000))
    answer = (await client.post(path, body)).json
    assert answer["usage"]["completion_tokens"] == tokens
    assert answer["choices"][0]["finish_reason"] == finish


async def test_early_stops_are_a_seeded_share_and_yield_to_ignore_eos(start: Start, connect: Connect) -> None:
    client = await connect(await start(decode_step=1000, early_stops=0.5, seed=4))

    async def ends(**more: object) -> list[tuple[str, int]]:
        found = []
        for number in range(60):
            body = {"prompt": f"number {number}", "max_tokens": 20, **more}
            answer = (await client.post("/v1/completions", body)).json
            found.append((answer["choices"][0]["finish_reason"], answer["usage"]["completion_tokens"]))
        return found

    first = await ends()
    assert first == await ends()
    assert 15 < sum(reason == "stop" for reason, _ in first) < 45
    assert all((reason == "stop") == (tokens < 20) for reason, tokens in first)
    assert set(await ends(ignore_eos=True)) == {("length", 20)}


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/completions", {**COMPLETION, "model": "other"}, 404, "The model `other` does not exist."),
        ("/v1/chat/completions", {**CHAT, "model": "other"}, 404, "The model `other` does not exist."),
        ("/v1/completions", {"model": "tiny"}, 400, "missing required field `prompt`"),
        ("/v1/completions", b"", 400, "missing request body"),
        ("/v1/completions", b"{", 400, "invalid request body"),
        ("/v1/completions", b'{"prompt": "\xff"}', 400, "invalid request body"),
        ("/v1/completions", {**COMPLETION, "max_tokens": "many"}, 400, "Expected `int | null`, got `str`"),
        ("/v1/completions", {**COMPLETION, "max_tokens": 0}, 400, "max_tokens must be at least 1, got 0"),
        ("/v1/completions", {**COMPLETION, "max_tokens": 9000}, 400, "maximum context length is 8192 tokens"),
        ("/v1/completions", {**COMPLETION, "n": 2}, 400, "n must be 1"),
        ("/v1/chat/completions", {**CHAT, "messages": []}, 400, "messages must not be empty"),
    ],
)
async def test_what_is_wrong_is_said(vllm: Client, path: str, body: object, status: int, words: str) -> None:
    response = await vllm.post(path, body)
    assert response.status == status
    assert response.json["object"] == "error"
    assert response.json["code"] == status
    assert response.json["type"] == ("NotFoundError" if status == 404 else "BadRequestError")
    assert words in response.json["message"]
    assert (await vllm.get("/health")).status == 200, "the connection is kept"


async def test_other_paths_and_methods(vllm: Client) -> None:
    assert (await vllm.get("/api/tags")).status == 404
    assert (await vllm.get("/v1/completions")).status == 405


async def test_beyond_the_queue_it_is_busy(start: Start, connect: Connect) -> None:
    server = await start(slots=1, max_queue=1, decode_step=HOUR)
    running, waiting, refused = [await connect(server) for _ in range(3)]
    running.send("POST", "/v1/completions", COMPLETION)
    await until(lambda: len(server.engine.scheduler.batch) == 1)
    waiting.send("POST", "/v1/completions", COMPLETION)
    await until(lambda: len(server.engine.scheduler.waiting) == 1)
    response = await refused.post("/v1/completions", COMPLETION)
    assert (response.status, response.json["type"]) == (503, "ServiceUnavailableError")
    text = (await refused.get("/metrics")).body.decode()
    assert metric(text, "vllm:num_requests_running") == 1
    assert metric(text, "vllm:num_requests_waiting") == 1
    assert metric(text, "vllm:kv_cache_usage_perc") > 0


def metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


async def test_metrics(start: Start, connect: Connect) -> None:
    server = await start(decode_step=20 * MILLISECOND, slots=1)
    whole, streamed, watcher = [await connect(server) for _ in range(3)]
    began = metric((await watcher.get("/metrics")).body.decode(), "process_start_time_seconds")
    whole.send("POST", "/v1/completions", COMPLETION)
    streamed.send("POST", "/v1/completions", {**COMPLETION, "stream": True})
    await whole.response()
    await streamed.response()
    text = (await watcher.get("/metrics")).body.decode()
    assert metric(text, "process_start_time_seconds") == began
    assert metric(text, "vllm:num_requests_running") == 0
    assert metric(text, "vllm:kv_cache_usage_perc") == metric(text, "vllm:num_preemptions_total") == 0
    assert metric(text, "vllm:prefix_cache_queries_total") == metric(text, "vllm:prefix_cache_hits_total") == 0
    assert metric(text, "vllm:prompt_tokens_total") == 8
    assert metric(text, "vllm:generation_tokens_total") == 8
    assert metric(text, "vllm:time_to_first_token_seconds_count") == 2
    assert metric(text, "vllm:inter_token_latency_seconds_count") == 6
    assert metric(text, "vllm:inter_token_latency_seconds_sum") == pytest.approx(0.12)
    assert metric(text, "vllm:e2e_request_latency_seconds_count") == 2
    assert metric(text, "vllm:request_queue_time_seconds_sum") > 0
    assert 'finished_reason="length"} 2' in text
    # One write for the whole answer and four for the streamed one.
    assert metric(text, "enginebench_simulator_lateness_seconds_count") == 5
    assert 0 < metric(text, "enginebench_simulator_lateness_seconds_max") < 1
    bounds = [float(bound) for bound in re.findall(r'lateness_seconds_bucket\{le="([\d.e-]+)"', text)]
    assert len(bounds) == 61
    assert all(low < high for low, high in pairwise(bounds))


async def test_a_known_beginning_of_a_prompt_takes_no_time(start: Start, connect: Connect) -> None:
    client = await connect(await start(prefill_per_token=10 * MILLISECOND, prefix_caching=True))
    prompt = " ".join(f"w{n}" for n in range(33))
    took = []
    for _ in range(2):
        began = asyncio.get_running_loop().time()
        await client.post("/v1/completions", {**COMPLETION, "prompt": prompt, "max_tokens": 1})
        took.append(asyncio.get_running_loop().time() - began)
    text = (await client.get("/metrics")).body.decode()
    assert metric(text, "vllm:prefix_cache_queries_total") == 66
    assert metric(text, "vllm:prefix_cache_hits_total") == 32
    assert took[0] > 0.33  # 33 tokens, then one
    assert took[1] < took[0]


async def test_tokens_come_when_the_model_says(start: Start, connect: Connect) -> None:
    """On the real clock: never before their time. (How late is the bench's question.)"""
    client = await connect(await start(decode_step=20 * MILLISECOND, prefill_per_token=5 * MILLISECOND))
    loop = asyncio.get_running_loop()
    began = loop.time()
    client.send("POST", "/v1/completions", {**COMPLETION, "stream": True})
    await client.head()
    times = []
    while await client.chunk():
        times.append(loop.time() - began)
    for number, at in enumerate(times[:4]):
        assert at >= 0.02 + 0.02 * (number + 1)


async def test_what_is_behind_an_api_key(start: Start, connect: Connect) -> None:
    client = await connect(await start(api_key="sk-1"))
    for headers, status in (
        ("", 401),
        ("Authorization: Bearer sk-2\r\n", 401),
        ("Authorization: Bearer sk-1\r\n", 200),
    ):
        client.send("GET", "/v1/models", headers=headers)
        response = await client.response()
        assert response.status == status
        assert (response.json == {"error": "Unauthorized"}) == (status == 401)
    assert (await client.get("/health")).status == 200
