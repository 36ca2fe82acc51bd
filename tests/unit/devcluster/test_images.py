"""The node image and the images in it: keys, names, configuration."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from devcluster import debian, golang, layers, nodeimage
from devcluster.cache import Cache
from devcluster.settings import SOURCES

KUBEADM_LIST = """\
registry.k8s.io/kube-apiserver:v1.34.4
registry.k8s.io/coredns/coredns:v1.12.1
registry.k8s.io/pause:3.10.1
registry.k8s.io/etcd:3.6.5-0
"""


def test_names_as_kubeadm_lists_them() -> None:
    assert layers.published_names(KUBEADM_LIST) == {
        "kube-apiserver": "registry.k8s.io/kube-apiserver:v1.34.4",
        "coredns": "registry.k8s.io/coredns/coredns:v1.12.1",
        "pause": "registry.k8s.io/pause:3.10.1",
        "etcd": "registry.k8s.io/etcd:3.6.5-0",
    }


def test_shared_objects_of_ldd() -> None:
    output = (
        "\tlinux-vdso.so.1 (0x00007f29)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f2a)\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007f2b)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f2c)\n"
    )
    assert layers.shared_objects(output) == ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
    assert layers.shared_objects("\tstatically linked\n") == []


CONFIG = 'version = 2\n  sandbox_image = "registry.k8s.io/pause:3.10"\n  restrict_oom_score_adj = false\n'


def test_containerds_configuration() -> None:
    changed = nodeimage.containerd_config(CONFIG, "pause:1")
    assert changed == 'version = 2\n  sandbox_image = "pause:1"\n  restrict_oom_score_adj = true\n'


@pytest.mark.parametrize("missing", ["sandbox_image", "restrict_oom_score_adj"])
def test_a_kind_whose_configuration_has_changed_is_an_error(missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        nodeimage.containerd_config(CONFIG.replace(missing, "renamed"), "pause:1")


def test_base_specification_as_kind_makes_it() -> None:
    given: dict[str, Any] = {"process": {"args": ["sh"], "rlimits": [{"type": "RLIMIT_NOFILE"}]}, "linux": {}}
    made = nodeimage.base_specification(given)
    assert made["process"] == {"args": ["sh"]}
    assert made["hooks"] == {"createContainer": [{"path": "/kind/bin/mount-product-files.sh"}]}
    again = nodeimage.base_specification({**made, "hooks": {"createContainer": [{"path": "/first"}], "poststop": []}})
    assert [hook["path"] for hook in again["hooks"]["createContainer"]] == [
        "/first",
        "/kind/bin/mount-product-files.sh",
    ]
    assert "rlimits" in given["process"]


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources that the node image is made from."""
    copy = tmp_path / "devcluster"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(golang, "SOURCES", copy)
    monkeypatch.setattr(nodeimage, "SOURCES", copy)
    return copy


def image_name(cache: Path) -> str:
    store = Cache(cache)
    return nodeimage.image_name(golang.GoPrograms(store), debian.RootFilesystems(store, cache))


@pytest.mark.skipif(shutil.which("go") is None, reason="the key has Go's version in it")
def test_the_node_images_tag_follows_everything_that_it_is_made_from(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [image_name(tmp_path)]
    for name in ("kubernetes/main.go", "kubernetes/go.sum", "nodeimage.py", "layers.py"):
        with (sources / name).open("a") as file:
            file.write("\n")
        seen.append(image_name(tmp_path))
    monkeypatch.setattr(debian, "NODE_PACKAGES", [*debian.NODE_PACKAGES, "strace"])
    seen.append(image_name(tmp_path))
    monkeypatch.setattr(nodeimage, "KIND_VERSION", "v0.99.0")
    seen.append(image_name(tmp_path))
    monkeypatch.setattr(golang, "KUBERNETES_VERSION", "v1.34.5")
    seen.append(image_name(tmp_path))
    assert len(set(seen)) == len(seen)
    (sources / "kubernetes" / "README.md").write_text("words")
    assert image_name(tmp_path) == seen[-1]
