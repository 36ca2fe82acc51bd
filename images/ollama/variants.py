"""The tiny model under other names, with which Ollama does not do what it is asked: for tests of how that is told."""

import hashlib
import json
from pathlib import Path
from typing import Any

ONE_SLOT = "tiny-one-slot"
"""It calls itself one of the family mllama, which Ollama 0.9.2 gives one slot whatever is asked (server/sched.go)."""
SHORT = "tiny-short"
SHORT_CONTEXT = 128
"""Its own num_ctx, which goes before OLLAMA_CONTEXT_LENGTH."""

_HOME = Path("manifests") / "registry.ollama.ai" / "library"


def add(folder: Path, name: str) -> None:
    """Both of them, beside the model `name` of an Ollama models folder; they share its weights."""
    manifest = json.loads((folder / _HOME / name / "latest").read_text())
    config = _blob(folder, manifest["config"])
    families = {**config, "model_families": [*config["model_families"], "mllama"]}
    _write(folder, ONE_SLOT, {**manifest, "config": _stored(folder, manifest["config"], families)})
    layers = [
        _stored(folder, layer, {**_blob(folder, layer), "num_ctx": SHORT_CONTEXT})
        if layer["mediaType"].endswith(".params")
        else layer
        for layer in manifest["layers"]
    ]
    _write(folder, SHORT, {**manifest, "layers": layers})


def _blob(folder: Path, descriptor: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_path(folder, descriptor["digest"]).read_text())
    return document


def _stored(folder: Path, descriptor: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The descriptor of another document, which lies in the folder then."""
    text = json.dumps(document).encode()
    digest = f"sha256:{hashlib.sha256(text).hexdigest()}"
    _path(folder, digest).write_bytes(text)
    return {**descriptor, "digest": digest, "size": len(text)}


def _path(folder: Path, digest: str) -> Path:
    return folder / "blobs" / digest.replace(":", "-")


def _write(folder: Path, name: str, manifest: dict[str, Any]) -> None:
    path = folder / _HOME / name / "latest"
    path.parent.mkdir()
    path.write_text(json.dumps(manifest))
