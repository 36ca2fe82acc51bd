"""kubectl, on the cluster that devcluster brought up or, with CLUSTER=current, exported to the same place."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.errors import DemoError
from devcluster.settings import Settings

WATCH_ATTEMPTS = 10
"""A watch that ends, as every watch does at times, is begun again; so often without any news it is an error."""


@dataclass(frozen=True)
class Kubectl:
    """The program, and where it finds the cluster."""

    program: Path
    kubeconfig: Path

    @classmethod
    def of(cls, settings: Settings) -> "Kubectl":
        """As `make cluster-up` leaves them."""
        return cls(settings.outputs / "bin" / "kubectl", settings.kubeconfig)

    def command(self, *arguments: str) -> list[str]:
        """The whole command line."""
        return [str(self.program), "--kubeconfig", str(self.kubeconfig), *arguments]

    def exports(self, environ: Mapping[str, str] = os.environ) -> str:
        """The line with which a user's own shell finds cluster and program."""
        folder = str(self.program.parent)
        path = "" if folder in environ.get("PATH", "").split(":") else f" PATH={shlex.quote(folder)}:$PATH"
        return f"export KUBECONFIG={shlex.quote(str(self.kubeconfig))}{path}"

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Stdout; DemoError with kubectl's own words where it failed. `text` is its standard input."""
        try:
            done = subprocess.run(self.command(*arguments), input=text, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise DemoError(f"{self.program} is not there: run `make cluster-up`, which brings it.") from None
        if done.returncode:
            raise DemoError(f"kubectl {' '.join(arguments)} failed: {done.stderr.strip()}")
        return done.stdout

    def watch(self, kind: str, name: str, namespace: str) -> Generator[dict[str, Any], None, None]:
        """The object as it is now, and again whenever it changes; DemoError where it is deleted or cannot be read.

        Ends only with its caller.
        """
        failures = 0
        while True:
            arguments = ("get", kind, name, "--namespace", namespace, "--watch", "--output-watch-events")
            with subprocess.Popen(
                self.command(*arguments, "--output", "json"),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                try:
                    for event in events(process.stdout or ()):
                        failures = 0
                        if event["type"] == "DELETED":
                            raise DemoError(f"{kind} {name} was deleted while it ran.")
                        yield event["object"]
                    words = process.stderr.read().strip() if process.stderr else ""
                finally:
                    process.terminate()
            failures += 1
            if failures >= WATCH_ATTEMPTS:
                raise DemoError(f"The cluster does not tell about {kind} {name} any more: {words}")
            time.sleep(1)


def events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The JSON documents in a stream of lines, each on one line or indented with its closing brace alone."""
    gathered: list[str] = []
    for line in lines:
        gathered.append(line)
        if line.rstrip() == "}" and line.startswith("}"):
            yield json.loads("".join(gathered))
            gathered.clear()
        elif len(gathered) == 1 and line.startswith("{") and line.rstrip().endswith("}"):
            yield json.loads(line)
            gathered.clear()
