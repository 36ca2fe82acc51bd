"""What a log without a terminal shows."""

import io
import re
import threading
import time

import pytest
from rich.console import Console

from devcluster import screen
from devcluster.parallel import together
from devcluster.screen import Screen, seconds


@pytest.mark.parametrize(
    ("value", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (45.4, "45 s"), (99.4, "99 s"), (372.0, "6 min 12 s")]
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text


def plain() -> tuple[Screen, io.StringIO]:
    sink = io.StringIO()
    return Screen(Console(file=sink, force_terminal=False, width=200)), sink


def test_a_step_says_what_it_is_how_long_it_may_take_and_took() -> None:
    shown, sink = plain()
    with shown.step("Building [x]", "1 min"):
        pass
    first, second = sink.getvalue().splitlines()
    assert first == "  start: Building [x] (1 min)"
    assert re.fullmatch(r"  done: Building \[x\], \d\.\d s", second)


def test_a_failed_step_is_said_to_have_failed() -> None:
    shown, sink = plain()
    with pytest.raises(KeyError), shown.step("Building"):
        raise KeyError
    assert sink.getvalue().splitlines()[-1].startswith("  failed: Building after ")


def test_a_long_step_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "HEARTBEAT_SECONDS", 0.02)
    shown, sink = plain()
    with shown.step("Building"):
        limit = time.monotonic() + 5
        while "still: Building" not in sink.getvalue() and time.monotonic() < limit:
            time.sleep(0.01)
    assert "  still: Building, " in sink.getvalue()


def test_steps_at_the_same_time_on_a_terminal() -> None:
    sink = io.StringIO()
    shown = Screen(Console(file=sink, force_terminal=True, width=120))
    meet = threading.Barrier(2, timeout=5)

    def work(name: str) -> None:
        with shown.step(name):
            meet.wait()

    together(lambda: work("first"), lambda: work("second"))
    assert "done: first" in sink.getvalue()
    assert "done: second" in sink.getvalue()


def test_together_raises_the_first_failure_at_once() -> None:
    never = threading.Event()

    def wait() -> None:
        never.wait(30)

    def fail() -> None:
        raise ValueError("no")

    start = time.monotonic()
    with pytest.raises(ValueError, match="no"):
        together(wait, fail)
    assert time.monotonic() - start < 5
    never.set()
