"""A data set at a URL: a real server over real sockets, which is slow, wrong, gone, or too generous."""

import hashlib
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import monotonic, sleep

import pytest

from enginebench.api.loadplan import DatasetPlan, DownloadPlan, Row
from enginebench.loadgen import dataset
from enginebench.loadgen.download import download
from enginebench.loadgen.errors import GaveUp

BODY = b'{"prompt": "a"}\n' * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
MOST = 1 << 20

Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""What a request is answered with; the number counts the requests from 1."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """Its URL, and the request lines that came."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.requestline)
            self.close_connection = True
            answer(self, len(asked))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def reply(to: BaseHTTPRequestHandler, body: bytes = BODY, status: int = 200, **headers: str) -> None:
    to.send_response(status)
    for name, value in ({"Content_Length": str(len(body))} | headers).items():
        to.send_header(name.replace("_", "-"), value)
    to.end_headers()
    to.wfile.write(body)


def fetch(url: str, sha256: str = SHA256, *, most: int = MOST, within: float = 20.0) -> bytes:
    with download(DownloadPlan(url=url, sha256=sha256), most=most, within=within, pause=0.01) as file:
        return file.read()


def refused(answer: Answer, **changes: float | str) -> tuple[GaveUp, list[str]]:
    with serving(answer) as (url, asked), pytest.raises(GaveUp) as told:
        fetch(f"{url}/p.jsonl?key=hush", **changes)  # type: ignore[arg-type]  # the test's own names
    assert f"{url}/p.jsonl " in str(told.value)
    assert "hush" not in str(told.value)
    return told.value, asked


def test_a_file_comes_whole_and_as_it_is() -> None:
    with serving(lambda to, _: reply(to)) as (url, asked):
        assert fetch(f"{url}/a/p.jsonl?key=x") == BODY
    assert asked == ["GET /a/p.jsonl?key=x HTTP/1.1"]


def test_chunked_and_without_a_length() -> None:
    def chunked(to: BaseHTTPRequestHandler, _: int) -> None:
        to.send_response(200)
        to.send_header("Transfer-Encoding", "chunked")
        to.end_headers()
        for piece in (BODY[:10], BODY[10:]):
            to.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        to.wfile.write(b"0\r\n\r\n")

    def until_the_end(to: BaseHTTPRequestHandler, _: int) -> None:
        to.send_response(200)
        to.end_headers()
        to.wfile.write(BODY)

    for answer in (chunked, until_the_end):
        with serving(answer) as (url, _):
            assert fetch(url) == BODY


def test_redirects_are_followed_but_not_for_ever() -> None:
    def twice(to: BaseHTTPRequestHandler, count: int) -> None:
        reply(to, b"", 302, Location=f"/next{count}") if count < 3 else reply(to)

    with serving(twice) as (url, asked):
        assert fetch(url) == BODY
    assert len(asked) == 3
    told, asked = refused(lambda to, _: reply(to, b"", 302, Location="/again"))
    assert told.reason == "DatasetDownloadFailed"
    assert "HTTP 302" in str(told)
    assert len(asked) < 15


def test_a_redirect_leads_to_no_other_kind_of_address() -> None:
    for place in ("ftp://127.0.0.1/p.jsonl", "file:///etc/passwd"):
        told, _ = refused(lambda to, _, place=place: reply(to, b"", 302, Location=place))  # type: ignore[misc]  # lambda
        assert told.reason == "DatasetDownloadFailed"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(status: int) -> None:
    with serving(lambda to, count: reply(to, b"", status) if count < 4 else reply(to)) as (url, asked):
        assert fetch(url) == BODY
    assert len(asked) == 4
    told, asked = refused(lambda to, _: reply(to, b"", status))
    assert len(asked) == 5
    assert f"cannot be downloaded (5 tries): HTTP {status}" in str(told)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_will_not_pass_is_not(status: int) -> None:
    told, asked = refused(lambda to, _: reply(to, b"", status))
    assert told.reason == "DatasetDownloadFailed"
    assert f"cannot be downloaded: HTTP {status}" in str(told)
    assert len(asked) == 1


