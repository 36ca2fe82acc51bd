"""The cache: keys, whole entries only, and the lock."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devcluster.cache import KEPT, Cache, digest, lock, mounts_below, remove_tree, source_digest


def test_digest_keeps_parts_apart() -> None:
    assert digest("ab", "c") == digest(b"ab", b"c")
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a") != digest("a", "")


def test_source_digest_sees_content_and_names_but_no_documentation_or_tests(tmp_path: Path) -> None:
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "main.go").write_text("package main")
    first = source_digest(folder)
    (folder / "README.md").write_text("words")
    (folder / "main_test.go").write_text("package main")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("")
    assert source_digest(folder) == first
    (folder / "main.go").write_text("package main // changed")
    assert source_digest(folder) != first
    (folder / "main.go").write_text("package main")
    (folder / "main.go").rename(folder / "other.go")
    assert source_digest(folder) != first


def test_source_digest_does_not_depend_on_where_the_checkout_lies(tmp_path: Path) -> None:
    digests = set()
    for place in ("a", "b"):
        (tmp_path / place / "module").mkdir(parents=True)
        (tmp_path / place / "module" / "go.mod").write_text("module x")
        digests.add(source_digest(tmp_path / place / "module"))
    assert len(digests) == 1


def write(text: str, log: list[str]) -> "Builder":
    return Builder(text, log)


class Builder:
    def __init__(self, text: str, log: list[str], broken: bool = False) -> None:
        self.text, self.log, self.broken = text, log, broken

    def __call__(self, draft: Path) -> None:
        assert not draft.exists()
        self.log.append(self.text)
        draft.mkdir()
        (draft / "file").write_text(self.text)
        if self.broken:
            raise RuntimeError("cut off")


def test_an_entry_is_built_once(tmp_path: Path) -> None:
    log: list[str] = []
    for _ in range(2):
        entry = Cache(tmp_path).ensure("thing", "0" * 12, Builder("one", log))
        assert (entry / "file").read_text() == "one"
    assert log == ["one"]


def test_a_build_that_was_cut_off_leaves_no_entry_and_does_not_disturb_the_next(tmp_path: Path) -> None:
    log: list[str] = []
    with pytest.raises(RuntimeError):
        Cache(tmp_path).ensure("thing", "0" * 12, Builder("half", log, broken=True))
    assert not Cache(tmp_path).path("thing", "0" * 12).exists()
    entry = Cache(tmp_path).ensure("thing", "0" * 12, Builder("whole", log))
    assert (entry / "file").read_text() == "whole"


def test_old_entries_of_the_same_kind_are_forgotten(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    keys = [digest(str(number)) for number in range(KEPT + 2)]
    cache.ensure("thing-else", keys[0], Builder("other kind", []))
    for age, key in enumerate(keys):
        entry = cache.ensure("thing", key, Builder(key, []))
        os.utime(entry, (age, age))
    assert [cache.path("thing", key).exists() for key in keys] == [False] * 2 + [True] * KEPT
    assert cache.path("thing-else", keys[0]).exists()


MOUNTINFO = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
90 22 0:40 / /cache/engine/data rw - ext4 /dev/vda rw
91 90 0:41 / /cache/engine/data/overlay2/a\\040b/merged rw shared:5 - overlay overlay rw
92 22 0:42 / /cache/engine-of-another rw - tmpfs tmpfs rw
"""


def test_mounts_below_are_the_folders_own_deepest_first() -> None:
    expected = ["/cache/engine/data/overlay2/a b/merged", "/cache/engine/data"]
    assert mounts_below(Path("/cache/engine"), MOUNTINFO) == expected
    assert mounts_below(Path("/cache/engine/data"), MOUNTINFO) == expected


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_removing_a_tree_does_not_reach_through_a_mount(tmp_path: Path) -> None:
    outside, tree = tmp_path / "outside", tmp_path / "tree"
    outside.mkdir()
    (outside / "precious").write_text("kept")
    (tree / "mounted").mkdir(parents=True)
    for _ in range(2):  # one mount upon another
        subprocess.run(["mount", "--bind", str(outside), str(tree / "mounted")], check=True)
    remove_tree(tree)
    assert not tree.exists()
    assert (outside / "precious").read_text() == "kept"


HOLD = "import sys; from pathlib import Path; from devcluster.cache import lock\n"
HOLD += "with lock(Path(sys.argv[1]), print): print('held', flush=True); sys.stdin.read()"


def test_the_lock_keeps_a_second_one_waiting_and_a_kill_frees_it(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        told: list[str] = []

        def waiting(pid: str) -> None:
            told.append(pid)
            holder.send_signal(signal.SIGKILL)

        with lock(tmp_path, waiting):
            assert told == [str(holder.pid)]
