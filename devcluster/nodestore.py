"""An image put into one node's containerd, streamed: kind writes it to a file first, and again each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO

from devcluster import process
from devcluster.engine import Engine
from devcluster.screen import Screen

_CTR = ("ctr", "--namespace=k8s.io")
_ID_LABEL = "dev.enginebench.image-id"
"""On the node's image: the ID that it has in the engine."""
_KEY_LABEL = "dev.enginebench.key"
"""On the node's image, where the engine has none: what it was made of."""


def load_on_node(engine: Engine, image: str, node: str, screen: Screen) -> None:
    """An image of the engine. Nothing is done where the node has the same."""
    id_ = engine.docker("image", "inspect", "--format", "{{.Id}}", image).strip()
    if _has(engine, image, node, _ID_LABEL, id_):
        screen.say(f"  {node} has {image} already")
        return
    with screen.step(f"Loading {image} into {node}"):
        process.pipe(["docker", "save", image], _import(image, node), engine.env)
        _label(engine, image, node, _ID_LABEL, id_)


def has_image(engine: Engine, image: str, key: str, node: str) -> bool:
    """Whether the node has the image that was made of just this."""
    return _has(engine, image, node, _KEY_LABEL, key)


def holds(engine: Engine, node: str, digest: str) -> bool:
    """Whether the node has a layer (`sha256:…`), whichever image brought it."""
    listed = engine.docker("exec", node, *_CTR, "content", "list", "--quiet", f"digest=={digest}")
    return digest in listed.split()


def receive_on_node(
    engine: Engine, image: str, key: str, node: str, write: Callable[[IO[bytes]], None], screen: Screen
) -> None:
    """An image from the archive that `write` makes, in place of one of that name. What the node holds may be left out."""
    with screen.step(f"Sending {image} to {node}"):
        process.feed(_import(image, node), write, engine.env)
        _label(engine, image, node, _KEY_LABEL, key)


def _has(engine: Engine, image: str, node: str, label: str, value: str) -> bool:
    wanted = f'name=={image},labels."{label}"=={value}'
    return bool(engine.docker("exec", node, *_CTR, "images", "list", "--quiet", wanted).strip())


def _import(image: str, node: str) -> list[str]:
    """An archive at its standard input."""
    # The base name: else the kubelet reports the image's ID under a name made of today's date.
    base = f"--base-name={image.rpartition(':')[0]}"
    options = [base, "--all-platforms", "--digests", "--snapshotter=overlayfs"]
    return ["docker", "exec", "--interactive", node, *_CTR, "images", "import", *options, "-"]


def _label(engine: Engine, image: str, node: str, label: str, value: str) -> None:
    engine.docker("exec", node, *_CTR, "images", "label", image, f"{label}={value}")
