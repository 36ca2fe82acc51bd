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
MAKE_TOKENIZER = Path(__file__).resolve().with_name("make_tokenizer.py")


def installed(name: str) -> Path:
    """The folder of a peer's programs; installed from its locks the first time, which takes minutes."""
    locks = [path for path in (LOCKS / f"{name}.txt", LOCKS / f"{name}-itself.txt") if path.exists()]
    key = digest(sys.version, *(path.read_bytes() for path in locks))
    # Not by way of the cache's drafts: the programs of an environment name its path.
    folder = settings.load().cache / "peers" / f"{name}-{key}"
    complete = folder / "complete"
    if not complete.exists():
        print(f"installing {name} (some minutes, the first time)", file=sys.stderr)
        for old in folder.parent.glob(f"{name}-" + "[0-9a-f]" * len(key)):
            remove_tree(old)
        process.run([sys.executable, "-m", "venv", folder])
        for lock in locks:
            # Of a lock all is meant to be installed, also what says that it wants a newer Python.
            process.run([folder / "bin" / "python", *PIP, "--ignore-requires-python", "--requirement", lock])
        complete.touch()
    return folder / "bin"


def tokenizer(folder: Path, programs: Path) -> Path:
    """A small byte-pair tokenizer, trained on this repository's documents by a peer's own libraries."""
    texts = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
    process.run([programs / "python", MAKE_TOKENIZER, folder, *texts], env=OFFLINE)
    return folder
