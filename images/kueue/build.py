"""Kueue's controller, built from its Go module and put into the local cluster: `python -m images.kueue.build`."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from devcluster.cache import Cache, digest, lock
from devcluster.settings import load
from images.docker import BuildError, Docker, devcluster, say
from images.gomodule import download, install, toolchain

VERSION = "v0.19.0"
MODULE = "sigs.k8s.io/kueue"
IMAGE = f"docker.io/enginebench/kueue:{VERSION}"
DOCKERFILE = Path(__file__).resolve().parent / "Dockerfile"
ENVIRONMENT = {"CGO_ENABLED": "0"}
LINKER_FLAGS = f"-s -w -X {MODULE}/pkg/version.GitVersion={VERSION}"


def sources() -> Path:
    """The folder of the module as published, its manifests included."""
    return Path(json.loads(download(MODULE, VERSION))["Dir"])


def ensure_binary() -> Path:
    """The program; built where this module has not been built with this toolchain (minutes)."""

    def build(draft: Path) -> None:
        say(f"Building Kueue {VERSION} from its Go module (4 to 8 minutes on two cores, once)")
        install(f"{MODULE}/cmd/kueue", VERSION, draft, flags=LINKER_FLAGS, environment=ENVIRONMENT)

    place = load().cache / "kueue"
    with lock(place, lambda pid: say(f"Another build (process {pid}) is under way: waiting for it")):
        return Cache(place).ensure("kueue", digest(VERSION, LINKER_FLAGS, toolchain()), build) / "kueue"


def build_image() -> str:
    """The image's name; built unless it is there, made of the same."""
    docker, program = Docker(), ensure_binary()
    key = digest(program.parent.name, DOCKERFILE.read_bytes())
    if docker.key(IMAGE) == key:
        say(f"{IMAGE} is up to date")
        return IMAGE
    with tempfile.TemporaryDirectory() as context:
        shutil.copy(program, context)
        shutil.copy(DOCKERFILE, context)
        docker.run("build", "--quiet", "--tag", IMAGE, "--build-arg", f"KEY={key}", context)
    return IMAGE


def main() -> int:
    try:
        devcluster("load", "--worker", build_image())
    except BuildError as error:
        say(str(error))
        return 1
    say(f"{IMAGE} is on the worker")
    return 0


if __name__ == "__main__":
    sys.exit(main())
