"""Build the operator's image, unless the same one exists already: `python -m images.operator.build`.

The tag is the digest of everything that goes into the image, so an unchanged image is never built, loaded or
rolled out again. The wheels are downloaded here, for the base image's own Python, because the build itself
may have no network. The image's reference goes to stdout and to build/operator-image, what happens to stderr.
"""

import argparse
import hashlib
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from devcluster.settings import PUBLIC_PYTHON_IMAGE

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "operator-image"
"""Holds the reference of the image that was built last."""
PUBLIC_IMAGE = "docker.io/enginebench/operator"
"""Its name in the manifests."""
REPOSITORY = "localhost/enginebench/operator"
PUBLIC_BASE = f"docker.io/library/{PUBLIC_PYTHON_IMAGE}"
"""With the Python and the C library of the base that is built where there is no registry: both get the same wheels."""
LOCKS = ("requirements/runtime.txt", "requirements/installer.txt")
MAX_ADDED_BYTES = 200_000_000
"""What the image may add to its base."""


def sources(root: Path) -> list[Path]:
    """Every file that the Dockerfile takes from the repository, in a fixed order."""
    package = (path for path in (root / "operator" / "enginebench").rglob("*") if path.is_file())
    code = (path for path in package if "__pycache__" not in path.parts)
    return sorted([root / "Dockerfile", root / ".dockerignore", *(root / lock for lock in LOCKS), *code])


def digest(root: Path, files: Iterable[Path], *salts: str) -> str:
    """The first 12 hex digits of a SHA-256 over names, contents and `salts` (the base image's ID)."""
    total = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root)} {content}\n".encode())
    total.update("\n".join(salts).encode())
    return total.hexdigest()[:12]


def download_command(folder: Path, python_version: str, machine: str) -> list[str]:
    """Brings every locked wheel for a Python (`3.11`) and a machine (`x86_64`) into `folder`."""
    glibc = [f"--platform=manylinux_2_{minor}_{machine}" for minor in (17, 28)]
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--require-hashes", "--no-deps", "--only-binary=:all:"),
        *("--implementation=cp", f"--python-version={python_version}"),
        *(f"--platform=manylinux2014_{machine}", *glibc),
        *(argument for lock in LOCKS for argument in ("--requirement", lock)),
        f"--dest={folder}",
    ]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def docker(*arguments: str) -> str:
    """Stdout of one docker command; its stderr goes to the terminal."""
    return subprocess.run(["docker", *arguments], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def docker_build(folder: Path, image: str, **arguments: str) -> None:
    """Build the Dockerfile in `folder`. What docker says is shown only where it fails."""
    options = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    command = ["docker", "build", "--tag", image, *options, "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)
    if done.returncode:
        say(done.stdout + done.stderr)
        raise SystemExit(f"`{' '.join(command)}` failed in {folder}; what it said stands above.")


def image_field(image: str, field: str) -> str:
    """A field of an image in the engine (`.Id`, `.Size`), or an empty string where there is no such image."""
    found = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{" + field + "}}", image],
        capture_output=True,
        check=False,
        text=True,
    )
    return found.stdout.strip() if found.returncode == 0 else ""


def fetch_wheels(root: Path, base: str) -> None:
    """Fill build/wheels for the base image's Python; nothing to do where they are there already."""
    version = docker(
        *("run", "--rm", "--network=none", "--entrypoint=python3", base),
        *("-c", "import sys; print('%d.%d' % sys.version_info[:2])"),
    )
    folder = root / "build" / "wheels"
    key = digest(root, (root / lock for lock in LOCKS), version, platform.machine())
    stamp = folder / "key"
    if stamp.is_file() and stamp.read_text() == key:
        return
    say(f"Downloading the wheels for Python {version} (about 25 MB)")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(download_command(folder, version, platform.machine()), cwd=root, check=True)
    stamp.write_text(key)


def build(root: Path, base: str) -> str:
    """The reference of the image that is made of what stands in `root` now."""
    if not image_field(base, ".Id"):
        say(f"Pulling {base}")
        docker("pull", "--quiet", base)
    image = f"{REPOSITORY}:{digest(root, sources(root), image_field(base, '.Id'))}"
    if image_field(image, ".Id"):
        say(f"{image} is up to date")
        return image
    started = time.monotonic()
    fetch_wheels(root, base)
    say(f"Building {image} on {base} (about half a minute; a few seconds where only our code changed)")
    docker_build(root, image, BASE=base)
    added = int(image_field(image, ".Size")) - int(image_field(base, ".Size"))
    say(f"Built in {time.monotonic() - started:.0f} s; {added / 1e6:.0f} MB above its base")
    if not image.endswith(digest(root, sources(root), image_field(base, ".Id"))):
        say("The sources changed while they were built: once more")
        docker("rmi", image)
        return build(root, base)
    if added > MAX_ADDED_BYTES:
        docker("rmi", image)
        raise SystemExit(f"The image adds {added / 1e6:.0f} MB to its base: the limit is 200 MB")
    return image


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the operator's image, unless it exists.")
    parser.add_argument("--base", default=PUBLIC_BASE, help="image with Python 3.11 or later (default: %(default)s)")
    image = build(ROOT, parser.parse_args().base)
    BUILT.parent.mkdir(exist_ok=True)
    BUILT.write_text(image + "\n")
    print(image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
