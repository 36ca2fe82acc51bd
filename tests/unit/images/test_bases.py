"""One Python under every image: what is tested on the base that is built here is what a public build gets."""

import re
from pathlib import Path

import pytest

from devcluster.settings import DEBIAN_SUITE, PUBLIC_PYTHON_IMAGE
from images.operator.build import PUBLIC_BASE

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = [ROOT / "Dockerfile", *sorted((ROOT / "images").glob("*/Dockerfile"))]


def default(dockerfile: Path) -> str:
    """The image that a build without a base of its own stands on."""
    found = re.search(r"^(?:ARG BASE=|FROM )(\S+)$", dockerfile.read_text(), re.MULTILINE)
    assert found is not None, dockerfile
    return found[1]


def test_there_are_such_files() -> None:
    assert sum("python" in default(file) for file in DOCKERFILES) >= 4


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_base_with_python_is_the_same(file: Path) -> None:
    assert default(file) == PUBLIC_BASE or "python" not in default(file)


def test_it_is_of_the_debian_that_the_clusters_own_base_is_made_from() -> None:
    assert PUBLIC_PYTHON_IMAGE.endswith(f":3.11-slim-{DEBIAN_SUITE}")  # bookworm's Python
    assert PUBLIC_BASE.endswith(f"/{PUBLIC_PYTHON_IMAGE}")
