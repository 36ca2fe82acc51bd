"""vLLM's packages from PyPI, installed into a folder with locked hashes and compiled."""

import platform
import subprocess
from pathlib import Path

from images import wheels
from images.docker import BuildError, Docker
from images.wheels import python_of, slim

HERE = Path(__file__).resolve().parent
LOCKS = (HERE / "requirements.txt", HERE / "vllm.txt")
PYTHON = "3.11"
MACHINE = "x86_64"
PLACE = "/opt/vllm"
"""Where the folder is in the image."""
DEBIAN_PACKAGE = "libnuma1"


def check_python(docker: Docker, base: str) -> None:
    """`BuildError` where the base or this machine is not what the lock is for."""
    if platform.machine() != MACHINE:
        raise BuildError(
            f"vLLM's build for the CPU is locked for {MACHINE} only, and this machine is {platform.machine()}."
        )
    found = python_of(docker, base)
    if found != PYTHON:
        raise BuildError(f"{base} has Python {found}; vLLM's packages are locked for {PYTHON}: choose such a base.")


def install(site: Path) -> None:
    """Every locked package, for the base's Python, without what only a GPU would load."""
    wheels.install(LOCKS, site, PYTHON)
    slim(site)
    # Any user ID reads them.
    subprocess.run(["chmod", "--recursive", "a+rX", str(site)], check=True)


def compile_all(docker: Docker, base: str, site: Path) -> None:
    """Once and for all, by the base's own Python: a pod that may not write there would compile at every start."""
    compiling = f"python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /site -p {PLACE} /site"
    # torch has modules in the syntax of later Pythons, which fail, rightly.
    script = f"{compiling} >/dev/null 2>&1; test -d /site/vllm/__pycache__"
    docker.run("run", "--rm", "--network=none", "--volume", f"{site}:/site", "--entrypoint=sh", base, "-c", script)
