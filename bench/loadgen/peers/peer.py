"""What the peers have in common: an environment, a command, a report in a JSON file."""

import json
import os
import re
from abc import ABC, abstractmethod
from math import ceil
from pathlib import Path
from typing import Any

from bench.loadgen.peers.environments import LOCKS, OFFLINE, installed
from bench.loadgen.rows import ITL_SECONDS, TOKENS, TTFT_SECONDS, Reported
from bench.loadgen.tool import Sign, Task

PROMPT_TOKENS = 64


class Peer(ABC):
    """A tool from PyPI. It ends by itself; all that it sends belongs to what it measures."""

    name: str
    settings: str

    def __init__(self) -> None:
        self.programs = installed(self.name)
        self.version = locked_version(self.name)

    @abstractmethod
    def command(self, task: Task) -> list[str]: ...

    @abstractmethod
    def report(self, task: Task) -> Reported: ...

    def environment(self, task: Task) -> dict[str, str]:  # noqa: ARG002  # some need it
        return {**os.environ, **OFFLINE, "PATH": f"{self.programs}:{os.environ['PATH']}"}

    def sign(self, line: bytes) -> Sign:  # noqa: ARG002  # Tool's signature
        return ""


def locked_version(name: str) -> str:
    """As in its locks."""
    texts = [path.read_text() for path in sorted(LOCKS.glob(f"{name}*.txt"))]
    found = re.search(rf"^{name}==([\w.]+)", "\n".join(texts), re.MULTILINE)
    if found is None:
        raise ValueError(f"requirements/peers has no lock of {name}")
    return found[1]


def requests(task: Task) -> int:
    """As many as last for the time if nothing is lost, for tools that are bounded by a number."""
    return task.streams * ceil(task.seconds / (TTFT_SECONDS + (TOKENS - 1) * ITL_SECONDS))


def document(folder: Path, pattern: str) -> Any:
    """The JSON of the one file that matches."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise ValueError(f"it wrote no report ({pattern})")
    return json.loads(found[0].read_text())
