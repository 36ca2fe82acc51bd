"""What was built, kept under a digest of everything that it was built from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devcluster import process
from devcluster.errors import DevclusterError

KEPT = 3  # entries of one kind: another checkout or branch may still want the older ones
IGNORED = {"README.md", "__pycache__"}


def digest(*parts: str | bytes) -> str:
    """12 hex digits; ("ab", "c") and ("a", "bc") differ."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "big") + data)
    return state.hexdigest()[:12]


def source_digest(*paths: Path) -> str:
    """Of files, and of all files in folders; names count, documentation and tests do not."""
    parts: list[str | bytes] = []
    for path in paths:
        for file in sorted(_files(path)):
            parts += [str(file.relative_to(path.parent)), file.read_bytes()]
    return digest(*parts)


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in path.rglob("*"):
        if file.is_file() and not IGNORED & set(file.parts) and not file.name.endswith("_test.go"):
            yield file


class Cache:
    """Entries are files or folders named `<kind>-<digest>`; one that is there is complete."""

    def __init__(self, root: Path) -> None:
        self._entries = root / "built"
        self._drafts = root / "drafts"

    def path(self, kind: str, key: str) -> Path:
        return self._entries / f"{kind}-{key}"

    def ensure(self, kind: str, key: str, build: Callable[[Path], None]) -> Path:
        """The entry; made by `build(draft)` if it is not there, and renamed into place when whole."""
        entry = self.path(kind, key)
        if entry.exists():
            os.utime(entry)
            return entry
        draft = self.draft(f"{kind}-{key}")
        build(draft)
        os.sync()  # a name must not survive a power cut that its content does not
        self._entries.mkdir(parents=True, exist_ok=True)
        draft.rename(entry)
        self._forget_old(kind)
        return entry

    def draft(self, name: str) -> Path:
        """A path for unfinished work; what an earlier run left there is removed."""
        self._drafts.mkdir(parents=True, exist_ok=True)
        draft = self._drafts / name
        remove_tree(draft)
        return draft

    def drop_drafts(self) -> None:
        """Remove what runs that were cut off left behind. Only under the lock."""
        remove_tree(self._drafts)

    def _forget_old(self, kind: str) -> None:
        size = len(kind) + 1 + 12
        same = [e for e in self._entries.glob(f"{kind}-*") if len(e.name) == size]
        for old in sorted(same, key=lambda e: e.stat().st_mtime, reverse=True)[KEPT:]:
            remove_tree(old)


def mounts_below(folder: Path, mountinfo: str) -> list[str]:
    """Mount points at or below `folder`, deepest first, from the text of /proc/self/mountinfo."""
    points = (line.split(" ")[4] for line in mountinfo.splitlines())
    # The kernel writes space, tab, newline and backslash as octal.
    plain = (p.encode().decode("unicode_escape") if "\\" in p else p for p in points)
    found = [p for p in plain if p == str(folder) or p.startswith(f"{folder}/")]
    return found[::-1]  # later mounts lie on or below earlier ones


def unmount_below(folder: Path) -> None:
    """Detach all that is mounted there: removing a tree must not reach through a mount.

    A mount that lies hidden below a later one of a folder above cannot be reached by its path, nor
    can the tree's removal reach it.
    """
    info = Path("/proc/self/mountinfo")
    while points := mounts_below(folder, info.read_text()) if info.exists() else []:
        tried = [process.attempt(["umount", "--lazy", point], env={"LC_ALL": "C"}) for point in points]
        if not any(done.ok for done in tried):
            errors = [done.errors for done in tried if "no mount point" not in done.errors]
            if errors:
                raise DevclusterError(f"Below {folder} is still mounted: {''.join(errors)}")
            return


def remove_tree(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        unmount_below(path.resolve())
        shutil.rmtree(path)


@contextmanager
def lock(root: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """One devcluster at a time; the kernel releases it when the process ends, however it ends."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / "lock"
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            waiting(file.read().strip() or "?")
            fcntl.flock(file, fcntl.LOCK_EX)
        if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
            raise DevclusterError("The cache was purged while this command waited for it: start it again.")
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def disk_usage(path: Path) -> str:
    """In human units, as du prints it; "0" when there is nothing."""
    done = process.attempt(["du", "-sh", path])
    return done.output.split("\t")[0] if done.output else "0"


def free_bytes(path: Path) -> int:
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
