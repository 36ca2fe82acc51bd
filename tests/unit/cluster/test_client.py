"""The client against a server on the loopback: what it sends, and what it makes of the answers."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from enginebench.cluster.api import ApiError, Unavailable
from enginebench.cluster.client import Client

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers every request with `answer`, and keeps what was asked."""

    def __init__(self) -> None:
        self.answer: Answer = self._nothing
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.asked.append((request.method, request.path_qs, dict(request.headers), json.loads(text) if text else None))
        return await self.answer(request)

    def says(self, status: int, body: Any) -> None:
        async def answer(_: web.Request) -> web.StreamResponse:
            return web.json_response(body, status=status)

        self.answer = answer

    async def _nothing(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({})


@pytest.fixture
async def server() -> AsyncIterator[tuple[Server, Client]]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    config = Configuration()
    config.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    config.api_key["BearerToken"] = "bearer secret"
    async with Client(config) as client:
        yield server, client
    await runner.cleanup()


Pair = tuple[Server, Client]


async def test_get(server: Pair) -> None:
    there, client = server
    there.says(200, {"kind": "Pod", "unknown": [1, None]})
    assert await client.get("Pod", "ns", "p") == {"kind": "Pod", "unknown": [1, None]}
    method, path, headers, _ = there.asked[0]
    assert (method, path) == ("GET", "/api/v1/namespaces/ns/pods/p")
    assert headers["Authorization"] == "bearer secret"


async def test_what_is_not_there_is_none(server: Pair) -> None:
    there, client = server
    there.says(404, {"kind": "Status", "reason": "NotFound", "message": "no"})
    assert await client.get("Node", "", "n") is None
    assert there.asked[0][1] == "/api/v1/nodes/n"


@pytest.mark.parametrize(
    ("kind", "path", "metadata_only"),
    [
        ("BenchmarkRun", "/apis/enginebench.dev/v1alpha1/namespaces/ns/benchmarkruns", False),
        ("Pod", "/api/v1/namespaces/ns/pods", False),
        ("Job", "/apis/batch/v1/namespaces/ns/jobs", False),
        ("ConfigMap", "/api/v1/namespaces/ns/configmaps", True),
        ("Service", "/api/v1/namespaces/ns/services", True),
    ],
)
async def test_list(server: Pair, kind: Any, path: str, metadata_only: bool) -> None:
    there, client = server
    there.says(200, {"items": [{"metadata": {"name": "a"}}]})
    assert await client.list(kind, "ns", labels="a/b=c") == [{"metadata": {"name": "a"}}]
    _, asked, headers, _ = there.asked[0]
    assert asked == f"{path}?labelSelector=a/b%3Dc"
    assert ("PartialObjectMetadataList" in headers["Accept"]) is metadata_only


async def test_an_older_server_has_workloads_of_an_older_version(server: Pair) -> None:
    there, client = server

    async def answer(request: web.Request) -> web.StreamResponse:
        if "v1beta2" in request.path:
            return web.Response(status=404, text="404 page not found")
        return web.json_response({"items": [{"metadata": {"name": "w"}}]})

    there.answer = answer
    assert await client.list("Workload", "ns", labels="a=b") == [{"metadata": {"name": "w"}}]
    assert [asked[1].partition("?")[0] for asked in there.asked] == [
        f"/apis/kueue.x-k8s.io/{version}/namespaces/ns/workloads" for version in ("v1beta2", "v1beta1")
    ]


async def test_list_of_events_of_an_object_and_of_all_namespaces(server: Pair) -> None:
    there, client = server
    there.says(200, {"items": None})
    assert await client.list("Event", "ns", fields="involvedObject.uid=1") == []
    assert await client.list("BenchmarkRun", "") == []
    assert [asked[1] for asked in there.asked] == [
        "/api/v1/namespaces/ns/events?fieldSelector=involvedObject.uid%3D1",
        "/apis/enginebench.dev/v1alpha1/benchmarkruns",
    ]


async def test_create_and_status(server: Pair) -> None:
    there, client = server
    run = {"metadata": {"namespace": "ns", "name": "r", "resourceVersion": "7"}, "status": {"phase": "Running"}}
    await client.create("Pod", "ns", {"metadata": {"name": "p"}})
    await client.replace_status(run)
    assert [(method, path, body) for method, path, _, body in there.asked] == [
        ("POST", "/api/v1/namespaces/ns/pods", {"metadata": {"name": "p"}}),
        ("PUT", "/apis/enginebench.dev/v1alpha1/namespaces/ns/benchmarkruns/r/status", run),
    ]


@pytest.mark.parametrize("status", [200, 404, 409])
async def test_delete_names_the_object_exactly(server: Pair, status: int) -> None:
    there, client = server
    there.says(status, {"kind": "Status"})
    await client.delete("Job", "ns", "j", uid="u")
    method, path, _, body = there.asked[0]
    assert (method, path) == ("DELETE", "/apis/batch/v1/namespaces/ns/jobs/j")
    assert body["preconditions"] == {"uid": "u"}
    assert body["propagationPolicy"] == "Background"


async def test_a_refusal_has_the_servers_words(server: Pair) -> None:
    there, client = server
    there.says(422, {"kind": "Status", "reason": "Invalid", "message": "spec: wrong"})
    with pytest.raises(ApiError, match="spec: wrong") as refused:
        await client.create("Pod", "ns", {"metadata": {"name": "p"}})
    assert (refused.value.status, refused.value.reason) == (422, "Invalid")


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503, 504])
async def test_what_may_pass_is_unavailable(server: Pair, status: int) -> None:
    there, client = server
    there.says(status, ["not a Status"])
    with pytest.raises(Unavailable, match=str(status)) as raised:
        await client.list("Pod", "ns")
    assert raised.value.status == status


async def test_no_server_is_unavailable() -> None:
    config = Configuration()
    config.host = "http://127.0.0.1:1"
    async with Client(config) as client:
        with pytest.raises(Unavailable) as raised:
            await client.get("Pod", "ns", "p")
    assert raised.value.status is None


async def test_log_lines_are_cut_at_newlines_only(server: Pair) -> None:
    there, client = server

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in (b"one\ntw", b"o\n\nthr", b"ee"):
            await response.write(chunk)
        return response

    there.answer = answer
    lines = [line async for line in client.log_lines("ns", "p", "load", follow=True)]
    assert lines == [b"one", b"two", b"", b"three"]
    assert there.asked[0][1] == "/api/v1/namespaces/ns/pods/p/log?container=load&follow=true"


async def test_a_line_without_end_does_not_fill_the_memory(server: Pair) -> None:
    there, client = server

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 1_000_000)

    there.answer = answer
    assert max([len(line) async for line in client.log_lines("ns", "p", "load", follow=False)]) < 1_000_000


async def test_a_log_that_breaks_off_is_unavailable(server: Pair) -> None:
    there, client = server

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    there.answer = answer
    lines = []
    with pytest.raises(Unavailable):
        lines = [line async for line in client.log_lines("ns", "p", "load", follow=True)]
    assert lines == []


async def test_beginning_of_an_engines_log(server: Pair) -> None:
    there, client = server

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"caf\xc3\xa9 \xff")

    there.answer = answer
    assert await client.pod_log("ns", "p", limit_bytes=99) == "caf\u00e9 \ufffd"
    assert there.asked[0][1] == "/api/v1/namespaces/ns/pods/p/log?container=engine&limitBytes=99"


async def test_openshift_is_known_by_its_api_group(server: Pair) -> None:
    there, client = server
    assert await client.serves("security.openshift.io")
    there.says(404, {})
    assert not await client.serves("security.openshift.io")
