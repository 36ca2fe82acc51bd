"""The usual read: what is learned from one, what then passes as another, and what never does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.loadgen.routes import ROUTES
from enginebench.loadgen.usual import NOTHING, Usual, learned
from tests.unit.loadgen.wire import Wire, content, ending, event

OPENAI = ("ChatCompletions", "Completions")


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def passes(usual: Usual, data: bytes) -> bool:
    """As `Connection.data_received` asks it."""
    head = usual[len(data)]
    return (
        head is not None
        and data[: len(head)] == head
        and data[len(head)] != ord('"')
        and data[data.find(b"\n", len(head)) - usual.before :] == usual.ending
    )


def learn(api: str, data: bytes) -> Usual | None:
    return learned(data, ROUTES[api].content, ROUTES[api].unfinished)


def usual_of(api: str) -> Usual:
    usual = learn(api, chunk(event(api, content(api, "word"))))
    assert usual is not None
    return usual


@pytest.mark.parametrize("api", OPENAI)
@given(text=st.text(min_size=1, max_size=5000) | st.sampled_from(["x" * 60, "x" * 4000, "é\n\t\\", " "]))
def test_any_text_passes_that_does_not_begin_with_a_quote(api: str, text: str) -> None:
    data = chunk(event(api, content(api, text)))
    assert passes(usual_of(api), data)


@pytest.mark.parametrize("api", OPENAI)
def test_what_has_no_text_ends_the_answer_or_is_not_one_event_does_not(api: str) -> None:
    usual, plain = usual_of(api), event(api, content(api, "word"))
    data = chunk(plain)
    for other in (
        b"",
        b"\n",
        chunk(event(api, content(api, ""))),
        chunk(event(api, {**content(api, "word"), "model": "n"})),
        *map(chunk, ending(api, 3, text="word")),
        chunk(plain + plain),
        chunk(b": comment\n\n" + plain),
        data + data,
        data[:-1],
        data + b"\n",
        data[1:],
        data.replace(b"word", b'"rd"'),
        data.replace(b"word", b"wo\nd"),
        data.replace(b"word", b"w\n\nd"),
        b"f" + data,
        data.replace(b"\r\n", b";x\r\n", 1),
        chunk(plain[:-1]),
    ):
        assert not passes(usual, other), other
    assert passes(usual, data)


@pytest.mark.parametrize("digits", [1, 2, 3, 4])
def test_lengths_at_which_the_chunk_size_gets_another_digit(digits: int) -> None:
    usual = Usual(b"d", b"\n\n\r\n")
    for size in range(max(4, 16**digits - 20), 16**digits + 20):
        data = b"%x\r\nd%b\n\n\r\n" % (size, b"x" * (size - 3))
        assert passes(usual, data)
        assert not passes(usual, data.replace(b"x", b"xx", 1))


def test_a_length_that_no_chunk_has_passes_for_none() -> None:
    usual = Usual(b"d", b"\n\n\r\n")
    assert usual[4 + 2 + 0xFF + 1] is None  # two digits say too little, three too much
    assert [usual[length] for length in range(9)] == [None] * 9


def test_only_so_many_lengths_are_kept() -> None:
    usual = Usual(b"d", b"\n\n\r\n")
    heads = [usual[length] for length in range(100, 300)]
    assert len(usual) == 64
    assert heads[63] is not None
    assert heads[64:] == [None] * 136
    assert [NOTHING[length] for length in range(1000)] == [None] * 1000
    assert not NOTHING


def test_nothing_is_learned_from_what_another_writer_would_frame_otherwise() -> None:
    api = "Completions"
    plain = event(api, content(api, "w" * 0x10))
    data = chunk(plain)
    assert learn(api, data) is not None
    upper = b"%X\r\n%b\r\n" % (len(plain), plain)
    assert upper != data
    for other in (
        upper,
        b"0" + data,
        data.replace(b"\r\n", b" ;x\r\n", 1),
        chunk(plain.replace(b"data: ", b"data:")),
        chunk(plain.replace(b"\n\n", b"\r\n\r\n")),
        chunk(plain + plain),
        chunk(b": a comment\n\n" + plain),
        chunk(plain[:-1]),
        data + data,
        chunk(plain.replace(b'"finish_reason":null', b'"finish_reason":"stop"')),
        chunk(b"data: [DONE]\n\n"),
        chunk(b"data: \n\n"),
        b"\r\n",
    ):
        assert learn(api, other) is None, other


@pytest.mark.parametrize("api", OPENAI)
def test_the_end_mark_may_stand_before_the_text(api: str) -> None:
    plain = event(api, content(api, "word")).replace(b',"finish_reason":null', b"")
    assert learn(api, chunk(plain)) is None
    moved = plain.replace(b'{"index":0', b'{"finish_reason":null,"index":0')
    usual = learn(api, chunk(moved))
    assert usual is not None
    assert passes(usual, chunk(moved.replace(b"word", b"words")))


@pytest.mark.parametrize("api", OPENAI)
def test_a_connection_learns_counts_and_forgets(api: str) -> None:
    with Wire(api) as wire:
        for asked in range(2):
            record = wire.ask()
            wire.connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            assert wire.connection._usual is NOTHING
            for number in range(1, 10):
                wire.connection.data_received(chunk(event(api, content(api, "x" * number, id=f"cmpl-{asked}"))))
                assert record.events == number
                assert wire.connection._usual is not NOTHING
            for piece in ending(api, 10, text="end"):
                wire.connection.data_received(chunk(piece))
            wire.connection.data_received(b"0\r\n\r\n")
            assert (record.events, record.outcome) == (10, "succeeded")
            assert wire.connection._usual is NOTHING
    assert len(wire.heard.gaps) == 2 * 9


def test_a_read_that_looks_usual_within_another_chunk_is_part_of_that() -> None:
    """What was learned holds between two chunks only."""
    api = "Completions"
    inner = chunk(event(api, content(api, "word")))
    outer = b": " + b"x" * 50 + inner + b"x\n\n"
    with Wire(api) as wire:
        record = wire.ask()
        wire.connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            wire.connection.data_received(inner)
        assert record.events == 3
        begin = b"%x\r\n: " % len(outer) + b"x" * 50
        wire.connection.data_received(begin)
        wire.connection.data_received(inner)  # two lines of the outer chunk's body: its event has one more data line
        wire.connection.data_received(b"x\n\n\r\n")
        assert record.events == 4
        wire.connection.data_received(inner)
        assert record.events == 5


def test_what_never_has_a_usual_form_is_not_learned_from_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lessons = 0

    def counting(data: bytes, content: bytes, unfinished: bytes) -> Usual | None:
        nonlocal lessons
        lessons += 1
        return learned(data, content, unfinished)

    monkeypatch.setattr("enginebench.loadgen.connection.learned", counting)
    api = "ChatCompletions"
    with Wire(api) as wire:
        record = wire.ask()
        wire.connection.data_received(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(320):
            wire.connection.data_received(chunk(event(api, content(api, "word", created=number))))
    assert record.events == 320
    assert lessons == 320 / 16 + 4
