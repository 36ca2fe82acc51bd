"""What images are made of that is neither theirs nor ours: locked wheels from PyPI, and Debian's packages."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from images.docker import BuildError, Docker

GLIBC = 34
"""2.34 or later is what a base must have."""
TESTS = "**/tests"
"""The packages' own, thousands of files that no image needs."""


def python_of(docker: Docker, base: str) -> str:
    """The version of the base's Python, as `3.11`."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    return docker.run("run", "--rm", "--network=none", "--entrypoint=python3", base, "-c", asked)


def requirements(lock: str) -> list[str]:
    """The packages of a lock, each with its hashes."""
    return [part.strip() for part in re.split(r"^(?=[\w#])", lock, flags=re.MULTILINE) if re.match(r"\w", part)]


def install(lock: str, site: Path, python: str) -> None:
    """Every package of a lock into a folder, for that Python on this machine's kind of processor, not compiled.

    Their tests are left out. Nothing is resolved: a lock names all that is needed. `BuildError` where one cannot be had.
    """
    machine = platform.machine()
    glibc = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(17, GLIBC + 1)]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--no-cache-dir", "--require-hashes", "--no-deps", "--only-binary=:all:"),
        *("--implementation=cp", f"--python-version={python}"),
        *(f"--platform={tag}_{machine}" for tag in ("manylinux1", "manylinux2010", "manylinux2014")),
        *glibc,
        f"--target={site}",
        "--requirement=/dev/stdin",
    ]
    site.mkdir(parents=True)
    # pip's scratch lies beside the target, into which it moves what it has unpacked: elsewhere that were a copy.
    environment = {**os.environ, "TMPDIR": str(site.parent)}
    if subprocess.run(command, input=lock, text=True, env=environment, check=False).returncode:
        raise BuildError(f"`{' '.join(command)}` failed; what it said stands above.")
    remove(site, [TESTS])


def remove(site: Path, patterns: Sequence[str]) -> None:
    """What is not needed, by its patterns in the folder."""
    for pattern in patterns:
        for path in list(site.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def compile_all(docker: Docker, base: str, site: Path, place: str) -> None:
    """Once and for all, by the base's own Python: a pod that may not write there would compile at every start."""
    compiling = f"python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /site -p {place} /site"
    # Some have modules in the syntax of later Pythons, which fail, rightly.
    script = f"{compiling} >/dev/null 2>&1; ls /site/*/__pycache__ >/dev/null"
    where = ["--network=none", docker.as_caller(), "--volume", f"{site}:/site"]
    docker.run("run", "--rm", *where, "--entrypoint=sh", base, "-c", script)


def debian_packages(folder: Path, *names: str) -> None:
    """Their .deb in a new folder, where apt-get is there; an image's build fetches them elsewhere."""
    folder.mkdir()
    (folder / "README").write_text("What apt-get got for the build.\n")
    if shutil.which("apt-get"):
        # As root apt-get would hand the download to a user that may not write here.
        command = ["apt-get", "download", *names, "-o", "APT::Sandbox::User=root"]
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)
        if done.returncode:
            raise BuildError(
                f"`{' '.join(command)}` failed: run `apt-get update` and try again.\n{done.stderr[-2000:]}"
            )
