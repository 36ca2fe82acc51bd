"""Real vLLM 0.32.0 on the CPU and the tiny model, built and put into the local cluster: `python -m images.vllm.build`.

Only the worker gets the image, for it is large and engines run there. The model lies there, too, in a folder that a
PersistentVolume can show, beside Ollama's.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from devcluster.cache import digest
from devcluster.errors import DevclusterError
from images.docker import BuildError, Docker, devcluster, say
from images.large import InDocker, LargeImage, OnWorker, Place
from images.ollama.build import NODE_FOLDER
from images.operator.build import PUBLIC_BASE
from images.tiny import folder, weights
from images.vllm import packages
from images.wheels import debian_packages

VERSION = packages.VERSION
IMAGE = f"docker.io/enginebench/vllm-cpu:{VERSION}"
SMALL = f"localhost/enginebench/vllm-without-packages:{VERSION}"
DOCKERFILE = packages.HERE / "Dockerfile"


def build_image(docker: Docker, base: str, place: Place) -> None:
    """Built into the place, unless it is there, made of the same."""
    small_key = digest(docker.require(base), DOCKERFILE.read_bytes(), packages.DEBIAN_PACKAGE)
    key = digest(small_key, packages.key_of_packages())
    if place.has(IMAGE, key):
        say(f"{IMAGE} is up to date")
        return
    packages.check_python(docker, base)
    started = time.monotonic()
    if docker.key(SMALL) != small_key:
        build_small(docker, base, small_key)
    image = LargeImage(IMAGE, key, SMALL, packages.layers(docker, base, SMALL))
    place.receive(image)
    size = sum(layer.size for layer in image.layers) / 1e6
    say(f"Built {IMAGE} in {time.monotonic() - started:.0f} s, {size:.0f} MB of packages above {base}")


def build_small(docker: Docker, base: str, key: str) -> None:
    """The image without its packages."""
    with tempfile.TemporaryDirectory() as context:
        debian_packages(Path(context) / "packages", packages.DEBIAN_PACKAGE)
        (Path(context) / "Dockerfile").write_bytes(DOCKERFILE.read_bytes())
        docker.build(SMALL, context, BASE=base, KEY=key)


def put_models() -> None:
    """The folders on the worker that vLLM loads."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, layers in weights.FORMS.items():
            made = Path(scratch) / name
            folder.write(made, layers=layers)
            devcluster("node-copy", str(made), f"{NODE_FOLDER}/{name}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build vLLM and the tiny model, and put both into the cluster.")
    parser.add_argument("--no-cluster", action="store_true", help="build the image only, into docker; print its name")
    parser.add_argument("--base", help=f"image with Python 3.11 (default: the cluster's own; {PUBLIC_BASE})")
    arguments = parser.parse_args()
    docker = Docker()
    try:
        if arguments.no_cluster:
            build_image(docker, arguments.base or PUBLIC_BASE, InDocker(docker))
            print(IMAGE)
            return 0
        base = arguments.base or devcluster("base-image")
        build_image(docker, base, OnWorker(docker))
        put_models()
    except (BuildError, DevclusterError) as error:
        say(str(error))
        return 1
    say(f"{IMAGE} is on the worker, the models {' and '.join(weights.FORMS)} in {NODE_FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
