"""Names, versions, addresses and places: everything that is chosen once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

KUBERNETES_VERSION = "v1.34.4"
KIND_VERSION = "v0.33.0"
PUBLIC_NODE_IMAGE = "kindest/node:v1.34.11"  # of kind v0.33.0, as its release notes list it, with its digest
PUBLIC_NODE_DIGEST = "sha256:44e222ee2132dab25ff87301682f89eb82c7880ea3a1bf543bfe9708fd08d67d"
PUBLIC_PYTHON_IMAGE = "python:3.11-slim-bookworm"
PUBLIC_SMOKE_IMAGE = "busybox:1.37"
DEBIAN_SUITE = "bookworm"
GO_MINIMUM = (1, 24)
COLD_START = "10 to 15 min"  # on two cores where nothing is cached; documents say the same

# Everything that the cluster uses lies in the block that RFC 2544 reserves for benchmarks:
# no route of the internet or of a company leads there, so a mistake cannot reach a machine.
ADDRESS_BLOCK = "198.18.0.0/15"
POD_SUBNET = "198.18.0.0/17"
NODE_SUBNET = "198.18.136.0/22"
NODE_GATEWAY = "198.18.136.1"
# The engine's upstream resolver: nobody, and not the gateway either, whose DNS traffic kind's nodes send
# back to the engine's resolver. The fence answers "unreachable" for it at once.
NO_RESOLVER = "198.18.128.53"
OTHER_NETWORKS = "198.18.160.0/19"
SERVICE_SUBNET = "198.19.0.0/16"

NETWORK = "enginebench"  # the container network of the nodes
BRIDGE = "enginebench0"

SOURCES = Path(__file__).resolve().parent  # this package, with its Go modules


@dataclass(frozen=True)
class Settings:
    """The places of one checkout (`project`) and of one machine (`cache`, `run`)."""

    name: str  # of the kind cluster
    project: Path
    cache: Path
    run: Path  # sockets and runtime state; one engine a machine, so one place
    current_context: bool  # CLUSTER=current: the user's own cluster
    confirmed: bool  # CONFIRM=yes

    @property
    def worker(self) -> str:
        return f"{self.name}-worker"

    @property
    def control_plane(self) -> str:
        return f"{self.name}-control-plane"

    @property
    def outputs(self) -> Path:
        """The folder that users and other tools read: kubeconfig, env, bin/."""
        return self.project / ".cluster"

    @property
    def kubeconfig(self) -> Path:
        return self.outputs / "kubeconfig"

    @property
    def engine_data(self) -> Path:
        return self.cache / "engine"

    @property
    def engine_socket(self) -> Path:
        return self.run / "docker.sock"

    @property
    def engine_host(self) -> str:
        return f"unix://{self.engine_socket}"

    @property
    def ready_mark(self) -> Path:
        """Written when the smoke test has passed; holds the ids of the nodes that passed."""
        return self.cache / "clusters" / f"{self.name}.json"


def from_environment(environ: Mapping[str, str], project: Path | None = None) -> Settings:
    """Settings from XDG_CACHE_HOME, HOME, ENGINEBENCH_CLUSTER_NAME, CLUSTER and CONFIRM."""
    home = Path(environ.get("HOME") or Path.home())
    caches = environ.get("XDG_CACHE_HOME", "")
    # The XDG specification asks to ignore a relative path.
    base = Path(caches) if caches.startswith("/") else home / ".cache"
    return Settings(
        name=environ.get("ENGINEBENCH_CLUSTER_NAME") or "enginebench",
        project=project or SOURCES.parent,
        cache=base / "enginebench",
        run=Path("/run/enginebench"),
        current_context=environ.get("CLUSTER", "") == "current",
        confirmed=environ.get("CONFIRM", "") == "yes",
    )


def load() -> Settings:
    return from_environment(os.environ)
