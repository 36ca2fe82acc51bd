"""kubectl, on the project's own cluster or, with CLUSTER=current, on the user's."""

import json
import os
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

    program: str
    kubeconfig: Path | None
    """None: what the user's environment says."""

    @classmethod
    def of(cls, settings: Settings) -> "Kubectl":
        """The cluster's own kubectl where there is one, else the user's."""
        if settings.current_context:
            return cls("kubectl", None)
        own = settings.outputs / "bin" / "kubectl"
        return cls(str(own) if own.exists() else "kubectl", settings.kubeconfig)

    def command(self, *arguments: str) -> list[str]:
        """The whole command line."""
        place = ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []
        return [self.program, *place, *arguments]

    def run(self, *arguments: str, text: str | None = None) -> str:
        """Stdout; DemoError with kubectl's own words where it failed. `text` is its standard input."""
        try:
            done = subprocess.run(self.command(*arguments), input=text, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise DemoError(f"{self.program} is not on your PATH: install kubectl, then try again.") from None
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


def environment(settings: Settings, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a user exports to go on with: KUBECONFIG, and PATH where kubectl is the cluster's own."""
    if settings.current_context:
        return {}
    wanted = {"KUBECONFIG": str(settings.kubeconfig)}
    own = settings.outputs / "bin"
    if (own / "kubectl").exists() and str(own) not in environ.get("PATH", "").split(":"):
        wanted["PATH"] = f"{own}:$PATH"
    return wanted
