"""HTTP/1.1 on a kept connection, and requests that are none."""

import asyncio
import socket
from typing import cast

import pytest

from enginebench.simulator.http import Connection, HttpError, Request
from tests.unit.simulator.client import Client
from tests.unit.simulator.conftest import Connect, Start, until

COMPLETION = {"model": "tiny", "prompt": "a b c", "max_tokens": 2}


async def test_one_connection_serves_request_after_request(vllm: Client) -> None:
    for stream in (True, False, True):
        response = await vllm.post("/v1/completions", {**COMPLETION, "stream": stream})
        assert response.status == 200
        assert response.headers["x-enginebench-simulated"] == "true"
    assert (await vllm.get("/health")).status == 200


async def test_a_second_request_sent_early_is_answered_after_the_first(vllm: Client) -> None:
    vllm.send("POST", "/v1/completions", {**COMPLETION, "stream": True})
    vllm.send("GET", "/version")
    assert len((await vllm.response()).events) == 2
    assert (await vllm.response()).json == {"version": "0.0.0-simulated"}


async def test_a_request_may_come_byte_by_byte(vllm: Client) -> None:
    for byte in b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n":
        vllm.writer.write(bytes([byte]))
        await asyncio.sleep(0)
    assert (await vllm.response()).status == 200


async def test_connection_close_is_honoured(vllm: Client) -> None:
    response = await vllm.ask("POST", "/v1/completions", {**COMPLETION, "stream": True}, "Connection: close\r\n")
    assert response.headers["connection"] == "close"
    assert await vllm.reader.read() == b""


async def test_expect_100_continue(vllm: Client) -> None:
    body = b'{"model":"tiny","prompt":"a"}'
    vllm.writer.write(
        b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    assert await vllm.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    vllm.writer.write(body)
    assert (await vllm.response()).status == 200


async def test_the_query_is_no_part_of_the_path(vllm: Client) -> None:
    assert (await vllm.get("/version?verbose=1")).status == 200


@pytest.mark.parametrize(
    ("sent", "status", "words"),
    [
        (b"hello\r\n\r\n", 400, "the request line must be: METHOD /path HTTP/1.1"),
        (b"GET / HTTP/1.0\r\n\r\n", 505, "only HTTP/1.1"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "a header must be: Name: value"),
        (b"POST / HTTP/1.1\r\nContent-Length: ten\r\n\r\n", 400, "Content-Length must be a number"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "Content-Length must be a number"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413, "larger than"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411, "Content-Length"),
        (b"GET /" + b"x" * 70_000, 431, "longer than 65536 bytes"),
    ],
)
async def test_what_is_no_request_is_told_so_and_ends_the_connection(
    vllm: Client, sent: bytes, status: int, words: str
) -> None:
    vllm.writer.write(sent)
    response = await vllm.response()
    assert response.status == status
    assert words in response.json["message"]
    assert response.headers["connection"] == "close"
    assert await vllm.reader.read() == b""


@pytest.mark.parametrize("dialect", ["vLLM", "Ollama"])
async def test_who_goes_away_frees_the_slot(start: Start, connect: Connect, dialect: str) -> None:
    server = await start(api=dialect, slots=1, context_length=1 << 20)
    path = "/v1/completions" if dialect == "vLLM" else "/api/generate"
    endless = {**COMPLETION, "stream": True, "max_tokens": 100_000, "options": {"num_predict": 100_000}}
    leaver, waiter = await Client.connect(server.port), await Client.connect(server.port)
    leaver.send("POST", path, endless)
    await leaver.head()
    waiter.send("POST", path, endless)
    scheduler = server.engine.scheduler
    await until(lambda: bool(scheduler.waiting))
    await waiter.close()
    await until(lambda: not scheduler.waiting)
    await leaver.close()
    await until(lambda: not scheduler.batch)
    assert (await (await connect(server)).post(path, COMPLETION)).status == 200


class FullSocketTransport:
    """A transport over one end of a socket pair, which keeps what it is given until `drained`."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.kept = b""

    def get_extra_info(self, name: str) -> socket.socket | None:
        return self.end if name == "socket" else None

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return len(self.kept)

    def write(self, data: bytes) -> None:
        self.kept += data


def test_what_the_socket_does_not_take_follows_in_order() -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        transport = FullSocketTransport(near)
        connection = Connection(Application())
        connection.connection_made(cast(asyncio.BaseTransport, transport))
        events = [b"%06d," % number * 100 for number in range(2000)]
        for event in events:
            connection.send(event)
        kept, transport.kept = transport.kept, b""
        assert kept, "1.4 MB do not fit into a socket pair"
        near.shutdown(socket.SHUT_WR)
        taken = b"".join(iter(lambda: far.recv(1 << 20), b""))
        assert taken
        assert taken + kept == b"".join(events)


class Application:
    """Is never asked."""

    def handle(self, request: Request, connection: Connection) -> None:
        raise AssertionError(request, connection)

    def error(self, error: HttpError, path: str) -> tuple[bytes, bytes]:
        raise AssertionError(error, path)
