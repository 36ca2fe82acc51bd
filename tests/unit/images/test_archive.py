"""An image's archive, read back: containerd finds its way by index.json, docker by manifest.json."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from images import archive
from images.layers import Layer, measured

NAME = "docker.io/enginebench/made:1"
BASE = b"the base's layer, a tar"
BASE_ID = f"sha256:{hashlib.sha256(BASE).hexdigest()}"
CONFIG = {
    "architecture": "amd64",
    "config": {"Env": ["A=1"], "Labels": {"title": "small"}},
    "history": [{"created_by": "base"}],
    "rootfs": {"type": "layers", "diff_ids": [BASE_ID]},
}


def saved(content: bytes) -> io.BytesIO:
    """What `docker save` writes of an image of one layer."""
    files = {
        "0/layer.tar": content,
        "1.json": json.dumps(CONFIG).encode(),
        "manifest.json": json.dumps(
            [{"Config": "1.json", "RepoTags": ["small:1"], "Layers": ["0/layer.tar"]}]
        ).encode(),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    out.seek(0)
    return out


@pytest.fixture
def layers(tmp_path: Path) -> list[Layer]:
    made = []
    for name in ("torch", "vllm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.py").write_text(name)
        made.append(measured(tmp_path / name, f"/opt/{name}"))
    return made


def nothing(_: str) -> bool:
    return False


def made(layers: Sequence[Layer], held: Callable[[str], bool] = nothing, base: bytes = BASE) -> dict[str, bytes]:
    out = io.BytesIO()
    with tarfile.open(fileobj=saved(base)) as small:
        archive.write(out, NAME, "0123456789ab", small, layers, held)
    out.seek(0)
    with tarfile.open(fileobj=out) as tar:
        members = tar.getmembers()
        assert len({member.name for member in members}) == len(members)
        return {member.name: tar.extractfile(member).read() for member in members}  # type: ignore[union-attr]


def blob(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    data = files[f"blobs/{descriptor['digest'].replace(':', '/')}"]
    assert len(data) == descriptor["size"]
    return data


def manifest(files: dict[str, bytes]) -> dict[str, Any]:
    (found,) = json.loads(files["index.json"])["manifests"]
    assert found["annotations"]["io.containerd.image.name"] == NAME
    read: dict[str, Any] = json.loads(blob(files, found))
    assert read["mediaType"] == found["mediaType"]
    return read


def test_every_blob_is_called_by_its_digest(layers: list[Layer]) -> None:
    files = made(layers)
    blobs = {name: data for name, data in files.items() if name.startswith("blobs/")}
    assert len(blobs) == 5
    assert all(name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}" for name, data in blobs.items())
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_the_layers_lie_on_those_of_the_small_image(layers: list[Layer]) -> None:
    files = made(layers)
    read = manifest(files)
    assert blob(files, read["layers"][0]) == BASE
    with tarfile.open(fileobj=io.BytesIO(blob(files, read["layers"][2]))) as tar:
        assert "opt/vllm/file.py" in tar.getnames()
    config = json.loads(blob(files, read["config"]))
    assert config["rootfs"]["diff_ids"] == [BASE_ID, *(layer.digest for layer in layers)]
    assert [step["created_by"] for step in config["history"]] == [
        "base",
        *(f"the files of /opt/{n}" for n in ("torch", "vllm")),
    ]
    assert config["config"] == {"Env": ["A=1"], "Labels": {"title": "small", "dev.enginebench.key": "0123456789ab"}}


def test_docker_is_told_of_the_same(layers: list[Layer]) -> None:
    files = made(layers)
    (told,) = json.loads(files["manifest.json"])
    read = manifest(files)
    assert told["RepoTags"] == [NAME]
    paths = [f"blobs/{descriptor['digest'].replace(':', '/')}" for descriptor in (read["config"], *read["layers"])]
    assert [told["Config"], *told["Layers"]] == paths


def test_what_is_held_is_left_out_and_named_all_the_same(layers: list[Layer]) -> None:
    files = made(layers, held=lambda digest: digest in {BASE_ID, layers[0].digest})
    read = manifest(files)
    assert [descriptor["digest"] for descriptor in read["layers"]] == [BASE_ID, *(layer.digest for layer in layers)]
    blobs = {name for name in files if name.startswith("blobs/")}
    assert f"blobs/{layers[1].digest.replace(':', '/')}" in blobs
    assert len(blobs) == 3


def test_a_layer_that_docker_keeps_packed_stays_so(layers: list[Layer]) -> None:
    packed = gzip.compress(BASE, mtime=0)
    files = made(layers, base=packed)
    read = manifest(files)
    kinds = [descriptor["mediaType"].rpartition(".")[2] for descriptor in read["layers"]]
    assert kinds == ["tar+gzip", "tar", "tar"]
    assert blob(files, read["layers"][0]) == packed
