"""What is built with Go: the Kubernetes binary, the runtime wrapper, and kind itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

from devcluster import process
from devcluster.cache import Cache, digest, source_digest
from devcluster.errors import RefusedError
from devcluster.settings import GO_MINIMUM, KIND_VERSION, KUBERNETES_VERSION, SOURCES

KIND_MODULE = "sigs.k8s.io/kind"
# Options of the user's that would change what is built, or fail it, do not count here.
ENV = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}


def toolchain(instead: str = "") -> str:
    """The version of go, as in `go1.26.8`; RefusedError if it is missing or too old, with what would do `instead`."""
    done = process.attempt(["go", "env", "GOVERSION"], env=ENV, cwd=SOURCES)
    wanted = ".".join(map(str, GO_MINIMUM))
    if not done.ok:
        raise RefusedError(
            f"The cluster's programs are built with Go: install Go {wanted} or newer (`go` is not in PATH){instead}."
        )
    version = done.output.strip()
    if parse_version(version) < GO_MINIMUM:
        raise RefusedError(f"`go` is {version}: install Go {wanted} or newer{instead}.")
    return version


def parse_version(text: str) -> tuple[int, int]:
    """go1.26.8 → (1, 26); (0, 0) for what is no version."""
    found = re.search(r"go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def linker_flags(version: str) -> str:
    """What Kubernetes' own build sets of v1.34.4; kubeadm compares the versions of what it starts."""
    major, minor, _ = version.removeprefix("v").split(".", 2)
    package = "k8s.io/component-base/version"
    values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(["-s", "-w", *(f"-X {package}.{name}={value}" for name, value in values.items())])


class GoPrograms:
    """The programs as entries of the cache; each is built when first asked for."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def kube_key(self) -> str:
        return digest(toolchain(), linker_flags(KUBERNETES_VERSION), source_digest(SOURCES / "kubernetes"))

    def kube(self) -> Path:
        return self._build("kube", self.kube_key(), SOURCES / "kubernetes", linker_flags(KUBERNETES_VERSION))

    def wrapper(self) -> Path:
        folder = SOURCES / "runtime-wrapper"
        return self._build("runtime-wrapper", digest(toolchain(), source_digest(folder)), folder, "-s -w")

    def kind(self) -> Path:
        """Unmodified, from its own module; Go checks the download against its public checksum database."""

        def build(draft: Path) -> None:
            program = ["go", "install", "-ldflags", "-s -w", f"{KIND_MODULE}@{KIND_VERSION}"]
            process.run(program, env={**ENV, "GOBIN": str(draft)}, cwd=SOURCES)

        return self._cache.ensure("kind", digest(toolchain(), KIND_VERSION), build) / "kind"

    def have_kube(self) -> bool:
        return self._cache.path("kube", self.kube_key()).exists()

    def _build(self, name: str, key: str, module: Path, flags: str) -> Path:
        def build(draft: Path) -> None:
            draft.mkdir()
            process.run(["go", "build", "-ldflags", flags, "-o", draft / name, "."], env=ENV, cwd=module)

        return self._cache.ensure(name, key, build) / name


def kind_sources() -> Path:
    """The folder of kind's module as published, with the files of its node image."""
    text = process.run(["go", "mod", "download", "-json", f"{KIND_MODULE}@{KIND_VERSION}"], env=ENV, cwd=SOURCES)
    return Path(json.loads(text)["Dir"])
