"""Real Ollama 0.9.2 and a tiny model, built and put into the local cluster: `python -m images.ollama.build`.

The image takes the official one's name, so that what names no image runs it; an official image that is there
is left alone and used. The model lies on the worker node, in a folder that a PersistentVolume can show.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from devcluster.cache import digest
from images.ollama.binary import VERSION, OllamaError, ensure_ollama_binary, file_digest, say
from images.ollama.models import ensure_tiny_model

IMAGE = f"docker.io/ollama/ollama:{VERSION}"
PUBLIC_BASE = "docker.io/library/debian:bookworm-slim"
DOCKERFILE = Path(__file__).with_name("Dockerfile")
NODE_FOLDER = "/var/lib/enginebench/models"
"""The models folder on the worker node."""
_KEY_LABEL = "dev.enginebench.key"


def build_image(docker_host: str | None = None, base: str = PUBLIC_BASE) -> str:
    """The image's name in the engine at `docker_host` (None: docker's own choice); built unless it is there."""
    docker = _Docker(docker_host)
    if docker.field(IMAGE, ".Id") and not docker.label(IMAGE):
        say(f"{IMAGE} is there and not ours: it is used as it is")
        return IMAGE
    binary = ensure_ollama_binary()
    if not docker.field(base, ".Id"):
        docker.run("pull", "--quiet", base)
    key = digest(file_digest(binary), DOCKERFILE.read_bytes(), docker.field(base, ".Id"))
    if docker.label(IMAGE) == key:
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
        raise OllamaError(
            f"Ollama does not run on {base}: {said.strip()}. It needs libstdc++ and a C library not older than the "
            "one that it was built with: choose a base as new as this machine's system."
        )
    size = int(docker.field(IMAGE, ".Size")) - int(docker.field(base, ".Size"))
    say(f"Built {IMAGE}, {size / 1e6:.0f} MB above {base}")
    return IMAGE


class _Docker:
    def __init__(self, host: str | None) -> None:
        self._environment = {**os.environ, "DOCKER_BUILDKIT": "0", **({"DOCKER_HOST": host} if host else {})}

    def run(self, *arguments: str) -> str:
        """What one docker command prints; `OllamaError` with its own words where it fails."""
        done = self._attempt(*arguments)
        if done.returncode:
            raise OllamaError(f"`docker {' '.join(arguments)}` failed:\n{done.stderr[-4000:]}")
        return done.stdout.strip()

    def field(self, image: str, field: str) -> str:
        """A field of an image, empty where there is no such image."""
        done = self._attempt("image", "inspect", "--format", "{{" + field + "}}", image)
        return done.stdout.strip() if done.returncode == 0 else ""

    def label(self, image: str) -> str:
        """What the image of ours was built from, empty where it is not ours."""
        return self.field(image, f'index .Config.Labels "{_KEY_LABEL}"')

    def _attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["docker", *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)


def devcluster(*arguments: str) -> str:
    command = [sys.executable, "-m", "devcluster", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise OllamaError(f"`{' '.join(command)}` failed; what it said stands above.")
    return done.stdout.strip()


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
        devcluster("node-copy", str(model.folder), NODE_FOLDER)
    except OllamaError as error:
        say(str(error))
        return 1
    say(f"{IMAGE} is on the nodes, the model {model.name} in {NODE_FOLDER} on the worker")
    return 0


if __name__ == "__main__":
    sys.exit(main())
