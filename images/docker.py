"""What the builds of the engines' images ask of docker and of the local cluster."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

KEY_LABEL = "dev.enginebench.key"
"""The label of an image that says what it was built from."""


class BuildError(Exception):
    """What is missing or failed, and what to do."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Docker:
    """The docker command; `host` is the engine (None: docker's own choice)."""

    def __init__(self, host: str | None = None) -> None:
        self._environment = {**os.environ, "DOCKER_BUILDKIT": "0", **({"DOCKER_HOST": host} if host else {})}

    def run(self, *arguments: str) -> str:
        """What one docker command prints; `BuildError` with its own words where it fails."""
        done = self._attempt(*arguments)
        if done.returncode:
            raise BuildError(f"`docker {' '.join(arguments)}` failed:\n{(done.stderr or done.stdout)[-4000:]}")
        return done.stdout.strip()

    def build(self, image: str, context: str, **arguments: str) -> None:
        """The Dockerfile in a folder, built; its `KEY` is the image's label."""
        given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        self.run("build", "--quiet", "--tag", image, *given, context)

    def run_python(self, image: str, code: str, folders: Mapping[Path, str], writable: bool = False) -> str:
        """What a program prints in an image, with folders of this machine at their places in it; no network."""
        mode = "rw" if writable else "ro"
        seen = [word for folder, place in folders.items() for word in ("--volume", f"{folder}:{place}:{mode}")]
        user = [self.as_caller()] if writable else []
        return self.run("run", "--rm", "--network=none", *user, *seen, "--entrypoint=python3", image, "-c", code)

    def as_caller(self) -> str:
        """The option with which what a container writes into a folder of this machine is the caller's."""
        rootless = "name=rootless" in self.run("info", "--format", "{{.SecurityOptions}}")  # root there is the caller
        return "--user=0:0" if rootless else f"--user={os.getuid()}:{os.getgid()}"

    def field(self, image: str, field: str) -> str:
        """A field of an image, empty where there is no such image."""
        done = self._attempt("image", "inspect", "--format", "{{" + field + "}}", image)
        return done.stdout.strip() if done.returncode == 0 else ""

    def key(self, image: str) -> str:
        """What an image of ours was built from, empty where it is not ours."""
        return self.field(image, f'index .Config.Labels "{KEY_LABEL}"')

    def require(self, base: str) -> str:
        """The ID of a base image, which is pulled where it is not there."""
        if not self.field(base, ".Id"):
            self.run("pull", "--quiet", base)
        return self.field(base, ".Id")

    def megabytes_above(self, image: str, base: str) -> float:
        """What an image adds to its base, in MB."""
        return (int(self.field(image, ".Size")) - int(self.field(base, ".Size"))) / 1e6

    def _attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["docker", *arguments]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)


def devcluster(*arguments: str) -> str:
    """What a command of devcluster prints; it says on stderr what it does."""
    command = [sys.executable, "-m", "devcluster", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise BuildError(f"`{' '.join(command)}` failed; what it said stands above.")
    return done.stdout.strip()
