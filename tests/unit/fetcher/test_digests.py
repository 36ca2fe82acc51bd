"""A folder's digest names what is in it, whatever it is called and whenever it was written."""

import os
import shutil
from pathlib import Path

import pytest

from enginebench.fetcher import digests
from enginebench.fetcher.digests import folder_digest


def ignored(_: str) -> None:
    """Nobody listens."""


def digest(folder: Path) -> str:
    return folder_digest(folder, ignored)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "more").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "more" / "model.safetensors").write_bytes(bytes(3000))
    return folder


def test_a_copy_has_the_same_and_each_file_is_heard_of(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "copy", copy_function=shutil.copyfile)
    read: list[str] = []
    assert folder_digest(tmp_path / "copy", read.append) == digest(model)
    assert read == ["config.json", "more/model.safetensors"]
    assert digest(model).startswith("sha256:")


@pytest.mark.parametrize("change", ["a byte", "a name", "another file", "shorter"])
def test_another_model_has_another(change: str, model: Path) -> None:
    before, weights = digest(model), model / "more" / "model.safetensors"
    match change:
        case "a byte":
            weights.write_bytes(bytes(2999) + b"1")
        case "a name":
            weights.rename(weights.with_name("other.safetensors"))
        case "another file":
            (model / "generation_config.json").write_text("")
        case _:
            weights.write_bytes(bytes(2999))
    assert digest(model) != before


def test_what_is_hidden_is_no_part_of_it(model: Path) -> None:
    before = digest(model)
    (model / ".cache").mkdir()
    (model / ".cache" / "downloaded-at").write_text("today")
    (model / ".gitattributes").write_text("*.safetensors filter=lfs")
    assert digest(model) == before


def test_of_a_large_file_pieces_count_that_lie_evenly_from_its_beginning_to_its_end(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "PIECE", 10)
    monkeypatch.setattr(digests, "MOST_PIECES", 4)
    weights = model / "more" / "model.safetensors"
    size = weights.stat().st_size
    seen = []
    for place in range(0, size, 5):
        data = bytearray(size)
        data[place] = 1
        weights.write_bytes(data)
        seen.append(digest(model))
    whole = seen[20]  # a byte that is not read
    assert [place * 5 for place, one in enumerate(seen) if one != whole] == [0, 5, 1000, 1005, 1995, 2000, 2990, 2995]


def test_a_file_alone_is_a_model_too(model: Path) -> None:
    one = model / "more" / "model.safetensors"
    assert digest(one) == digest(one.parent)


def test_what_may_not_be_read_counts_by_name_and_size(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "config.json")  # root may read everything
    before = digest(model)
    (model / "config.json").write_text("[]")
    assert digest(model) == before
    (model / "config.json").write_text("[1]")
    assert digest(model) != before
