"""What is known of one request when its point is over: the raw material of every figure."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["open", "succeeded", "errored"]


@dataclass(slots=True)
class RequestRecord:
    """One request; times are nanoseconds of one process's monotonic clock, 0 where it has not happened.

    Slots, which Python reads and writes quicker than anything else: some change with every event.
    """

    start: int
    """Latencies count from here: just before its first byte was sent; in an open loop, when it was due."""
    sent: int = 0
    """Just before its first byte was sent."""
    tracked: bool = False
    """Started in the window: it belongs to the population of latencies."""
    first: int = 0
    """Its first event with content arrived."""
    first_output: int = 0
    """Its first event with content that is not reasoning arrived."""
    last: int = 0
    """Its last event with content arrived."""
    end: int = 0
    """Its response was complete, it failed, or it was cut off while it was open."""
    events: int = 0
    """Events with content."""
    events_in_window: float = 0
    """Of these, those that arrived in the window: a whole number, unless shares of several windows were merged."""
    output_tokens: int | None = None
    """By the server's own count."""
    prompt_tokens: int | None = None
    outcome: Outcome = "open"
    error: str = ""
    finish_reason: str = ""
    known_prompt_tokens: int | None = None
    """By the data set, without what the template and the salt add."""


@dataclass(frozen=True, slots=True)
class Window:
    """The span that counts, in the records' clock: [open, close)."""

    open: int
    close: int

    def __contains__(self, instant: object) -> bool:
        return isinstance(instant, int) and self.open <= instant < self.close

    @property
    def seconds(self) -> float:
        return (self.close - self.open) / 1e9
