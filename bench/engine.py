"""A simulated engine in a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OPERATOR = Path(__file__).resolve().parents[1] / "operator"


@dataclass(frozen=True, slots=True)
class Simulated:
    """One that serves."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def running(*options: str) -> Iterator[Simulated]:
    """`enginebench simulate` with these options, on a free port."""
    command = [sys.executable, "-m", "enginebench", "simulate", "--host", "127.0.0.1", "--port", "0", *options]
    environment = {**os.environ, "PYTHONPATH": str(OPERATOR)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None  # a pipe, as asked for
            said = process.stderr.readline()
            found = re.search(r"port (\d+)", said)
            if found is None:
                raise SystemExit(f"the simulated engine did not start: {said.strip()}")
            yield Simulated(int(found[1]), process.pid)
        finally:
            process.terminate()
