"""GuideLLM's images, built and put into the local cluster: `python -m images.guidellm.build [VERSION …]`.

The wheels are those of a lock with hashes, installed here, for the base image's own Python, because a build in docker
may have no network.
"""

import argparse
import platform
import sys
import tempfile
from pathlib import Path

from devcluster.cache import Cache, digest, lock
from devcluster.errors import DevclusterError
from devcluster.settings import load
from images import torch
from images.docker import BuildError, Docker, devcluster, say
from images.large import LargeImage, OnWorker, Place
from images.layers import Layer, measured, recorded
from images.operator.build import PUBLIC_BASE
from images.wheels import TESTS, install, python_of, remove

HERE = Path(__file__).resolve().parent
DOCKERFILE = HERE / "Dockerfile"
REPOSITORY = "docker.io/enginebench/guidellm"
SMALL = "localhost/enginebench/guidellm-without-packages"
LOCKS = {version: HERE / f"{version}.txt" for version in ("0.2.1", "0.8.1")}
PROGRAM = '#!/bin/sh\nexec python3 -m guidellm "$@"\n'
PLACE = "/opt/guidellm"
"""Where the layer lies in the image."""
NOT_NEEDED = ("bin",)
CHECK = f"""
import importlib.metadata, py_compile, sys
import anyio._backends._asyncio, guidellm.__main__, guidellm.benchmark, httpcore
for path in [getattr(module, "__file__", None) or "" for module in sys.modules.values()]:
    if path.startswith("{PLACE}/") and path.endswith(".py"):
        py_compile.compile(path, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
print(importlib.metadata.version("guidellm"))
"""
"""All that it imports, at its start and later, is there, and compiled once: else each of its processes does so."""


def build_image(docker: Docker, version: str, base: str, place: Place) -> None:
    """Built into the place, unless it is there, made of the same."""
    image, small, python = f"{REPOSITORY}:{version}", f"{SMALL}:{version}", python_of(docker, base)
    small_key = digest(docker.require(base), DOCKERFILE.read_bytes(), PROGRAM)
    if docker.key(small) != small_key:
        build_small(docker, version, base, small_key)
    layers = packages(docker, version, base, python)  # kept where the image is up to date, too: tests use them
    key = digest(small_key, key_of_packages(version, python))
    if place.has(image, key):
        say(f"{image} is up to date")
        return
    place.receive(LargeImage(image, key, small, layers))
    say(f"Built {image}, {sum(layer.size for layer in layers) / 1e6:.0f} MB of packages above {base}")


def build_small(docker: Docker, version: str, base: str, key: str) -> None:
    """The image without its packages."""
    with tempfile.TemporaryDirectory() as context:
        program = Path(context) / "guidellm"
        program.write_text(PROGRAM)
        program.chmod(0o755)
        (Path(context) / "Dockerfile").write_bytes(DOCKERFILE.read_bytes())
        docker.build(f"{SMALL}:{version}", context, BASE=base, KEY=key, VERSION=version)


def key_of_packages(version: str, python: str) -> str:
    """Changes with either layer."""
    shared, rest = torch.split(LOCKS[version].read_text())
    return digest(rest, torch.key(shared, python), python, platform.machine(), TESTS, *NOT_NEEDED, CHECK)


def folders(version: str, python: str) -> list[Path]:
    """Where the packages lie in the cache, in the order of PYTHONPATH, if they were installed."""
    shared, _ = torch.split(LOCKS[version].read_text())
    own = Cache(load().cache / "guidellm").path(f"site-{version}", key_of_packages(version, python)) / "site"
    return [own, *([torch.folder(shared, python)] if shared else [])]


def packages(docker: Docker, version: str, base: str, python: str) -> list[Layer]:
    """torch, where it is in the lock, and GuideLLM, installed in the cache unless they are there, and tried."""
    shared, rest = torch.split(LOCKS[version].read_text())
    below = [torch.layer(shared, python, docker, base)] if shared else []
    cache = load().cache / "guidellm"

    def make(draft: Path) -> None:
        say(f"Installing GuideLLM {version} for Python {python} (a minute, once)")
        site = draft / "site"
        install(rest, site, python)
        remove(site, NOT_NEEDED)
        seen = {site: PLACE, **{layer.folder: layer.place for layer in below}}
        said = docker.run_python(f"{SMALL}:{version}", CHECK, seen, writable=True)
        if said != version:
            raise BuildError(f"What was installed is not GuideLLM {version}: it says {said[-500:]!r}.")
        measured(site, PLACE).record(draft)

    with lock(cache, lambda pid: say(f"Another build (process {pid}) is under way: waiting for it")):
        entry = Cache(cache).ensure(f"site-{version}", key_of_packages(version, python), make)
    return [*below, recorded(entry, entry / "site", PLACE)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Build GuideLLM's images, and put them into the cluster.")
    parser.add_argument("versions", nargs="*", metavar="VERSION", help=f"of {', '.join(LOCKS)}; all")
    versions = parser.parse_args().versions or list(LOCKS)
    if unknown := set(versions) - set(LOCKS):
        parser.error(f"there is no lock of {', '.join(sorted(unknown))}")
    docker = Docker()
    try:
        base = devcluster("base-image") or PUBLIC_BASE
        for version in versions:  # into the worker alone: load pods go nowhere else
            build_image(docker, version, base, OnWorker(docker))
    except (BuildError, DevclusterError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
