"""Every manifest that the documentation shows is accepted by the API server."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
SHOWN = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def manifests(path: Path) -> list[dict[str, Any]]:
    """Whole Kubernetes objects in a YAML file, or in a Markdown file's YAML blocks; fragments are left out."""
    text = path.read_text()
    texts = SHOWN.findall(text) if path.suffix == ".md" else [text]
    documents = [document for text in texts for document in yaml.safe_load_all(text)]
    return [d for d in documents if isinstance(d, dict) and "apiVersion" in d and "kind" in d]


def shown() -> list[Path]:
    """Every file that shows one."""
    files = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.yaml")]
    return sorted(file for file in files if manifests(file))


@pytest.mark.parametrize("file", shown(), ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_shown_is_accepted(cluster: Cluster, file: Path) -> None:
    for manifest in manifests(file):
        cluster.kubectl(
            *("apply", "--dry-run=server", "--validate=strict", "--filename=-"), stdin=yaml.safe_dump(manifest)
        )


def test_something_is_shown() -> None:
    assert ROOT / "examples" / "vllm-vs-ollama.yaml" in shown()
