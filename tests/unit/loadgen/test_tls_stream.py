"""Answers that come over TLS, record by record, and requests that leave over it."""

import asyncio
import socket
import ssl
import threading
from time import sleep

import pytest

from enginebench.api.loadplan import AccessPlan
from enginebench.loadgen.access import tls_context
from enginebench.loadgen.connection import Connection, SocketAddress, connect
from enginebench.loadgen.gaps import Gaps
from enginebench.loadgen.routes import ROUTES
from enginebench.results.record import RequestRecord
from tests.unit.loadgen.servers import API, Asked, Client, Gone, Handler, one_token, serving
from tests.unit.loadgen.tls import HOST, Authority
from tests.unit.loadgen.wire import content, ending, event


class Heard:
    """Listens to the requests of one connection."""

    def __init__(self) -> None:
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.gaps = Gaps()

    def served_by(self, model: str) -> None:
        """Not of interest."""

    def ended(self, connection: Connection, record: RequestRecord) -> None:
        self.over.set_result(record.error)

    def lost(self, connection: Connection, record: RequestRecord | None, why: str) -> None:
        if not self.over.done():
            self.over.set_result(why)


REQUEST = b"GET /v1/completions HTTP/1.1\r\nHost: x\r\n\r\n"


def to(port: int, access: AccessPlan | None) -> SocketAddress:
    where = (HOST, port)
    return SocketAddress(socket.AF_INET, where, tls_context(access) if access is not None else None, HOST)


async def asked_once(handler: Handler, authority: Authority) -> tuple[RequestRecord, str]:
    """The record of one request, and what went wrong."""
    async with serving(handler, tls=authority.context()) as server:
        heard = Heard()
        connection = await connect(to(server.port, authority.access), ROUTES[API], heard)
        record = RequestRecord(start=0)
        connection.send(REQUEST, record)
        async with asyncio.timeout(10):
            why = await heard.over
        connection.close()
    return record, why


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
async def test_records_that_cut_events_lose_none(size: int, authority: Authority) -> None:
    body = b"".join([*[event(API, content(API, "word"))] * 5, *ending(API, 5)])
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def cutting(asked: Asked, client: Client) -> None:
        for at in range(0, len(response), size):  # each write is a record of its own
            await client.send(response[at : at + size])

    record, why = await asked_once(cutting, authority)
    assert (why, record.events, record.output_tokens, record.outcome) == ("", 5, 5, "succeeded")


@pytest.mark.parametrize("farewell", [True, False])
async def test_a_body_that_ends_with_the_connection_is_whole_if_it_says_so(
    farewell: bool, authority: Authority
) -> None:
    """Some servers close TCP without TLS's close_notify; whether the answer was whole, its last event says."""

    async def closing(asked: Asked, client: Client) -> None:
        await client.send(b"HTTP/1.1 200 OK\r\n\r\n" + one_token())
        await end(client, farewell=farewell)

    record, why = await asked_once(closing, authority)
    assert (why, record.outcome, record.output_tokens) == ("", "succeeded", 1)


@pytest.mark.parametrize("farewell", [True, False])
async def test_an_answer_that_is_cut_is_an_error(farewell: bool, authority: Authority) -> None:
    async def cutting(asked: Asked, client: Client) -> None:
        await client.begin()
        await client.chunk(event(API, content(API, "word")))
        await end(client, farewell=farewell)

    record, why = await asked_once(cutting, authority)
    assert record.outcome == "errored"
    assert why == "the connection was closed in the middle of the response"


async def end(client: Client, *, farewell: bool) -> None:
    """Close the connection, by TLS's own rules or without a word."""
    if farewell:
        client.close()
        await asyncio.sleep(1)
    await asyncio.sleep(0.05)  # what was written is read before the reset
    raise Gone


@pytest.mark.parametrize("secure", [False, True])
async def test_a_request_leaves_before_the_loop_does_anything_else(secure: bool, authority: Authority) -> None:
    """Else the engine would be charged with what the client had to do for others."""
    arrived = threading.Event()

    def serve_one(listening: socket.socket, context: ssl.SSLContext) -> None:
        accepted, _ = listening.accept()
        with context.wrap_socket(accepted, server_side=True) if secure else accepted as client:
            client.settimeout(10)
            if client.recv(100) == REQUEST:
                arrived.set()

    with socket.create_server((HOST, 0)) as listening:
        server = threading.Thread(target=serve_one, args=(listening, authority.context()))
        server.start()
        port = listening.getsockname()[1]
        connection = await connect(to(port, authority.access if secure else None), ROUTES[API], Heard())
        await asyncio.sleep(0.1)
        connection.send(REQUEST, RequestRecord(start=0))
        deadline = 100
        while not arrived.is_set() and deadline:
            sleep(0.05)  # noqa: ASYNC251  # the loop does not run
            deadline -= 1
        connection.close()
        await asyncio.to_thread(server.join, 10)
    assert arrived.is_set()