def test_another_file_is_refused_with_both_digests() -> None:
    other = BODY + b"\n"
    told, asked = refused(lambda to, _: reply(to, other))
    assert told.reason == "DatasetDigestMismatch"
    for words in (SHA256, hashlib.sha256(other).hexdigest(), f"({len(other)} bytes)"):
        assert words in str(told)
    assert len(asked) == 1


def test_a_torn_file_is_fetched_again_from_its_beginning() -> None:
    def torn(to: BaseHTTPRequestHandler, count: int) -> None:
        reply(to, BODY[:7000] if count < 3 else BODY, Content_Length=str(len(BODY)))

    with serving(torn) as (url, asked):
        assert fetch(url) == BODY
    assert len(asked) == 3
    told, _ = refused(lambda to, _: reply(to, BODY[:7000], Content_Length=str(len(BODY))))
    assert f"(5 tries): the connection ended after 7000 of {len(BODY)} bytes" in str(told)


def test_too_large_is_refused_before_it_comes_or_as_soon_as_it_is() -> None:
    def endless(to: BaseHTTPRequestHandler, _: int) -> None:
        to.send_response(200)
        to.end_headers()
        try:
            while True:
                to.wfile.write(b" " * 65536)
        except OSError:
            pass  # it has hung up, as it should

    def announced(to: BaseHTTPRequestHandler, _: int) -> None:
        reply(to, b"", Content_Length=str(MOST + 1))

    for answer in (endless, announced):
        told, asked = refused(answer)
        assert "it is larger than 1 MiB" in str(told)
        assert len(asked) == 1


def test_a_trickle_ends_with_the_time() -> None:
    def trickle(to: BaseHTTPRequestHandler, _: int) -> None:
        to.send_response(200)
        to.send_header("Content-Length", str(len(BODY)))
        to.end_headers()
        try:
            for byte in BODY:
                to.wfile.write(bytes([byte]))
                sleep(0.02)
        except OSError:
            pass  # it has hung up, as it should

    began = monotonic()
    told, _ = refused(trickle, within=0.5)
    assert "not complete in time" in str(told)
    assert monotonic() - began < 15


def test_nobody_there() -> None:
    with serving(lambda to, _: None) as (url, _):
        pass
    with pytest.raises(GaveUp, match=r"cannot be downloaded \(5 tries\): Connection refused") as told:
        fetch(url)
    assert told.value.reason == "DatasetDownloadFailed"


def test_the_way_leads_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda to, _: reply(to)) as (proxy, asked):
        monkeypatch.setenv("http_proxy", proxy)
        assert fetch("http://files.example.invalid/p.jsonl") == BODY
        monkeypatch.setenv("no_proxy", ".invalid")
        with pytest.raises(GaveUp):
            fetch("http://files.example.invalid/p.jsonl", within=0.0)
    assert asked == ["GET http://files.example.invalid/p.jsonl HTTP/1.1"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=test"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_https_by_the_authorities_of_the_system(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with serving(lambda to, _: reply(to), context) as (url, _):
        with pytest.raises(GaveUp, match="cannot be downloaded: its certificate is not trusted: self-signed") as told:
            fetch(url)
        assert told.value.reason == "DatasetDownloadFailed"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        assert fetch(url) == BODY


def test_a_data_set_is_read_from_there() -> None:
    said: list[str] = []
    with serving(lambda to, count: reply(to, b"", 503) if count == 1 else reply(to)) as (url, _):
        plan = DatasetPlan(download=DownloadPlan(url=f"{url}/p.jsonl", sha256=SHA256))
        rows, report = dataset.read(plan, chat=True, say=said.append)
    _, inline = dataset.read(DatasetPlan(rows=(Row(prompt="a"),) * 1000), chat=True)
    assert len(rows) == 1000
    assert report == inline
    assert said == ["downloading the data set again: HTTP 503 Service Unavailable"]
