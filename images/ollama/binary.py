"""Ollama 0.9.2 from its Go module, for the CPU, kept in the cache."""

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from devcluster.cache import Cache, digest, lock
from devcluster.settings import load
from images import gomodule
from images.docker import BuildError, say

VERSION = "0.9.2"
MODULE = "github.com/ollama/ollama"
LINKER_FLAGS = f"-s -w -X {MODULE}/version.Version={VERSION}"
_CPUINFO = Path("/proc/cpuinfo")
_LEVEL_3 = {"avx2", "bmi2", "f16c", "fma"}
GO_MINIMUM = "1.24"


def cache_root() -> Path:
    """`${XDG_CACHE_HOME:-~/.cache}/enginebench/ollama`; `make cluster-purge` removes it with all else."""
    return load().cache / "ollama"


def ensure_ollama_binary() -> Path:
    """The program; built by `go install` where this module has not been built with this toolchain (minutes)."""
    toolchain = (_said("go", "env", "GOVERSION"), _said("c++", "--version"), platform.machine())
    key = digest(VERSION, LINKER_FLAGS, compiler_flags(), *toolchain)
    with lock(cache_root(), _waiting):
        return Cache(cache_root()).ensure("ollama", key, _build) / "ollama"


def compiler_flags() -> str:
    """For this machine's vector instructions: without them 16-bit weights are read 20 times as slowly.

    The official image carries a library for each kind of CPU instead, which `go install` does not build.
    """
    text = _CPUINFO.read_text() if platform.machine() == "x86_64" and _CPUINFO.exists() else ""
    return "-O3 -march=x86-64-v3" if set(text.split()) >= _LEVEL_3 else "-O3"


def _build(draft: Path) -> None:
    say(f"Building Ollama {VERSION} from its Go module (2 to 5 minutes on two cores, once)")
    compiled = {"CGO_CFLAGS": compiler_flags(), "CGO_CXXFLAGS": compiler_flags()}
    gomodule.install(MODULE, f"v{VERSION}", draft, flags=LINKER_FLAGS, environment={"CGO_ENABLED": "1", **compiled})
    version = _said(str(draft / "ollama"), "--version")
    if VERSION not in version:
        raise BuildError(f"The Ollama that was built calls itself {version!r}, not {VERSION}.")


def _said(*command: str) -> str:
    """What a program prints; `BuildError` where there is none."""
    if not shutil.which(command[0]):
        raise BuildError(
            f"{command[0]} is not on PATH: Ollama is built with Go {GO_MINIMUM} or later and a C++ compiler "
            "(Debian: apt-get install g++; the Go of Debian 12 is older)."
        )
    environment = {**os.environ, **gomodule.ENVIRONMENT}
    done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _waiting(pid: str) -> None:
    say(f"Another build (process {pid}) is under way: waiting for it")
