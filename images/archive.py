"""An image as an archive in one stream: a small image that docker has, and layers that docker need not have.

It is an OCI layout, which containerd imports, and has a manifest.json as well, which docker loads.
"""

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from images.docker import KEY_LABEL, BuildError
from images.layers import CHUNK, Digest, Layer, Sink

OCI = "application/vnd.oci.image"
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Blob:
    """A part of an image, known by what is in it."""

    digest: str
    size: int
    media_type: str
    write: Callable[[Sink], object]

    @property
    def path(self) -> str:
        """In the archive."""
        return f"blobs/{self.digest.replace(':', '/')}"

    @property
    def descriptor(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


def write(
    out: Sink, name: str, key: str, small: tarfile.TarFile, layers: Sequence[Layer], held: Callable[[str], bool]
) -> None:
    """The image `name` with the key in its labels; `small` is what `docker save` made of the small image.

    A layer whose digest is `held` where the archive goes is left out.
    """
    saved = json.loads(_content(small, "manifest.json"))[0]
    config = with_layers(json.loads(_content(small, saved["Config"])), key, layers)
    parts = [*(_saved_layer(small, member) for member in saved["Layers"]), *map(_layer, layers)]
    of_config = _json(config, f"{OCI}.config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": of_config.descriptor}
    of_manifest = _json({**manifest, "layers": [part.descriptor for part in parts]}, f"{OCI}.manifest.v1+json")
    named = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rpartition(":")[2]}
    index = {"schemaVersion": 2, "manifests": [{**of_manifest.descriptor, "annotations": named}]}
    for_docker = [{"Config": of_config.path, "RepoTags": [name], "Layers": [part.path for part in parts]}]
    _file(out, "oci-layout", {"imageLayoutVersion": "1.0.0"})
    _file(out, "index.json", index)
    _file(out, "manifest.json", for_docker)
    for blob in _once([of_config, of_manifest, *(part for part in parts if not held(part.digest))]):
        _entry(out, blob.path, blob.size, blob.write)
    out.write(bytes(2 * tarfile.BLOCKSIZE))


def with_layers(config: dict[str, Any], key: str, layers: Sequence[Layer]) -> dict[str, Any]:
    """An image's configuration with the layers on top of its own."""
    rootfs, inner = config["rootfs"], config["config"]
    made = [{"created": "1970-01-01T00:00:00Z", "created_by": f"the files of {layer.place}"} for layer in layers]
    return {
        **config,
        "config": {**inner, "Labels": {**(inner.get("Labels") or {}), KEY_LABEL: key}},
        "history": [*config.get("history", []), *made],
        "rootfs": {**rootfs, "diff_ids": [*rootfs["diff_ids"], *(layer.digest for layer in layers)]},
    }


def _layer(layer: Layer) -> Blob:
    return Blob(layer.digest, layer.size, f"{OCI}.layer.v1.tar", layer.write)


def _saved_layer(small: tarfile.TarFile, member: str) -> Blob:
    """Packed where docker keeps images in containerd's store."""
    digest = Digest()
    shutil.copyfileobj(_open(small, member), digest, CHUNK)
    packed = _open(small, member).read(len(GZIP)) == GZIP
    kind = f"{OCI}.layer.v1.tar{'+gzip' if packed else ''}"
    return Blob(str(digest), digest.size, kind, lambda out: shutil.copyfileobj(_open(small, member), out, CHUNK))


def _json(value: object, media_type: str) -> Blob:
    data, digest = json.dumps(value).encode(), Digest()
    digest.write(data)
    return Blob(str(digest), digest.size, media_type, lambda out: out.write(data))


def _open(archive: tarfile.TarFile, member: str) -> Any:
    found = archive.extractfile(member)
    if found is None:
        raise BuildError(f"`docker save` wrote {member} as no file: this docker is not supported.")
    return found


def _content(archive: tarfile.TarFile, member: str) -> bytes:
    data: bytes = _open(archive, member).read()
    return data


def _once(blobs: Sequence[Blob]) -> Iterator[Blob]:
    """Two empty layers are one."""
    yield from {blob.digest: blob for blob in blobs}.values()


def _file(out: Sink, name: str, value: object) -> None:
    data = json.dumps(value).encode()
    _entry(out, name, len(data), lambda sink: sink.write(data))


def _entry(out: Sink, name: str, size: int, content: Callable[[Sink], object]) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    out.write(info.tobuf(tarfile.PAX_FORMAT))
    content(out)
    out.write(bytes(-size % tarfile.BLOCKSIZE))
