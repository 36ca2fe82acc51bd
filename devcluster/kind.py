"""The nodes: making, finding, starting and deleting them with kind."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from devcluster import gpu, process
from devcluster.engine import Engine
from devcluster.errors import DevclusterError
from devcluster.settings import POD_SUBNET, SERVICE_SUBNET, Settings

CLUSTER_LABEL = "io.x-k8s.kind.cluster"


@dataclass(frozen=True)
class Node:
    """A node's container, as `docker ps` knows it."""

    id: str
    name: str
    running: bool
    image: str


def configuration(name: str, own_network: bool) -> dict[str, Any]:
    """kind's configuration: a control plane and one worker with the GPU's labels.

    With `own_network` podnetwork.py connects the pods; without, kind's own network
    plug-in does, which only the public image has.
    """
    networking = {"ipFamily": "ipv4", "podSubnet": POD_SUBNET, "serviceSubnet": SERVICE_SUBNET}
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "name": name,
        # Beta and off in 1.34: tests let it play the part of OpenShift's security context constraints.
        "featureGates": {"MutatingAdmissionPolicy": True},
        "runtimeConfig": {"admissionregistration.k8s.io/v1beta1": "true"},
        "networking": {**networking, "disableDefaultCNI": own_network},
        "nodes": [{"role": "control-plane"}, {"role": "worker", "labels": gpu.LABELS}],
    }


def parse_nodes(listing: str) -> list[Node]:
    """From `docker ps --all --no-trunc --format '{{json .}}'`; the control plane first."""
    rows = [json.loads(line) for line in listing.splitlines() if line.strip()]
    nodes = [Node(row["ID"], row["Names"], row["State"] == "running", row["Image"]) for row in rows]
    return sorted(nodes, key=lambda node: node.name)


class Kind:
    """One named cluster on one engine; deleting and finding it needs no kind binary."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine

    def nodes(self) -> list[Node]:
        chosen = ["--filter", f"label={CLUSTER_LABEL}={self._settings.name}"]
        return parse_nodes(self._engine.docker("ps", "--all", "--no-trunc", *chosen, "--format", "{{json .}}"))

    def create(self, program: Path, image: str, own_network: bool, log: Path) -> None:
        text = yaml.safe_dump(configuration(self._settings.name, own_network), sort_keys=False)
        kubeconfig = self._settings.cache / "clusters" / f"{self._settings.name}.kubeconfig"
        kubeconfig.parent.mkdir(parents=True, exist_ok=True)
        log.unlink(missing_ok=True)
        options = ["--config", "-", "--image", image, "--kubeconfig", str(kubeconfig), "--verbosity", "1"]
        process.run([program, "create", "cluster", *options], env=self._engine.env, text=text, log=log)

    def delete(self, seconds: float = 60) -> None:
        """Repeat until none is left: the engine may still be at work on the request of a command that was killed."""
        limit = time.monotonic() + seconds
        while nodes := self.nodes():
            ids = [node.id for node in nodes]
            done = process.attempt(["docker", "rm", "--force", "--volumes", *ids], env=self._engine.env)
            if not done.ok and time.monotonic() > limit:
                raise DevclusterError(f"The engine does not remove {[node.name for node in nodes]}: {done.errors}")
            if not done.ok:
                time.sleep(0.2)

    def start(self) -> None:
        for node in self.nodes():
            if not node.running:
                self._engine.docker("start", node.id)

    def kubeconfig(self, program: Path) -> str:
        return process.run([program, "get", "kubeconfig", "--name", self._settings.name], env=self._engine.env)

    def load(self, program: Path, images: Sequence[str]) -> None:
        process.run([program, "load", "docker-image", "--name", self._settings.name, *images], env=self._engine.env)


def marked_ready(mark: Path, nodes: list[Node]) -> bool:
    """Whether these very containers passed the smoke test once; false for a cluster that was cut off."""
    try:
        known = json.loads(mark.read_text())
    except (OSError, ValueError):
        return False
    return bool(nodes) and known == sorted(node.id for node in nodes)


def mark_ready(mark: Path, nodes: list[Node]) -> None:
    mark.parent.mkdir(parents=True, exist_ok=True)
    draft = mark.with_suffix(".draft")
    draft.write_text(json.dumps(sorted(node.id for node in nodes)))
    draft.rename(mark)
