"""A folder as a layer: what is in its tar, and that the same files give the same bytes."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

from images.layers import Layer, measured, recorded

PLACE = "/opt/packages"
LONG = "folder/" + "n" * 120 + ".py"


def folder(root: Path, mode: int = 0o600) -> Path:
    """Written in an order that is not the sorted one."""
    (root / "folder" / "empty").mkdir(parents=True)
    (root / LONG).write_text("a long name")
    (root / "program").write_bytes(b"#!/bin/sh\n")
    (root / "program").chmod(0o700)
    (root / "a.py").write_text("x" * 700)
    (root / "a.py").chmod(mode)
    (root / "link").symlink_to("a.py")
    return root


def written(layer: Layer) -> bytes:
    out = io.BytesIO()
    layer.write(out)
    return out.getvalue()


def test_what_is_in_it_is_readable_for_all_at_its_place(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(written(measured(folder(tmp_path), PLACE)))) as tar:
        members = tar.getmembers()
        expected = ["opt", "opt/packages", *(f"opt/packages/{name}" for name in ("a.py", "folder", "folder/empty"))]
        assert [m.name for m in members] == [*expected, *(f"opt/packages/{n}" for n in (LONG, "link", "program"))]
        assert {(m.uid, m.gid, m.uname, m.mtime) for m in members} == {(0, 0, "", 0)}
        modes = {m.name.removeprefix("opt/packages/"): m.mode for m in members}
        assert (modes["a.py"], modes["program"], modes["folder"]) == (0o644, 0o755, 0o755)
        file = tar.extractfile(f"opt/packages/{LONG}")
        assert file is not None
        assert file.read() == b"a long name"
        assert tar.getmember("opt/packages/link").linkname == "a.py"


def test_digest_and_size_are_those_of_the_tar(tmp_path: Path) -> None:
    layer = measured(folder(tmp_path), PLACE)
    data = written(layer)
    assert (layer.digest, layer.size) == (f"sha256:{hashlib.sha256(data).hexdigest()}", len(data))


def test_the_same_files_give_the_same_bytes_wherever_and_whenever_they_were_written(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "one"), folder(tmp_path / "two", mode=0o664)
    os.utime(second / "a.py", (1, 1))
    layer = measured(first, PLACE)
    assert written(layer) == written(measured(second, PLACE))
    (second / "a.py").write_text("y" * 700)
    assert measured(second, PLACE).digest != layer.digest
    assert measured(first, "/opt/elsewhere").digest != layer.digest


def test_what_is_written_there_later_does_not_belong_to_it(tmp_path: Path) -> None:
    entry, site = tmp_path, folder(tmp_path / "site")
    layer = measured(site, PLACE)
    layer.record(entry)
    (site / "__pycache__").mkdir()
    (site / "__pycache__" / "a.pyc").touch()
    assert recorded(entry, site, PLACE) == layer
    assert hashlib.sha256(written(recorded(entry, site, PLACE))).hexdigest() == layer.digest.removeprefix("sha256:")
