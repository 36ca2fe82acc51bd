"""What is said, and how often."""

import os
from collections.abc import Iterator

import pytest

from enginebench.loadgen import speaker
from enginebench.loadgen.speaker import RAREST_SECONDS, THIN_AFTER, Speaker
from enginebench.results.frames import Decoder
from enginebench.results.lines import FRAME_BYTES
from enginebench.results.messages import End, Failure, Progress, SpokenMessage

DAY = 86_400


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(speaker, "monotonic", clock)
    return clock


@pytest.fixture
def pipe() -> Iterator[tuple[Speaker, int]]:
    read_end, write_end = os.pipe()
    yield Speaker(write_end), read_end
    os.close(read_end)
    os.close(write_end)


def heard(read_end: int, decoder: Decoder) -> list[SpokenMessage]:
    os.set_blocking(read_end, False)
    try:
        data = os.read(read_end, 1 << 20)
    except BlockingIOError:
        return []
    return [spoken.message for line in data.splitlines() if (spoken := decoder.feed(line))]


def test_progress_comes_once_a_second_and_at_once_in_a_new_stage(pipe: tuple[Speaker, int], clock: Clock) -> None:
    said, read_end = pipe
    for step in range(12):
        clock.now = 1000 + step / 4
        said.progress(Progress(stage="Loading" if step < 10 else "Draining", message=f"step {step}"))
    messages = [m.message for m in heard(read_end, Decoder()) if isinstance(m, Progress)]
    assert messages == ["step 0", "step 4", "step 8", "step 10"]


def test_a_day_of_progress_stays_small_and_never_falls_silent(pipe: tuple[Speaker, int], clock: Clock) -> None:
    said, read_end = pipe
    size, last, decoder = 0, clock.now, Decoder()
    for second in range(DAY):
        clock.now = 1000 + second
        said.progress(Progress(stage="Loading", message="64 users, load point 4 of 7", point=3))
        if heard(read_end, decoder):
            assert clock.now - last <= RAREST_SECONDS + 1
            last = clock.now
            size += 300
    assert size < 2 * 1024 * 1024
    assert size > THIN_AFTER * 300


def test_what_is_said_again_is_not_newer(
    pipe: tuple[Speaker, int], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, read_end = pipe
    monkeypatch.setattr(speaker, "time", clock)
    for second, say in enumerate((lambda: said.progress(Progress(stage="Loading")), said.again, said.again)):
        clock.now = 1000.0 + second
        say()
    clock.now += 0.1
    said.progress(Progress(stage="Loading"))  # too soon to be said at once
    clock.now += 1.0
    said.again()
    assert [m.at for m in heard(read_end, Decoder()) if isinstance(m, Progress)] == [1000.0] * 3 + [1002.1]


def test_every_line_is_written_at_once_and_is_short_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []

    def write(_: int, line: bytes) -> int:
        written.append(line)
        return len(line)

    monkeypatch.setattr(os, "write", write)
    said = Speaker(1)
    said.say(Failure(reason="WrongModel", message="".join(map(chr, range(32, 30_000)))))
    said.say(End(points=0))
    assert len(written) > 5
    assert all(line.endswith(b"\n") and len(line) <= FRAME_BYTES for line in written)
