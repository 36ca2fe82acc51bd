"""Real Ollama 0.9.2 and a tiny model, built and put into the local cluster: `python -m images.ollama.build`.

The image takes the official one's name, so that what names no image runs it; an official image that is there
is left alone and used. The model lies on the worker node, in a folder that a PersistentVolume can show.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from devcluster.cache import digest
from images.docker import BuildError, Docker, devcluster, say
from images.ollama.binary import VERSION, ensure_ollama_binary, file_digest
from images.ollama.models import ensure_tiny_model
from images.tiny import weights

IMAGE = f"docker.io/ollama/ollama:{VERSION}"
PUBLIC_BASE = "docker.io/library/debian:bookworm-slim"
DOCKERFILE = Path(__file__).with_name("Dockerfile")
NODE_FOLDER = "/var/lib/enginebench/models"
"""The models folder on the worker node."""


def build_image(docker_host: str | None = None, base: str = PUBLIC_BASE) -> str:
    """The image's name in the engine at `docker_host` (None: docker's own choice); built unless it is there."""
    docker = Docker(docker_host)
    if docker.field(IMAGE, ".Id") and not docker.key(IMAGE):
        say(f"{IMAGE} is there and not ours: it is used as it is")
        return IMAGE
    binary = ensure_ollama_binary()
    key = digest(file_digest(binary), DOCKERFILE.read_bytes(), docker.require(base))
    if docker.key(IMAGE) == key:
        say(f"{IMAGE} is up to date")
        return IMAGE
    with tempfile.TemporaryDirectory() as context:
        shutil.copy(binary, context)
        shutil.copy(DOCKERFILE, context)
        arguments = ["--build-arg", f"BASE={base}", "--build-arg", f"KEY={key}"]
        docker.run("build", "--quiet", "--tag", IMAGE, *arguments, context)
    said = docker.run("run", "--rm", "--network=none", IMAGE, "--version")
    if VERSION not in said:
        docker.run("rmi", IMAGE)
        raise BuildError(
            f"Ollama does not run on {base}: {said.strip()}. It needs libstdc++ and a C library not older than the "
            "one that it was built with: choose a base as new as this machine's system."
        )
    say(f"Built {IMAGE}, {docker.megabytes_above(IMAGE, base):.0f} MB above {base}")
    return IMAGE


def main() -> int:
    parser = argparse.ArgumentParser(description="Build Ollama and the tiny model, and put both into the cluster.")
    parser.add_argument("--no-cluster", action="store_true", help="build only; name the program and the model")
    arguments = parser.parse_args()
    try:
        model = ensure_tiny_model()
        if arguments.no_cluster:
            print(ensure_ollama_binary())
            print(model.folder)
            return 0
        devcluster("load", build_image(base=devcluster("base-image")))
        for part in sorted(model.folder.iterdir()):  # what others have put there stays
            devcluster("node-copy", str(part), f"{NODE_FOLDER}/{part.name}")
    except BuildError as error:
        say(str(error))
        return 1
    say(f"{IMAGE} is on the nodes, the models {' and '.join(weights.FORMS)} in {NODE_FOLDER} on the worker")
    return 0


if __name__ == "__main__":
    sys.exit(main())
