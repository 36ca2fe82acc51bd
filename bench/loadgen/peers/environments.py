"""The peers' virtual environments, in the cache folder, and the tokenizer that they want."""

import sys
from pathlib import Path

from devcluster import process, settings
from devcluster.cache import digest, remove_tree

ROOT = Path(__file__).resolve().parents[3]
LOCKS = ROOT / "requirements" / "peers"
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
"""Nothing is asked of a hub of models."""
KEY_CHARACTERS = 12
"""Of a cache key."""
MAKE_TOKENIZER = Path(__file__).resolve().with_name("make_tokenizer.py")


def there(name: str) -> Path | None:
    """The folder of a peer's programs, if it is installed already."""
    folder = _folder(name)
    return folder / "bin" if (folder / "complete").exists() else None


def installed(name: str) -> Path:
    """The folder of a peer's programs; installed from its locks the first time, which takes minutes."""
    locks, folder = _locks(name), _folder(name)
    complete = folder / "complete"
    if not complete.exists():
        print(f"installing {name} (some minutes, the first time)", file=sys.stderr)
        for old in folder.parent.glob(f"{name}-" + "[0-9a-f]" * KEY_CHARACTERS):
            remove_tree(old)
        process.run([sys.executable, "-m", "venv", folder])
        for lock in locks:
            # Of a lock all is meant to be installed, also what says that it wants a newer Python.
            process.run([folder / "bin" / "python", *PIP, "--ignore-requires-python", "--requirement", lock])
        complete.touch()
    return folder / "bin"


def _locks(name: str) -> list[Path]:
    return [path for path in (LOCKS / f"{name}.txt", LOCKS / f"{name}-itself.txt") if path.exists()]


def _folder(name: str) -> Path:
    # Not by way of the cache's drafts: the programs of an environment name its path.
    key = digest(sys.version, *(path.read_bytes() for path in _locks(name)))
    return settings.load().cache / "peers" / f"{name}-{key}"


def tokenizer(folder: Path, programs: Path) -> Path:
    """A small byte-pair tokenizer, trained on this repository's documents by a peer's own libraries."""
    texts = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
    process.run([programs / "python", MAKE_TOKENIZER, folder, *texts], env=OFFLINE)
    return folder
