"""The reference server: it speaks vLLM's shape, and what it says of its own timing is so.

No test here depends on how busy the machine is: what the client times contains what the server says, always.
"""

import http.client
import json
import os
import random
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench import reference
from bench.reference import Reference

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, reference.COMPILERS)), reason="no C compiler here to build the reference server with"
)
SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
TTFT, ITL, TOKENS = 0.05, 0.01, 8


@pytest.fixture(scope="module")
def program() -> Path:
    return reference.build()


@pytest.fixture
def server(program: Path) -> Iterator[Reference]:
    with reference.running(program) as running:
        yield running


@pytest.fixture
def sanitized() -> Iterator[Reference]:
    """With the sanitizers: whatever a client does to it, it must live."""
    with reference.running(reference.build(SANITIZED), options=("--ttft-ms", "1", "--itl-ms", "1")) as running:
        yield running
        assert running.counters().dropped_samples == 0


def body(**fields: Any) -> bytes:
    document = {"model": "reference", "stream": True, "max_tokens": TOKENS, **fields}
    return json.dumps(document).encode()


CHAT = {"messages": [{"role": "user", "content": "four words of text"}]}


def request(path: str, content: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def ask(server: Reference, method: str, path: str, content: bytes | None = None) -> tuple[int, str, str]:
    """Status, content type and text of the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request(method, path, content)
        response = connection.getresponse()
        return response.status, response.headers["content-type"], response.read().decode()


def events(server: Reference, path: str, content: bytes) -> list[Any]:
    """The decoded events; the last one is the word [DONE]."""
    status, kind, text = ask(server, "POST", path, content)
    assert status == 200
    assert kind.startswith("text/event-stream")
    lines = text.split("\n\n")
    assert lines.pop() == ""
    datas = [line.removeprefix("data: ") for line in lines]
    assert datas.pop() == "[DONE]"
    return [json.loads(data) for data in datas]


def test_chat_stream(server: Reference) -> None:
    role, *content, usage = events(server, "/v1/chat/completions", body(**CHAT, stream_options={"include_usage": True}))
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len(content) == TOKENS
    assert all(event["object"] == "chat.completion.chunk" and event["model"] == "reference" for event in content)
    assert all(event["choices"][0]["delta"]["content"].strip() for event in content)
    assert [event["choices"][0]["finish_reason"] for event in content] == [None] * (TOKENS - 1) + ["length"]
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 4, "total_tokens": 4 + TOKENS, "completion_tokens": TOKENS}


def test_completion_stream(server: Reference) -> None:
    content = events(server, "/v1/completions", body(prompt="two words", max_tokens=None, max_completion_tokens=3))
    assert len(content) == 3
    assert all(event["choices"][0]["text"].strip() and "usage" not in event for event in content)


def test_usage_on_every_event(server: Reference) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    content = events(server, "/v1/completions", body(prompt="two words", max_tokens=2, stream_options=options))
    assert [event["usage"]["completion_tokens"] for event in content] == [1, 2, 2]


def test_not_streamed(server: Reference) -> None:
    document = json.loads(ask(server, "POST", "/v1/chat/completions", body(**CHAT, stream=False))[2])
    assert document["choices"][0]["finish_reason"] == "length"
    assert len(document["choices"][0]["message"]["content"].split()) == TOKENS
    assert document["usage"]["completion_tokens"] == TOKENS


def test_what_clients_ask_first(server: Reference) -> None:
    for path, status in (("/v1/models", 200), ("/health", 200), ("/metrics", 404)):
        assert ask(server, "GET", path)[0] == status
    assert json.loads(ask(server, "GET", "/v1/models")[2])["data"][0]["id"] == "reference"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /v1/completions HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST /v1/completions HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n", 413),
        (b"GET /" + b"x" * 70_000, 431),
        (request("/v1/completions", b'{"prompt": "cut'), 400),
    ],
)
def test_refusals(sanitized: Reference, text: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", sanitized.port), timeout=30) as client:
        client.sendall(text)
        assert client.recv(65536).startswith(f"HTTP/1.1 {status} ".encode())


def test_any_cut_of_the_request(sanitized: Reference) -> None:
    text = request("/v1/completions", body(prompt="a", max_tokens=1))
    with socket.create_connection(("127.0.0.1", sanitized.port), timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(text), 7):
            client.sendall(text[:cut])
            client.sendall(text[cut:])
            answer = b""
            while not answer.endswith(b"\r\n0\r\n\r\n"):
                answer += client.recv(65536)
            assert answer.count(b"data: ") == 2


def test_pipelined_requests_are_answered_in_turn(sanitized: Reference) -> None:
    with socket.create_connection(("127.0.0.1", sanitized.port), timeout=30) as client:
        client.sendall(request("/v1/completions", body(prompt="a", max_tokens=2)) * 3)
        answer = b""
        while answer.count(b"\r\n0\r\n\r\n") < 3:
            answer += client.recv(65536)
        assert answer.count(b"HTTP/1.1 200") == 3
        assert answer.count(b"[DONE]") == 3


def test_garbage_and_leavers_do_not_end_it(sanitized: Reference) -> None:
    chance = random.Random(7)  # noqa: S311  # not for secrets
    good = request("/v1/chat/completions", body(**CHAT))
    for _ in range(300):
        text = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            text[chance.randrange(len(text))] = chance.randrange(256)
        with socket.create_connection(("127.0.0.1", sanitized.port), timeout=30) as client:
            client.sendall(bytes(text[: chance.randrange(1, len(text))]))
    assert len(events(sanitized, "/v1/chat/completions", body(**CHAT))) == TOKENS + 1


def test_a_client_that_does_not_read_holds_up_nobody(program: Path) -> None:
    fast = ("--ttft-ms", "0", "--itl-ms", "0.02")
    with reference.running(program, options=fast) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as lazy:
            lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            lazy.sendall(request("/v1/completions", body(prompt="a", max_tokens=1_000_000)))
            wait_for(lambda: server.counters().stalled_writes == 1)
            assert len(events(server, "/v1/completions", body(prompt="a"))) == TOKENS
            assert server.counters().finished == 1
        wait_for(lambda: server.counters().stopped_early == 1)


def wait_for(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Its truth


def timed(server: Reference, count: int) -> Iterator[tuple[float, float]]:
    """(TTFT, latency) in milliseconds of requests one after the other, as a client sees them."""
    text = request("/v1/completions", body(prompt="a", max_tokens=TOKENS))
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        for _ in range(count):
            start, first, answer = time.monotonic(), 0.0, b""
            client.sendall(text)
            while b"[DONE]" not in answer:
                answer += client.recv(65536)
                now = time.monotonic()
                first = first or (now if b"data: " in answer else 0.0)
            yield 1000 * (first - start), 1000 * (now - start)


def test_what_it_says_lies_within_what_a_client_sees(server: Reference) -> None:
    """Request by request: never early, never longer than the client saw it, and the best of them nearly the same."""
    slack = 0.05  # the kernel's time stamp is of the clock of day, which may be slewed
    spare = []
    for ttft, latency in timed(server, 20):
        truth = server.truth()
        server.reset()
        assert (truth.started, truth.finished, truth.tokens, truth.stopped_early) == (1, 1, TOKENS, 0)
        assert truth.ttft.min >= 1000 * TTFT - slack
        assert truth.ttft.max <= ttft + slack
        assert truth.latency.max <= latency + slack
        assert truth.lateness.min >= 0.0
        # A late token does not make the next ones late: the last is due by the clock, not after the one before it.
        assert truth.itl.mean == pytest.approx((truth.latency.mean - truth.ttft.mean) / (TOKENS - 1), abs=1e-3)
        spare.append(ttft - truth.ttft.max)
    assert min(spare) < 1.0


def test_its_own_delays_are_part_of_the_truth(server: Reference) -> None:
    """A server that is stopped while a request arrives owns up to it, though it could not look at the clock."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(b"GET /health HTTP/1.1\r\n\r\n")
        client.recv(65536)  # the connection is known to it
        os.kill(server.pid, signal.SIGSTOP)
        client.sendall(request("/v1/completions", body(prompt="a", max_tokens=1)))
        time.sleep(0.3)
        os.kill(server.pid, signal.SIGCONT)
        answer = b""
        while b"[DONE]" not in answer:
            answer += client.recv(65536)
    truth = server.truth()
    assert truth.ttft.max >= 300
    assert truth.lateness.max >= 250 - 1


def test_quantiles_are_exact_nearest_ranks(program: Path) -> None:
    """Requests of 1 to 10 tokens: the tenths of the latencies are those of the lengths."""
    itl = 50
    with reference.running(program, options=("--ttft-ms", "0", "--itl-ms", str(itl))) as server:
        texts = [request("/v1/completions", body(prompt="a", max_tokens=n)) for n in range(1, 11)]
        clients = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in texts]
        for client, text in zip(clients, texts, strict=True):
            client.sendall(text)
        for client in clients:
            answer = b""
            while b"[DONE]" not in answer:
                answer += client.recv(65536)
            client.close()
        truth = server.truth()
    assert truth.latency.count == truth.finished == 10
    assert truth.gap.count == sum(range(10))
    lateness = truth.lateness.max
    for said, tokens in ((truth.latency.p50, 5), (truth.latency.p90, 9), (truth.latency.p99, 10)):
        assert (tokens - 1) * itl <= said <= (tokens - 1) * itl + lateness
    assert truth.latency.max == truth.latency.p95 == truth.latency.p999


def test_a_reset_leaves_out_what_is_under_way(server: Reference) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(request("/v1/completions", body(prompt="a", max_tokens=20)))
        answer = client.recv(65536)
        assert server.reset().started == 1
        while b"[DONE]" not in answer:
            answer += client.recv(65536)
    truth = server.truth()
    assert (truth.started, truth.finished, truth.tokens) == (0, 0, 0)
    assert truth.tokens_ever == 20
