"""The response parser: whatever the framing and however it is cut, the body that was sent comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.loadgen.http import BodySink, Head, ProtocolError, ResponseParser
from tests.unit.loadgen.cuts import cut

pieces = st.lists(st.binary(min_size=1, max_size=40), max_size=6)


class Client:
    """Collects what a parser gives."""

    def __init__(self) -> None:
        self.heads: list[Head] = []
        self.bodies: list[bytes] = []
        self.body = b""
        self.parser = ResponseParser(self._head, self._end)

    def _head(self, head: Head) -> BodySink:
        self.heads.append(head)
        return self._piece

    def _piece(self, piece: bytes) -> None:
        assert piece
        self.body += piece

    def _end(self) -> None:
        self.bodies.append(self.body)
        self.body = b""


def chunked(parts: list[bytes], *, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    body = b"".join(b"%X%b\r\n%b\r\n" % (len(part), extension, part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailers + b"\r\n"


def sized(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@given(pieces, st.sampled_from([b"", b";a=b", b" ; c"]), st.sampled_from([b"", b"X: y\r\nDigest: 1\r\n"]), st.data())
def test_chunks_with_extensions_and_trailers_cut_anywhere(
    parts: list[bytes], extension: bytes, trailers: bytes, data: st.DataObject
) -> None:
    client = Client()
    for piece in cut(chunked(parts, extension=extension, trailers=trailers), data):
        client.parser.feed(piece)
    assert client.bodies == [b"".join(parts)]
    assert client.parser.keep_alive


@given(st.binary(max_size=100), st.data())
def test_a_length_cut_anywhere(body: bytes, data: st.DataObject) -> None:
    client = Client()
    for piece in cut(sized(body), data):
        client.parser.feed(piece)
    assert client.bodies == [body]
    assert client.parser.keep_alive


def test_responses_follow_each_other_on_one_connection_every_byte_alone() -> None:
    client = Client()
    for response in (chunked([b"one", b"two"]), sized(b"three"), sized(b""), chunked([])):
        for at in range(len(response)):
            client.parser.feed(response[at : at + 1])
    assert client.bodies == [b"onetwo", b"three", b"", b""]


@given(st.binary(min_size=1, max_size=50), st.data())
def test_without_a_length_the_end_of_the_connection_ends_the_body(body: bytes, data: st.DataObject) -> None:
    client = Client()
    for piece in cut(b"HTTP/1.0 200 OK\r\n\r\n" + body, data):
        client.parser.feed(piece)
    assert client.bodies == []
    client.parser.eof()
    assert client.bodies == [body]
    assert not client.parser.keep_alive


def test_an_interim_response_is_passed_over() -> None:
    client = Client()
    client.parser.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + sized(b"real"))
    assert [head.status for head in client.heads] == [200]
    assert client.bodies == [b"real"]


def test_a_response_without_a_body_ends_with_its_head() -> None:
    client = Client()
    client.parser.feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.bodies == [b""]


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", True),
    ],
)
def test_whether_the_connection_may_be_used_again(head: bytes, kept: bool) -> None:
    client = Client()
    client.parser.feed(head)
    assert client.bodies == [b""]
    assert client.parser.keep_alive is kept


def test_bytes_after_the_end_spoil_the_connection_but_not_the_response() -> None:
    client = Client()
    client.parser.feed(sized(b"whole") + b"HTTP/1.1 200 OK\r\n\r\n")
    assert client.bodies == [b"whole"]
    assert not client.parser.keep_alive


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not an HTTP/1.1 response: 'SSH-2.0"),
        (b"HTTP/2 200\r\n\r\n", "not an HTTP/1.1 response"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not an HTTP/1.1 response"),
        (b"HTTP/1.1 OK\r\n\r\n", "not an HTTP/1.1 response"),
        (b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "not a header: 'nonsense'"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n", r"compressed \(gzip\)"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "transfer-encoding gzip, chunked"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n", "not a length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "not a length: b'1, 2'"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: identity\r\n\r\n", "compressed"),
        (chunked([])[:-5] + b"xyz\r\n", "not a length: b'xyz'"),
        (chunked([])[:-5] + b"1_0\r\n", "not a length"),
        (chunked([])[:-5] + b"\r\n", "not a length"),
        (chunked([b"abc"])[:-7] + b"d\r\n0\r\n\r\n", "a chunk is longer than it says"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 20_000, "response head is longer"),
        (chunked([])[:-5] + b"0" * 5000, "chunk size is longer"),
    ],
)
def test_what_is_no_response_is_named(response: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        Client().parser.feed(response)


@pytest.mark.parametrize("response", [chunked([b"abcdef"]), sized(b"abcdef")])
def test_a_connection_that_closes_in_the_middle_is_an_error_wherever_it_does(response: bytes) -> None:
    for at in range(len(response)):
        client = Client()
        client.parser.feed(response[:at])
        with pytest.raises(ProtocolError, match="in the middle of the response"):
            client.parser.eof()
        assert client.bodies == []


@given(st.binary(max_size=200), st.data())
def test_no_bytes_make_it_raise_anything_else(noise: bytes, data: st.DataObject) -> None:
    start = data.draw(st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", chunked([])[:-5], sized(b"x")]))
    client = Client()
    try:
        for piece in cut(start + noise, data):
            client.parser.feed(piece)
    except ProtocolError:
        pass
