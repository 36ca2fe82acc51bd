"""A folder as one layer of an image: an uncompressed tar that is written anew wherever it is wanted, and never kept.

The same files give the same bytes: sorted, owned by root, readable by any user ID, of no date. So a layer that two
images share has one digest, and a node that has it needs it no second time.
"""

import hashlib
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK = 1 << 20
RECORD = "layer.json"


class Sink(Protocol):
    """What bytes are written to: a pipe, a file, a digest."""

    def write(self, data: bytes, /) -> object: ...


class Digest:
    """The SHA-256 and the number of the bytes that are written to it."""

    def __init__(self) -> None:
        self._state = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> None:
        self._state.update(data)
        self.size += len(data)

    def __str__(self) -> str:
        return f"sha256:{self._state.hexdigest()}"


@dataclass(frozen=True)
class Layer:
    """The files of a folder at their place in an image."""

    folder: Path
    place: str
    """Absolute, as `/opt/torch`."""
    names: tuple[str, ...]
    """What it is made of, relative and sorted: what a program writes into the folder later does not belong to it."""
    digest: str
    size: int
    """Of the tar, in bytes."""

    def write(self, out: Sink) -> None:
        """The tar; OSError where a file is gone."""
        _write(out, self.folder, self.place, self.names)

    def record(self, entry: Path) -> None:
        """Beside the folder, for `recorded`."""
        of = {"names": self.names, "digest": self.digest, "size": self.size}
        (entry / RECORD).write_text(json.dumps(of))


def measured(folder: Path, place: str) -> Layer:
    """All that is in the folder now, with the digest and the size that its tar has."""
    names = tuple(sorted(_names(folder)))
    digest = Digest()
    _write(digest, folder, place, names)
    return Layer(folder, place, names, str(digest), digest.size)


def recorded(entry: Path, folder: Path, place: str) -> Layer:
    """As it was measured; nothing is read but the record."""
    of = json.loads((entry / RECORD).read_text())
    return Layer(folder, place, tuple(of["names"]), of["digest"], of["size"])


def _names(folder: Path) -> Iterator[str]:
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            yield str((Path(path) / name).relative_to(folder))


def _write(out: Sink, folder: Path, place: str, names: Sequence[str]) -> None:
    inside = Path(place[1:])
    for above in (*reversed(inside.parents[:-1]), inside):
        out.write(_header(_folder(str(above))))
    for name in names:
        _write_entry(out, folder / name, str(inside / name))
    out.write(bytes(2 * tarfile.BLOCKSIZE))


def _write_entry(out: Sink, path: Path, name: str) -> None:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        out.write(_header(_folder(name)))
        return
    info = tarfile.TarInfo(name)
    if stat.S_ISLNK(found.st_mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        out.write(_header(info))
        return
    info.size, info.mode = found.st_size, 0o755 if found.st_mode & stat.S_IXUSR else 0o644
    out.write(_header(info))
    with path.open("rb", buffering=0) as file:
        shutil.copyfileobj(file, out, CHUNK)
    out.write(bytes(-info.size % tarfile.BLOCKSIZE))


def _folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, 0o755
    return info


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT)
