"""What `make ollama` puts on the worker."""

import sys
from pathlib import Path

import pytest

from images.ollama import build
from images.ollama.models import TinyModel


def test_the_models_go_beside_what_others_have_put_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = ("blobs", "manifests", "tiny", "tiny-deep")
    for part in parts:
        (tmp_path / part).mkdir()
    said: list[tuple[str, ...]] = []

    def devcluster(*words: str) -> str:
        said.append(words)
        return "base"

    monkeypatch.setattr(build, "ensure_tiny_model", lambda: TinyModel(tmp_path, "tiny"))
    monkeypatch.setattr(build, "build_image", lambda base: f"of {base}")
    monkeypatch.setattr(build, "devcluster", devcluster)
    monkeypatch.setattr(sys, "argv", ["build"])
    assert build.main() == 0
    assert ("load", "of base") in said
    copied = [words[1:] for words in said if words[0] == "node-copy"]
    assert copied == [(str(tmp_path / part), f"{build.NODE_FOLDER}/{part}") for part in parts]
