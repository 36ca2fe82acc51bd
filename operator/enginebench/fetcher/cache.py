"""Hugging Face's cache on disk: is a model whole, how many bytes of it are here.

A cache holds, for each model, `refs/<revision>` (a commit), `snapshots/<commit>/<file>` (links) and `blobs/<etag>`,
and `blobs/<etag>….incomplete` while they come:
https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

FORMATS = ("*.safetensors", "*.bin", "*.pt")
"""Of weights, in the order in which vLLM takes the first that a model has (its DefaultModelLoader)."""
OTHER_WEIGHTS = (
    *("*.pth", "*.gguf", "*.onnx", "*.onnx_data", "*.msgpack", "*.h5", "*.ot", "*.tflite", "*.ckpt", "*.nemo"),
    *("*.mlmodel", "*.mlpackage/*", "original/*"),
)
"""What vLLM takes only where it is told to."""
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "tekken.json", "vocab.json")
UNFINISHED = ".enginebench-unfinished"
"""Beside `snapshots`: a fetch of ours has begun and not ended, whatever the files look like."""
BLOCK_BYTES = 512
"""Of `st_blocks`, by POSIX."""


class Cache:
    """One model's folder in a cache."""

    def __init__(self, root: Path, model: str) -> None:
        self.folder = root / ("models--" + model.replace("/", "--"))
        self._unfinished = self.folder / UNFINISHED

    def snapshot(self, revision: str) -> Path | None:
        """The folder of a revision's files, or None."""
        ref = self.folder / "refs" / revision
        commit = ref.read_text().strip() if ref.is_file() else revision
        found = self.folder / "snapshots" / commit
        return found if commit and found.is_dir() else None

    def begin(self) -> None:
        """From now on nothing in here is taken for whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._unfinished.touch()

    def end(self) -> None:
        """All of it is here."""
        self._unfinished.unlink(missing_ok=True)

    @property
    def finished(self) -> bool:
        return not self._unfinished.exists()

    def bytes_of(self, blobs: Mapping[str, int]) -> int:
        """Bytes on disk of blobs by their etags, whole or not; at most their sizes, which are given."""
        here: dict[str, int] = {}
        try:
            entries = list(os.scandir(self.folder / "blobs"))
        except OSError:
            return 0
        for entry in entries:
            etag = entry.name.partition(".")[0]
            if etag in blobs:
                try:
                    stat = entry.stat()
                except OSError:  # renamed meanwhile: it is counted in the next look
                    continue
                size = min(stat.st_size, stat.st_blocks * BLOCK_BYTES) if "." in entry.name else stat.st_size
                here[etag] = max(here.get(etag, 0), size)
        return sum(min(size, blobs[etag]) for etag, size in here.items())


def is_model(folder: Path) -> bool:
    """A folder that an engine can load: a configuration, a tokenizer, and every file of weights that its index names."""
    if not ((folder / "config.json").exists() or (folder / "params.json").exists()):
        return False
    return has_weights(folder) and any((folder / name).exists() for name in TOKENIZERS)


def has_weights(folder: Path) -> bool:
    """Every file of weights that an index names, or any at all where there is no index."""
    indices = [*folder.glob("*.safetensors.index.json"), *folder.glob("*.bin.index.json")]
    if indices:
        return any(_whole(folder, index) for index in indices)
    return any(path.exists() for pattern in FORMATS for path in folder.glob(pattern))


def size_of(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def wanted(files: Iterable[str], *, all_weights: bool) -> tuple[list[str], list[str]]:
    """(weights, the rest) of a repository's files that the engine takes."""
    files = [name for name in files if not _fits(name, ("original/*",))]
    if all_weights:
        return [n for n in files if _fits(n, (*FORMATS, *OTHER_WEIGHTS))], [
            n for n in files if not _fits(n, (*FORMATS, *OTHER_WEIGHTS))
        ]
    chosen = next((pattern for pattern in FORMATS if any(_fits(name, (pattern,)) for name in files)), None)
    weights = [name for name in files if chosen is not None and _fits(name, (chosen,))]
    return weights, [name for name in files if not _fits(name, (*FORMATS, *OTHER_WEIGHTS))]


def _fits(name: str, patterns: Iterable[str]) -> bool:
    from fnmatch import fnmatch

    return any(fnmatch(name, pattern) for pattern in patterns)


def _whole(folder: Path, index: Path) -> bool:
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return False
    return bool(names) and all((folder / name).exists() for name in names)
