"""GuideLLM's real packages, where `make guidellm` has installed them for its images."""

import os
import sys
from pathlib import Path

import pytest

from devcluster.settings import load


def environment(version: str) -> dict[str, str]:
    """Variables with which this Python finds them; the test is skipped where they are not there."""
    found = sorted((load().cache / "guidellm" / "built").glob(f"site-{version}-*/site"))
    if not found or sys.version_info[:2] != (3, 11):
        pytest.skip(f"GuideLLM {version} is not installed (make guidellm), or for another Python")
    paths = {"PYTHONPATH": str(found[-1]), "PATH": f"{programs()}:{os.environ['PATH']}"}
    return {**os.environ, **paths, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def programs() -> Path:
    """Of this Python."""
    return Path(sys.executable).parent
