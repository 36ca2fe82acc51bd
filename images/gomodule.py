"""Programs of published Go modules. Go checks each download against its public checksum database."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from images.docker import BuildError

# Options of the user's that would change what is built, or fail it, do not count here.
ENVIRONMENT = {"GOFLAGS": "-buildvcs=false", "GOWORK": "off"}


def toolchain() -> str:
    """The version of go, as in `go1.26.8`."""
    return _go("env", "GOVERSION").strip()


def download(module: str, version: str) -> str:
    """What `go mod download -json` says of the module: `Dir` is its folder."""
    return _go("mod", "download", "-json", f"{module}@{version}")


def install(
    package: str, version: str, into: Path, *, flags: str = "", environment: Mapping[str, str] | None = None
) -> None:
    """The package's program in the folder `into`; `flags` are the linker's."""
    _go("install", "-ldflags", flags, f"{package}@{version}", **(environment or {}), GOBIN=str(into))


def _go(*arguments: str, **environment: str) -> str:
    """What it prints; `BuildError` with its own words where it fails."""
    if not shutil.which("go"):
        raise BuildError("go is not on PATH: install Go (https://go.dev/doc/install).")
    command = ["go", *arguments]
    variables = {**os.environ, **ENVIRONMENT, **environment}
    done = subprocess.run(command, env=variables, cwd="/", capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"`{' '.join(command)}` failed:\n{done.stderr[-4000:]}")
    return done.stdout
