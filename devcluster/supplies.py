"""What a cluster is made of, each had or built: engine, node image, programs, base image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster import debian, golang, layers, nodeimage, process
from devcluster.cache import Cache, digest, free_bytes
from devcluster.engine import Engine, OwnEngine, needs_wrapper, users_engine
from devcluster.errors import RefusedError
from devcluster.parallel import together
from devcluster.screen import Screen
from devcluster.settings import (
    COLD_START,
    KIND_VERSION,
    PUBLIC_NODE_DIGEST,
    PUBLIC_NODE_IMAGE,
    PUBLIC_PYTHON_IMAGE,
    PUBLIC_SMOKE_IMAGE,
    Settings,
)

COLD_START_BYTES = 10 * 2**30  # Go's and our caches, the node image, the engine's copies
PYTHON_REPOSITORY = "localhost/enginebench-python"


@dataclass(frozen=True)
class Supplies:
    """All that `kind create cluster` and what follows it need."""

    engine: Engine
    kind: Path
    kubectl: Path | None  # None: to be taken out of the public node image once a node runs
    node_image: str
    smoke_image: str
    own_network: bool  # the node image is ours: it has no network plug-in


class Supplier:
    def __init__(self, settings: Settings, screen: Screen, environ: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._screen = screen
        self._environ = environ
        self.cache = Cache(settings.cache)
        self.programs = golang.GoPrograms(self.cache)
        self.roots = debian.RootFilesystems(self.cache, settings.cache / "logs")
        self.own_engine = OwnEngine(settings)

    def find_engine(self) -> Engine | None:
        """An engine that answers now; our own first, where it exists."""
        if self._own_exists():
            return self.own_engine.engine if self.own_engine.running() else None
        return users_engine(self._environ, self._settings)

    def _own_exists(self) -> bool:
        return self._settings.engine_data.exists()

    def gather(self) -> Supplies:
        """Have or build everything; says what is built and how long it takes."""
        engine = None if self._own_exists() else users_engine(self._environ, self._settings)
        if engine and (image := self._public_node_image(engine)):
            return Supplies(
                engine, self._any_kind(), process.which("kubectl"), image, PUBLIC_SMOKE_IMAGE, own_network=False
            )
        if engine is None:
            debian.require_root_on_debian("No container engine answers here", "start Docker (or set DOCKER_HOST)")
        else:
            debian.require_root_on_debian(
                f"The node image {PUBLIC_NODE_IMAGE} cannot be pulled",
                "give it to your container engine with `docker load`",
            )
        golang.toolchain()
        self.cache.drop_drafts()
        self._install_packages()
        if engine is None:
            engine = self._start_own()
        image = nodeimage.image_name(self.programs, self.roots)
        tasks = [self._build_programs, self._build_roots] if not engine.has_image(image) else [self._build_programs]
        self._announce(engine, image)
        together(*tasks)
        if not engine.has_image(image):
            with self._screen.step("Node image from Debian, kind and Kubernetes", "30 to 90 s"):
                nodeimage.build(engine, image, self.roots.node(), self.programs.kube(), self.cache)
        kube = self.programs.kube()
        return Supplies(engine, self.programs.kind(), kube, image, layers.SMOKE_IMAGE, own_network=True)

    def _public_node_image(self, engine: Engine) -> str | None:
        """The public node image if the engine has it or can get it."""
        if engine.has_image(PUBLIC_NODE_IMAGE):
            return PUBLIC_NODE_IMAGE
        exact = f"{PUBLIC_NODE_IMAGE}@{PUBLIC_NODE_DIGEST}"
        if engine.has_image(exact):
            return exact
        with self._screen.step(f"Pulling {PUBLIC_NODE_IMAGE}", "about 400 MB"):
            pulled = process.attempt(["docker", "pull", "--quiet", exact], env=engine.env)
        if not pulled.ok:
            self._screen.say(f"  It cannot be pulled ({process.last_lines(pulled.errors, 1)}): building one instead.")
        return exact if pulled.ok else None

    def _any_kind(self) -> Path:
        """The user's kind of our version, else built."""
        found = process.which("kind")
        version = process.attempt([found, "version"]).output if found else ""
        if found and f" {KIND_VERSION} " in version:
            return found
        golang.toolchain(f", or put kind {KIND_VERSION} into PATH")
        with self._screen.step(f"kind {KIND_VERSION} with Go", "up to 1 min"):
            return self.programs.kind()

    def _install_packages(self) -> None:
        if missing := debian.missing_packages():
            with self._screen.step(f"Debian packages: {', '.join(missing)}", "about 1 min"):
                debian.install(missing, self._settings.cache / "logs" / "apt.log")

    def _start_own(self) -> Engine:
        wrapper = self.programs.wrapper() if needs_wrapper() else None
        if self.own_engine.running():
            return self.own_engine.start(wrapper)
        with self._screen.step("Container engine of our own"):
            return self.own_engine.start(wrapper)

    def _announce(self, engine: Engine, image: str) -> None:
        if self.programs.have_kube() or engine.has_image(image):
            return
        free = free_bytes(self._settings.cache)
        if free < COLD_START_BYTES:
            gib = 2**30
            raise RefusedError(
                f"A cold start needs {COLD_START_BYTES / gib:.0f} GiB below {self._settings.cache},"
                f" but only {free / gib:.1f} GiB are free: make room, or set XDG_CACHE_HOME to another disk."
            )
        self._screen.say(
            "Nothing is cached yet. Kubernetes is compiled from source while Debian's file systems are made; then the\n"
            f"node image is put together and the cluster starts: {COLD_START} in all on 2 cores. Later starts take less\n"
            "than a minute."
        )

    def _build_programs(self) -> None:
        if not self.programs.have_kube():
            with self._screen.step("Kubernetes, etcd and CoreDNS with Go", "6 to 12 min"):
                self.programs.kube()
        self.programs.kind()

    def _build_roots(self) -> None:
        with self._screen.step("Debian for the nodes", "1 to 2 min"):
            self.roots.node()
        with self._screen.step("Debian with Python for our images", "1 to 2 min"):
            self.roots.python()

    def python_image(self, engine: Engine) -> str:
        """The base of the operator's image: public where the engine is the user's, else Debian's Python."""
        if not engine.own:
            return PUBLIC_PYTHON_IMAGE
        name = f"{PYTHON_REPOSITORY}:{digest(self.roots.python_key(), 'python-link')}"
        if not engine.has_image(name):
            with self._screen.step("Base image with Python", "up to 1 min"):
                self._import_python(engine, name)
        return name

    def _import_python(self, engine: Engine, name: str) -> None:
        root = self.roots.python()
        # The public image calls its interpreter `python` too.
        links = ["--transform", "s,^./enginebench-python$,./usr/bin/python,"]
        link = self.cache.draft("enginebench-python")
        link.symlink_to("python3")
        folder, file = link.parent, f"./{link.name}"
        try:
            process.pipe(
                ["tar", *links, "--numeric-owner", "-cf", "-", "-C", root, ".", "-C", folder, file],
                ["docker", "import", "--change", 'CMD ["python3"]', "-", name],
                engine.env,
            )
        finally:
            link.unlink()
