"""Everything that is asked over HTTP, asked over TLS: the same figures, and what is wrong is said in words."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from enginebench.api.loadplan import TOKEN_VARIABLE, AccessPlan, LoadPlan, PointPlan
from enginebench.loadgen import dataset, verify
from enginebench.loadgen.access import address_of
from enginebench.loadgen.address import Address
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.point import Site, measure
from enginebench.loadgen.verify import resolved
from enginebench.results.messages import EngineReport
from tests.unit.loadgen.listener import Log
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.servers import API, Asked, Client, Handler, TimedEngine, one_token, serving
from tests.unit.loadgen.tls import HOST, Authority, of_leaf

TOKEN = "sk-4711-abcdefgh"
KEY = "key token of Secret my-key"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    log.close()


def engine(completion: Handler, token: str = "") -> Handler:
    """Serves `tiny` and `m` to whoever has the token."""
    pages = {"/v1/models": b'{"data":[{"id":"tiny"},{"id":"m"}]}', "/version": b'{"version":"1"}'}

    async def handler(asked: Asked, client: Client) -> None:
        if token and asked.headers.get("authorization") != f"Bearer {token}":
            await client.reply(b'{"error":"Unauthorized"}', 401)
        elif (path := asked.path.removeprefix("/llm")) in pages:
            await client.reply(pages[path])
        else:
            await completion(asked, client)

    return handler


async def completing(asked: Asked, client: Client) -> None:
    await client.stream(one_token().replace(b'"m"', b'"tiny"'))


def reached(what: LoadPlan, token: str = "") -> Address:
    return address_of(what, {TOKEN_VARIABLE: f"{token}\n"} if token else {})


async def verified(what: LoadPlan, log: Log, token: str = "") -> EngineReport:
    rows, _ = dataset.read(what.dataset, chat=False)
    return await verify.verify(what, reached(what, token), rows, log.speaker)


async def refused(what: LoadPlan, log: Log, token: str = "") -> tuple[str, str]:
    """Reason and message of the failure."""
    with pytest.raises(GaveUp) as failure:
        await verified(what, log, token)
    return failure.value.reason, str(failure.value)


def secured(url: str, access: AccessPlan, token_from: str = "", **changes: Any) -> LoadPlan:
    return plan(url, api=API, access=msgspec.structs.replace(access, token_from=token_from), **changes)


# It works


async def test_an_endpoint_behind_a_token_is_verified_and_measured(authority: Authority, log: Log) -> None:
    timed = TimedEngine(ttft=0.02, gap=0.005, tokens=10)
    async with serving(engine(timed, TOKEN), tls=authority.context()) as server:
        what = secured(f"{server.url}/llm", authority.access, KEY, model="m")
        report = await verified(what, log, TOKEN)
        address = reached(what, TOKEN)
        rows, _ = dataset.read(what.dataset, chat=False)
        site = Site(
            plan=what,
            address=await resolved(address),
            bodies=Bodies(what, address, rows),
            engine_start=_none,
            interrupt=asyncio.Event(),
            say=lambda _stage, _words: None,
        )
        point = await measure(site, PointPlan(index=0, concurrency=8))
    assert report.effective == {"tls": "TLSv1.3", "certificate": "verified"}
    assert point is not None
    assert point.requests.succeeded > 8
    assert point.requests.errored == point.requests.incomplete == point.evidence.replayed == 0
    assert isinstance(point.ttft.p50, float)
    assert isinstance(point.inter_event_gap.p50, float)
    assert point.ttft.p50 >= 19
    assert point.inter_event_gap.p50 >= 4
    posts = [asked for asked in server.asked if asked.method == "POST"]
    assert len({asked.connection for asked in posts}) == 1 + 8  # one verifies, and each user keeps its own
    assert {asked.headers["host"] for asked in server.asked} == {f"{HOST}:{server.port}"}
    others = {asked.path for asked in server.asked if not asked.path.startswith("/llm/v1/")}
    assert others <= {"/llm/version", "/llm/metrics"}


async def _none() -> float | None:
    return None


async def test_without_a_check_the_status_says_so(authority: Authority, log: Log) -> None:
    async with serving(engine(completing), tls=authority.context("else.example", days=-2)) as server:
        report = await verified(secured(server.url, AccessPlan(verify_certificate=False)), log)
    assert report.effective["certificate"] == "NOT VERIFIED (endpoint.tls.insecureSkipVerify)"


async def test_the_server_s_own_certificate_may_be_the_one_to_trust(authority: Authority, log: Log) -> None:
    context, pem = of_leaf(authority.leaf(HOST))
    async with serving(engine(completing), tls=context) as server:
        report = await verified(secured(server.url, authority.trusting(pem)), log)
    assert report.effective["certificate"] == "verified"


def trusted_by_default(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", authority.access.ca_file)  # where OpenSSL looks for the system's CAs


async def test_the_system_s_own_cas_are_trusted(
    authority: Authority, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted_by_default(authority, monkeypatch)
    async with serving(engine(completing), tls=authority.context()) as server:
        assert (await verified(secured(server.url, AccessPlan()), log)).effective["certificate"] == "verified"


async def test_a_named_ca_takes_the_place_of_the_system_s(
    authority: Authority, log: Log, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    trusted_by_default(authority, monkeypatch)
    other = Authority(tmp_path_factory.mktemp("other"))
    async with serving(engine(completing), tls=authority.context()) as server:
        reason, _ = await refused(secured(server.url, other.access), log)
    assert reason == "CertificateRefused"


# It is refused


async def test_a_certificate_of_an_unknown_ca_names_the_cure(authority: Authority, log: Log, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    async with serving(engine(completing), tls=authority.context()) as server:
        without = await refused(secured(server.url, AccessPlan(), startup_seconds=60), log)
        wrong = await refused(secured(server.url, other.access, startup_seconds=60), log)
    assert without == (
        "CertificateRefused",
        f"The TLS certificate of {server.url} is refused: it is signed by nobody who is trusted. Put the CA that "
        "signed it into a ConfigMap, and name that in endpoint.tls.caConfigMapRef.",
    )
    assert wrong[0] == "CertificateRefused"
    assert wrong[1].endswith("Put the CA that signed it into the key ca.crt of ConfigMap my-ca.")
    assert not server.asked


@pytest.mark.parametrize(
    ("hosts", "days", "words"),
    [
        ((HOST,), -2, "it has expired. Have it renewed."),
        (("else.example",), 30, "Give endpoint.url the name that it is made for."),
        (("10.1.2.3",), 30, "it is made for another IP address (IP address mismatch, certificate is not valid for"),
    ],
)
async def test_a_bad_certificate_is_told_at_once(
    hosts: tuple[str, ...], days: int, words: str, authority: Authority, log: Log
) -> None:
    async with serving(engine(completing), tls=authority.context(*hosts, days=days)) as server:
        reason, message = await refused(secured(server.url, authority.access, startup_seconds=60), log)
    assert reason == "CertificateRefused"
    assert words in message


async def test_a_name_that_the_certificate_lacks_is_told(authority: Authority, log: Log) -> None:
    async with serving(engine(completing), tls=authority.context("else.example")) as server:
        url = server.url.replace(HOST, "localhost")
        _, message = await refused(secured(url, authority.access, startup_seconds=60), log)
    assert "made for another host (Hostname mismatch, certificate is not valid for 'localhost'.)" in message


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "the server does not speak TLS on this port"),
        (b"", "the server closed the connection"),
    ],
)
async def test_a_server_without_tls_is_told(answer: bytes, words: str, log: Log) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(connected, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        said = await refused(secured(f"https://{HOST}:{port}", AccessPlan(), startup_seconds=1), log)
    assert said[0] == "EngineNotReady"
    assert f"did not list its models within 1 s: {words}. " in said[1]


async def test_a_server_with_tls_that_is_asked_without_is_told(authority: Authority, log: Log) -> None:
    async with serving(engine(completing), tls=authority.context()) as server:
        url = server.url.replace("https", "http")
        reason, message = await refused(plan(url, api=API, startup_seconds=1), log)
    assert reason == "EngineNotReady"
    assert "Look whether it runs, speaks plain HTTP there and not TLS, and is reached from this namespace" in message


async def test_a_server_that_wants_a_client_certificate_is_told(authority: Authority, log: Log) -> None:
    def serve(listening: socket.socket) -> None:
        """As most do, it says by an alert why it refuses; uvloop's server says nothing."""
        context = authority.asking_for_ours()
        with suppress(OSError):
            while True:
                accepted, _ = listening.accept()
                with suppress(ssl.SSLError), context.wrap_socket(accepted, server_side=True):
                    pass

    with socket.create_server((HOST, 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        url = f"https://{HOST}:{listening.getsockname()[1]}"
        reason, message = await refused(secured(url, authority.access, startup_seconds=1), log)
        listening.shutdown(socket.SHUT_RDWR)
        await asyncio.to_thread(server.join, 10)
    assert reason == "EngineNotReady"
    assert "the server asks for a client certificate, which is not supported" in message


async def test_a_token_that_is_not_accepted_is_told_at_once(authority: Authority, log: Log) -> None:
    async with serving(engine(completing, TOKEN), tls=authority.context()) as server:
        wrong = await refused(secured(server.url, authority.access, KEY, startup_seconds=60), log, "sk-0815-stale")
        none = await refused(secured(server.url, authority.access, startup_seconds=60), log)
    assert wrong == (
        "Unauthorized",
        f"{server.url} refuses us: GET /v1/models: HTTP 401: Unauthorized. It does not accept the key token of Secret "
        "my-key. Put a valid token into it, and run again.",
    )
    assert none[0] == "Unauthorized"
    assert none[1].endswith("name the Secret that holds it in endpoint.tokenSecretRef.")


@pytest.mark.parametrize("held", ["", " \n", "two words", 'quo"ted', "back\\slash", "ümlaut", "a\r\nX-Evil: 1"])
def test_what_is_no_token_is_refused_without_being_shown(held: str) -> None:
    what = secured("https://a", AccessPlan(), KEY)
    with pytest.raises(ValueError, match=KEY) as failure:
        address_of(what, {TOKEN_VARIABLE: held})
    assert not held.strip() or held not in str(failure.value)


@pytest.mark.parametrize("pem", [b"", b"not a certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_what_is_no_ca_is_refused(pem: bytes, authority: Authority) -> None:
    with pytest.raises(ValueError, match=r"key ca\.crt of ConfigMap my-ca holds no certificates in PEM form"):
        address_of(secured("https://a", authority.trusting(pem)), {})


def test_a_token_does_not_show_in_an_address() -> None:
    address = address_of(secured("https://a", AccessPlan(), KEY), {TOKEN_VARIABLE: TOKEN})
    assert address.authorization == f"Authorization: Bearer {TOKEN}\r\n"
    assert TOKEN not in repr(address)


# The connection
