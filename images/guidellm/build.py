"""GuideLLM's images, built and put into the local cluster: `python -m images.guidellm.build [VERSION …]`.

The wheels are those of a lock with hashes, installed here, for the base image's own Python, because the build itself
may have no network. What only a GPU would load is left out: GuideLLM sends requests.
"""

import argparse
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from devcluster.cache import Cache, digest, lock
from devcluster.settings import load
from images.docker import BuildError, Docker, devcluster, say
from images.operator.build import PUBLIC_BASE, ROOT
from images.wheels import FOR_GPUS_ALONE, install, python_of, slim

HERE = Path(__file__).resolve().parent
DOCKERFILE = HERE / "Dockerfile"
REPOSITORY = "docker.io/enginebench/guidellm"
LOCKS = {
    "0.2.1": HERE / "0.2.1.txt",
    "0.8.1": ROOT / "requirements" / "peers" / "guidellm.txt",
}
PROGRAM = '#!/bin/sh\nexec python3 -m guidellm "$@"\n'
NOT_NEEDED = (*FOR_GPUS_ALONE, "triton", "triton-*", "bin")
"""Most of it of 0.8.1's dependency torch, which PyPI has for CUDA alone."""


def build_image(version: str, base: str) -> str:
    """The image's name; built unless it is there, made of the same."""
    docker = Docker()
    base_id = docker.require(base)
    image, python = f"{REPOSITORY}:{version}", python_of(docker, base)
    wheels = digest(LOCKS[version].read_bytes(), python, platform.machine(), *NOT_NEEDED)
    key = digest(wheels, DOCKERFILE.read_bytes(), PROGRAM, base_id)
    if docker.key(image) == key:
        say(f"{image} is up to date")
        return image
    site = packages(version, wheels, python)
    with tempfile.TemporaryDirectory(dir=site.parent) as context:
        program = Path(context) / "guidellm"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        shutil.copy(DOCKERFILE, context)
        shutil.copytree(site, Path(context) / "site", copy_function=_link)
        say(f"Building {image}")
        of = [word for said in (f"BASE={base}", f"KEY={key}", f"VERSION={version}") for word in ("--build-arg", said)]
        docker.run("build", "--quiet", "--tag", image, *of, context)
    said = docker.run("run", "--rm", "--network=none", "--entrypoint=python3", image, "-c", CHECK)
    if said != version:
        docker.run("rmi", image)
        raise BuildError(f"What was built is not GuideLLM {version}: it says {said[-500:]!r}.")
    say(f"Built {image}, {docker.megabytes_above(image, base):.0f} MB above {base}")
    return image


CHECK = "import guidellm.__main__, importlib.metadata; print(importlib.metadata.version('guidellm'))"
"""Everything that its command imports is there."""


def packages(version: str, key: str, python: str) -> Path:
    """The installed packages, kept in the cache."""
    cache = load().cache / "guidellm"
    with lock(cache, lambda pid: say(f"Another build (process {pid}) is under way: waiting for it")):
        return Cache(cache).ensure(f"site-{version}", key, lambda draft: _install(version, python, draft)) / "site"


def _install(version: str, python: str, draft: Path) -> None:
    say(f"Installing GuideLLM {version} for Python {python} (a minute; 0.8.1 some minutes and 4 GB, once)")
    site = draft / "site"
    install([LOCKS[version]], site, python)
    slim(site, NOT_NEEDED)


def _link(source: str, target: str) -> None:
    """The same file under another name: it is only read."""
    Path(target).hardlink_to(source)


def main() -> int:
    parser = argparse.ArgumentParser(description="Build GuideLLM's images, and put them into the cluster.")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"of {', '.join(LOCKS)}; all")
    versions = parser.parse_args().versions or list(LOCKS)
    if unknown := set(versions) - set(LOCKS):
        parser.error(f"there is no lock of {', '.join(sorted(unknown))}")
    try:
        base = devcluster("base-image") or PUBLIC_BASE
        for version in versions:  # into the worker alone: load pods go nowhere else, and a copy of 0.8.1 takes 7 GB
            devcluster("load", "--worker", build_image(version, base))
    except BuildError as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
