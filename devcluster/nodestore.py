"""An image of the engine put into one node's containerd, streamed: kind writes it to a file first, and again each time."""

from __future__ import annotations

from devcluster import process
from devcluster.engine import Engine
from devcluster.screen import Screen

_CTR = ("ctr", "--namespace=k8s.io", "images")
_LABEL = "dev.enginebench.image-id"
"""On the node's image: the ID that it has in the engine."""


def load_on_node(engine: Engine, image: str, node: str, screen: Screen) -> None:
    """Nothing is done where the node has the same."""
    id_ = engine.docker("image", "inspect", "--format", "{{.Id}}", image).strip()
    inside = ["exec", "--interactive", node, *_CTR]
    if engine.docker(*inside, "list", "--quiet", f'name=={image},labels."{_LABEL}"=={id_}').strip():
        screen.say(f"  {node} has {image} already")
        return
    with screen.step(f"Loading {image} into {node}"):
        # The base name: else the kubelet reports the image's ID under a name made of today's date.
        base = f"--base-name={image.rpartition(':')[0]}"
        unpack = ["docker", *inside, "import", base, "--all-platforms", "--digests", "--snapshotter=overlayfs", "-"]
        process.pipe(["docker", "save", image], unpack, engine.env)
        engine.docker(*inside, "label", image, f"{_LABEL}={id_}")
