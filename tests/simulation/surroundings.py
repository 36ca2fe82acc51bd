"""What is around the cluster's objects: registries, Secrets, volumes, how well nodes are reached."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

PULL_SECONDS = (0.5, 20.0)


@dataclass(slots=True)
class Surroundings:
    """Faults change it; the kubelets, the scheduler and the programs look at it."""

    secrets: set[tuple[str, str]] = field(default_factory=set)
    claims: set[tuple[str, str]] = field(default_factory=set)
    claim_files: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    """What lies on a claim's volume, by path."""
    urls: dict[str, str] = field(default_factory=dict)
    """What can be downloaded."""
    pull_errors: dict[str, str] = field(default_factory=dict)
    """Part of an image's name → the registry's sentence while it cannot be pulled."""
    pull_seconds: dict[str, float] = field(default_factory=dict)
    """Part of an image's name → how long the pull takes."""
    unreachable: set[str] = field(default_factory=set)
    """Nodes whose kubelet the API server does not hear."""
    slowness: dict[str, float] = field(default_factory=dict)
    api_down: bool = False
    """Followers cannot ask after their pods."""
    logs_down: bool = False
    """No log can be read."""
    answers: Callable[[Any], bool] = lambda _: False
    """Whether something answers on the ports of a `kubelet.Life`."""

    def pull(self, image: str, random: Random) -> tuple[float, str]:
        """Seconds that a pull takes, and the registry's refusal or ""."""
        error = next((said for part, said in self.pull_errors.items() if part in image), "")
        seconds = next((s for part, s in self.pull_seconds.items() if part in image), None)
        return (random.uniform(*PULL_SECONDS) if seconds is None else seconds), error

    def has_claim(self, namespace: str, name: str) -> bool:
        return (namespace, name) in self.claims
