"""What every load generator is to the bench."""

from pathlib import Path
from typing import Literal, Protocol

import msgspec

from bench.loadgen.rows import Mode, Reported

Sign = Literal["", "begin", "take", "end"]
"""What a line of output means: the measured part begins, its truth is to be taken, the process is to be ended."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One load to put on the reference server."""

    url: str
    model: str
    streams: int
    seconds: int
    mode: Mode
    cores: int
    """That the client may use."""
    folder: Path
    """Empty; for whatever the tool reads and writes."""
    tokenizer: Path
    """A folder that `transformers` can load; no tool reaches a hub."""


class Tool(Protocol):
    """A load generator that can be run."""

    name: str
    version: str
    settings: str
    """How it is set in the best mode, in words; empty if that is the same as on one core."""

    def command(self, task: Task) -> list[str]: ...
    def environment(self, task: Task) -> dict[str, str]: ...

    def sign(self, line: bytes) -> Sign:
        """The meaning of a line that it says."""

    def report(self, task: Task) -> Reported:
        """Its figures after its end; ValueError, KeyError or OSError if it wrote none."""
