"""Whether a model's files are what they should be, and a name for what they are."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

PIECE = 1024 * 1024
MOST_PIECES = 64
"""Read of a file for a folder's digest. A larger one is not read whole: a model of 100 GB would take minutes each time."""


def sha256_of(file: Path, on_bytes: Callable[[int], None]) -> str:
    """Hex, over all of its bytes; `on_bytes` hears of each piece. OSError where it cannot be read."""
    found = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            found.update(piece)
            on_bytes(len(piece))
    return found.hexdigest()


def folder_digest(folder: Path, on_file: Callable[[str], None]) -> str:
    """`sha256:…` over names, sizes and contents of the files below, or of `folder` itself where it is a file.

    Of a file above 64 MiB, 64 pieces of 1 MiB count that are spread over it evenly; of one that may not be read, name
    and size alone. Hidden files (`.git`, `.cache`) are no part of a model. `on_file` hears the name of each.
    """
    found = hashlib.sha256()
    for file, name in _files(folder):
        on_file(name)
        size = file.stat().st_size
        found.update(os.fsencode(f"{name}\0{size}\n"))
        if os.access(file, os.R_OK):
            with file.open("rb") as stream:
                for start in _starts(size):
                    stream.seek(start)
                    found.update(stream.read(PIECE))
    return f"sha256:{found.hexdigest()}"


def _files(folder: Path) -> list[tuple[Path, str]]:
    """(file, its name below the folder), in the order of the names."""
    if folder.is_file():
        return [(folder, folder.name)]
    inside = ((path, path.relative_to(folder)) for path in folder.rglob("*"))
    seen = ((path, name) for path, name in inside if not any(part.startswith(".") for part in name.parts))
    return sorted(((path, str(name)) for path, name in seen if path.is_file()), key=lambda each: each[1])


def _starts(size: int) -> Iterator[int]:
    """Where the pieces begin that count."""
    if size <= MOST_PIECES * PIECE:
        yield from range(0, size, PIECE)
    else:
        yield from ((size - PIECE) * place // (MOST_PIECES - 1) for place in range(MOST_PIECES))
