"""Messages survive what logs do to them: cut, mixed, doubled, dropped, and read again from the start."""

import random
from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from enginebench.results import messages
from enginebench.results.frames import Decoder, Encoder, Spoken, is_frame
from enginebench.results.lines import FRAME_BYTES, MAX_FRAMES
from enginebench.results.messages import DatasetReport, End, EngineReport, Failure, Progress, SpokenMessage
from enginebench.results.point_report import Evidence, Figure, PointReport, RequestCounts

EMPTY = Figure(count=0)


def point(index: int, noise: bytes) -> PointReport:
    """A report whose size on the wire is that of its incompressible `noise`."""
    return PointReport(
        index=index,
        concurrency=4,
        started_at=1.0,
        opened_at=1.0,
        ended_at=2.0,
        window_seconds=1.0,
        requests=RequestCounts(succeeded=3),
        requests_per_second=3.0,
        output_tokens_per_second=30.0,
        ttft=EMPTY,
        itl=EMPTY,
        tpot=EMPTY,
        inter_event_gap=EMPTY,
        request_latency=EMPTY,
        evidence=Evidence(),
        histograms={"ttft": noise},
    )


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  # reproducible noise


def heard(lines: list[bytes], decoder: Decoder | None = None) -> list[Spoken]:
    reader = decoder or Decoder()
    return [spoken for line in lines if (spoken := reader.feed(line)) is not None]


ONE_OF_EACH: list[SpokenMessage] = [
    Progress(stage="Loading", message="4 users, load point 1 of 2", at=1.5, point=0),
    DatasetReport(rows=3, digest="sha256:00", errors=("line 2: no prompt",)),
    EngineReport(served_model="m", effective={"contextLength": 4096, "on": True}),
    point(0, noise(1, 50_000)),
    Failure(reason="WrongModel", message="serves other, not m"),
    End(points=1),
]


@pytest.mark.parametrize("message", ONE_OF_EACH, ids=messages.stream_of)
def test_every_kind_of_message_comes_back_with_its_payload(message: SpokenMessage) -> None:
    lines = Encoder().message(message)
    assert all(len(line) <= FRAME_BYTES and line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    [spoken] = heard(lines)
    assert spoken.message == message
    assert spoken.payload == messages.encode(message)
    assert spoken.stream == messages.stream_of(message)


def test_a_large_message_takes_several_frames_and_needs_them_all() -> None:
    lines = Encoder().message(point(0, noise(2, 30_000)))
    assert len(lines) > 8
    for missing in range(len(lines)):
        assert heard(lines[:missing] + lines[missing + 1 :]) == []


def test_a_replay_from_the_start_delivers_only_what_is_new() -> None:
    encoder, decoder = Encoder(), Decoder()
    first = encoder.message(point(0, noise(3, 9000)))
    second = encoder.message(point(1, noise(4, 9000)))
    assert [s.seq for s in heard(first + second[:1], decoder)] == [0]
    assert [s.seq for s in heard(first + second, decoder)] == [1]
    assert heard(first + second, decoder) == []


def test_text_lines_and_time_stamps_around_a_frame() -> None:
    [line] = Encoder().message(End(points=2))
    text = line.decode().rstrip("\n")
    for spoilt in (f"2026-11-23T12:00:00.000000001Z {text}", f"half a traceback{text}", f"{text}\r", f"{text} tail"):
        assert heard([spoilt.encode()])[0].message == End(points=2)
        assert is_frame(spoilt)
        assert Decoder().feed(spoilt) is not None


@pytest.mark.parametrize(
    "line", ["", "EB1", "EB1 0 end 1/1 00000000", "EB1 x end 1/1 00000000 AAAA", "Traceback", "\udcff"]
)
def test_what_is_no_frame_is_noise(line: str) -> None:
    assert Decoder().feed(line) is None
    assert not is_frame(line)


def test_a_whole_message_of_an_unknown_kind_is_dropped_and_its_successor_is_heard() -> None:
    encoder = Encoder()
    lines = encoder.lines("novel", b"{}") + encoder.lines("end", b'{"unknown":1}') + encoder.message(End(points=0))
    assert [s.message for s in heard(lines)] == [End(points=0)]


def test_a_message_over_the_bound_is_refused_by_its_writer() -> None:
    with pytest.raises(ValueError, match=f"over {MAX_FRAMES} frames"):
        Encoder().lines("point", noise(5, (MAX_FRAMES + 1) * 3000))


def test_a_bomb_is_not_unpacked() -> None:
    lines = Encoder().lines("point", bytes(65 * 1024 * 1024))
    assert heard(lines) == []


@given(
    sizes=st.lists(st.integers(0, 20_000), min_size=1, max_size=4),
    chance=st.randoms(use_true_random=False),
    noisy=st.lists(st.binary(max_size=60), max_size=5),
)
def test_cut_shuffled_doubled_and_damaged_lines_give_each_message_once(
    sizes: list[int], chance: random.Random, noisy: list[bytes]
) -> None:
    """Whatever is done to the copies, one clean copy of every line is enough, and nothing false is ever heard."""
    encoder = Encoder()
    wanted = [point(i, noise(i, size)) for i, size in enumerate(sizes)]
    lines = [line for message in wanted for line in encoder.message(message)]
    spoilt = list(noisy)
    for line in lines:
        at = chance.randrange(len(line))
        spoilt += [line[:at], line[at:], line[:at] + bytes([line[at] ^ (1 << chance.randrange(8))]) + line[at + 1 :]]
    mixed = lines + lines + spoilt
    chance.shuffle(mixed)
    spoken = heard(mixed)
    assert sorted(s.seq for s in spoken) == list(range(len(wanted)))
    assert {s.seq: s.message for s in spoken} == dict(enumerate(wanted))


@given(
    kept=st.lists(st.booleans(), min_size=12, max_size=12),
    chance=st.randoms(use_true_random=False),
)
def test_a_message_is_heard_exactly_if_all_its_frames_are_there(kept: list[bool], chance: random.Random) -> None:
    encoder = Encoder()
    per_message = [encoder.message(point(i, noise(i, 8000))) for i in range(3)]
    flags = iter(kept)
    survivors = [[line for line in lines if next(flags, True)] for lines in per_message]
    complete = [
        i for i, (lines, left) in enumerate(zip(per_message, survivors, strict=True)) if len(left) == len(lines)
    ]
    mixed = [line for left in survivors for line in left]
    chance.shuffle(mixed)
    assert sorted(s.seq for s in heard(mixed)) == complete


@given(st.binary(max_size=300))
def test_no_bytes_make_the_decoder_raise(line: bytes) -> None:
    assert Decoder().feed(line) is None
    assert Decoder().feed(line.decode("latin-1")) is None


def test_payloads_are_json() -> None:
    [spoken] = heard(Encoder().message(End(points=7)))
    assert cast("dict[str, int]", msgspec.json.decode(spoken.payload)) == {"points": 7}
