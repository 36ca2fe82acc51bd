"""What is known of one tool at one load: a row of the table."""

from typing import Literal

import msgspec

from bench.reference import Truth

TTFT_SECONDS = 0.05
ITL_SECONDS = 0.01
TOKENS = 128
Mode = Literal["one core", "best"]


def ideal(streams: int) -> float:
    """Tokens a second of so many users who each ask again at once, if neither server nor client takes any time."""
    return streams * TOKENS / (TTFT_SECONDS + (TOKENS - 1) * ITL_SECONDS)


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool says it has measured; milliseconds. None is what it does not say."""

    tokens_per_second: float | None = None
    ttft_p50: float | None = None
    ttft_p99: float | None = None
    itl_p50: float | None = None
    """ITL as a mean of each request, weighted or not by its tokens: all requests have equally many here."""
    itl_p99: float | None = None
    gap_p50: float | None = None
    """The raw time between two events, pooled, whatever the tool calls it."""
    gap_p99: float | None = None
    requests: int = 0
    errors: int = 0
    reasons: tuple[str, ...] = ()
    """EngineBench's own only: what its operator would hold against the point."""
    why: str = ""
    """The same in words."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What the client was seen to do, from outside; None where the run was too short to tell."""

    start_up_seconds: float | None = None
    """From the start of its process to its first completion request at the server."""
    tokens_per_second: float | None = None
    """Taken off the server, in the steady part."""
    cpu_per_1000_tokens: float | None = None
    """Seconds of all its processes, in the steady part."""
    memory_bytes: int = 0
    """Peak of all its processes."""
    unknown: str = ""
    """Why rate and processor time are None."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    tool: str
    version: str
    mode: Mode
    streams: int
    reported: Reported | None = None
    truth: Truth | None = None
    load: Load = Load()
    problem: str = ""
    """Why there is no report."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """All rows of one session."""

    taken: str
    """On which machine, on which day, at which commit."""
    rows: tuple[Row, ...]
