"""Images of several GB. Docker builds what is small of them; their layers of packages go past it, straight to where they
are wanted, because each further copy would be written to the disk."""

import tarfile
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from devcluster import process
from devcluster.cluster import Cluster
from devcluster.screen import Screen
from devcluster.settings import load
from images import archive
from images.docker import Docker
from images.layers import Layer, Sink


@dataclass(frozen=True)
class LargeImage:
    name: str
    key: str
    """Of all that it is made of."""
    small: str
    """In docker: the image without the layers."""
    layers: Sequence[Layer]

    def write(self, docker: Docker, out: Sink, held: Callable[[str], bool]) -> None:
        """Its archive, without the layers that are held where it goes."""
        with tempfile.TemporaryDirectory() as scratch:
            saved = Path(scratch) / "small.tar"
            docker.run("save", "--output", str(saved), self.small)
            with tarfile.open(saved) as small:
                archive.write(out, self.name, self.key, small, self.layers, held)


class Place(Protocol):
    """Where a large image is wanted."""

    def has(self, image: str, key: str) -> bool:
        """Whether it is there, made of the same."""

    def receive(self, image: LargeImage) -> None:
        """In place of one of that name."""


class OnWorker:
    """The worker of the local cluster: engines and load pods run there."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker
        self._cluster = Cluster(load(), Screen())

    def has(self, image: str, key: str) -> bool:
        return self._cluster.worker_has(image, key)

    def receive(self, image: LargeImage) -> None:
        self._cluster.receive(image.name, image.key, lambda out, held: image.write(self._docker, out, held))


class InDocker:
    """The container engine: to push it to a registry, say."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker

    def has(self, image: str, key: str) -> bool:
        return self._docker.key(image) == key

    def receive(self, image: LargeImage) -> None:
        process.feed(["docker", "load"], lambda out: image.write(self._docker, out, lambda _: False), {})
