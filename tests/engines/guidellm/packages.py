"""GuideLLM's real packages, where `make guidellm` has installed them for its images."""

import os
import sys
from pathlib import Path

import pytest

from images.guidellm.build import folders

OF_THE_IMAGES = (3, 11)


def environment(version: str) -> dict[str, str]:
    """Variables with which this Python finds them; the test is skipped where it is not the Python of the images."""
    if sys.version_info[:2] != OF_THE_IMAGES:
        pytest.skip(f"GuideLLM is installed for the images' Python {OF_THE_IMAGES}, and this is another one")
    found = folders(version, "{}.{}".format(*OF_THE_IMAGES))
    assert all(folder.is_dir() for folder in found), f"GuideLLM {version} is not installed: make guidellm"
    paths = {"PYTHONPATH": ":".join(map(str, found)), "PATH": f"{programs()}:{os.environ['PATH']}"}
    # Each of its processes begins anew: none is to compile torch again.
    compiled = {"PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **paths, **compiled, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def programs() -> Path:
    """Of this Python."""
    return Path(sys.executable).parent
