"""kubectl on the cluster of a kubeconfig."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster import process
from devcluster.errors import DevclusterError


@dataclass(frozen=True)
class Kubectl:
    program: Path
    kubeconfig: Path

    @property
    def env(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig)}

    def attempt(self, *words: str, text: str | None = None) -> process.Finished:
        return process.attempt([self.program, "--request-timeout=30s", *words], env=self.env, text=text)

    def run(self, *words: str, text: str | None = None) -> str:
        return process.run([self.program, "--request-timeout=30s", *words], env=self.env, text=text)

    def get(self, *words: str) -> Any:
        return json.loads(self.run("get", *words, "--output", "json"))

    def until(self, what: str, seconds: float, *words: str, text: str | None = None) -> str:
        """Repeat the command until it succeeds; DevclusterError with its last words if it does not in time."""
        limit = time.monotonic() + seconds
        while True:
            done = self.attempt(*words, text=text)
            if done.ok:
                return done.output
            if time.monotonic() > limit:
                said = process.last_lines(done.errors or done.output)
                raise DevclusterError(f"{what}: not within {seconds:.0f} s. kubectl said:\n{said}")
            time.sleep(0.25)
