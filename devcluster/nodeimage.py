"""kind's node image from Debian's packages, kind's own files and the Kubernetes binary.

The public node image is made the same way (images/base/Dockerfile and `kind build node-image`
of kind's sources); this follows them where Debian's containerd allows.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from devcluster import layers, process
from devcluster.cache import Cache, digest, source_digest
from devcluster.debian import RootFilesystems
from devcluster.engine import Engine
from devcluster.golang import GoPrograms, kind_sources
from devcluster.settings import KIND_VERSION, KUBERNETES_VERSION, SOURCES

REPOSITORY = "localhost/enginebench-node"
CONTAINERD_CONFIG = "etc/containerd/config.toml"

# The base's units that a container must not start, as kind's Dockerfile removes them.
UNWANTED_UNITS = (
    "usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "usr/lib/systemd/system/multi-user.target.wants/*",
    "usr/lib/systemd/system/local-fs.target.wants/*",
    "usr/lib/systemd/system/basic.target.wants/*",
    "usr/lib/systemd/system/sockets.target.wants/*udev*",
    "usr/lib/systemd/system/sockets.target.wants/*initctl*",
    "etc/systemd/system/*.wants/*",
    "usr/lib/systemd/system/containerd.service",  # kind brings its own
)

# kind applies both after kubeadm; the network is set up by podnetwork.py, storage is static.
DEFAULT_CNI = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: pod-network, namespace: kube-system}
data: {note: "Every node has a bridge; devcluster writes its configuration and the routes between nodes."}
"""
DEFAULT_STORAGE = """\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/no-provisioner
volumeBindingMode: WaitForFirstConsumer
"""


def image_name(programs: GoPrograms, roots: RootFilesystems) -> str:
    """Its tag is a digest of all that it is built from: programs, packages, kind's files, these scripts."""
    scripts = source_digest(SOURCES / "nodeimage.py", SOURCES / "layers.py", SOURCES / "debian.py")
    return f"{REPOSITORY}:{digest(programs.kube_key(), roots.node_key(), KIND_VERSION, scripts)}"


def build(engine: Engine, name: str, root: Path, kube: Path, cache: Cache) -> None:
    """From the bare Debian system `root` and the binary; the engine keeps the image, the name comes last."""
    work = cache.draft("node-image")
    work.mkdir()
    node = work / "node"
    process.run(["cp", "--archive", "--reflink=auto", root, node])
    files = kind_sources() / "images" / "base" / "files"
    add_kind_files(files, node)
    add_container_runtime(node, layers.image_names(kube)["pause"])
    add_kubernetes(node, kube)
    archive = layers.build_archive(engine, node, kube, work)
    preload(node, archive, work)
    bare = f"{REPOSITORY}-bare:build"
    process.pipe(
        ["tar", "-C", node, "--numeric-owner", "--xattrs", "-cf", "-", "."], ["docker", "import", "-", bare], engine.env
    )
    # `docker import` knows no STOPSIGNAL: systemd ends at this one.
    lines = ["ENV container=docker", "STOPSIGNAL SIGRTMIN+3", 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]']
    engine.docker("build", "--tag", name, "-", text="\n".join([f"FROM {bare}", *lines, ""]))
    engine.docker("image", "rm", bare)
    for old in set(engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}", REPOSITORY).split()) - {name}:
        process.attempt(["docker", "image", "rm", old], env=engine.env)  # refused while a cluster uses it
    cache.draft("node-image")  # removes it


def add_kind_files(files: Path, node: Path) -> None:
    """kind's own files, with the modes that its Dockerfile sets; Go's module cache has none."""
    process.run(["cp", "--recursive", "--no-preserve=mode", f"{files}/.", node])
    programs = [
        *(node / "usr/local/bin").iterdir(),
        node / "kind",
        *(node / "kind").rglob("bin"),
        *(node / "kind/bin").iterdir(),
    ]
    for program in programs:
        program.chmod(0o755)
    for pattern in UNWANTED_UNITS:
        for unit in node.glob(pattern):
            unit.unlink()
    with (node / "etc/systemd/journald.conf").open("a") as journald:
        journald.write("ReadKMsg=no\n")
    init = node / "usr/sbin/init"
    init.unlink(missing_ok=True)
    init.symlink_to("/usr/lib/systemd/systemd")
    for folder in ("etc/kubernetes/manifests", "etc/cni/net.d", "kind/manifests"):
        (node / folder).mkdir(parents=True, exist_ok=True)
    process.run(
        ["chroot", node, "systemctl", "enable", "kubelet.service", "containerd.service", "undo-mount-hacks.service"]
    )
    process.run(["chroot", node, "systemctl", "mask", "systemd-binfmt.service"])


def add_container_runtime(node: Path, pause_image: str) -> None:
    """Debian's containerd, runc and CNI plugins, where kind's files expect them."""
    for name in ("containerd", "ctr"):
        (node / "usr/local/bin" / name).symlink_to(f"/usr/bin/{name}")
    (node / "opt/cni").mkdir(parents=True)
    (node / "opt/cni/bin").symlink_to("/usr/lib/cni")
    specification = json.loads(process.run(["chroot", node, "ctr", "oci", "spec"]))
    text = json.dumps(base_specification(specification))
    (node / "etc/containerd/cri-base.json").write_text(text)
    config = node / CONTAINERD_CONFIG
    config.write_text(containerd_config(config.read_text(), pause_image))


def base_specification(specification: dict[str, Any]) -> dict[str, Any]:
    """What kind's Dockerfile does to containerd's default specification with jq."""
    hooks = specification.get("hooks") or {}
    hook = {"path": "/kind/bin/mount-product-files.sh"}
    process_part = {key: value for key, value in specification["process"].items() if key != "rlimits"}
    create = [*(hooks.get("createContainer") or []), hook]
    return {**specification, "process": process_part, "hooks": {**hooks, "createContainer": create}}


def containerd_config(text: str, pause_image: str) -> str:
    """kind's configuration for our machines: nobody may lower an OOM score, and pause is ours.

    Without restrict_oom_score_adj the control plane never starts where CAP_SYS_RESOURCE is missing.
    """
    lines = []
    for line in text.splitlines():
        key = line.partition("=")[0].strip()
        indent = line[: len(line) - len(line.lstrip())]
        if key == "restrict_oom_score_adj":
            lines.append(f"{indent}{key} = true")
        elif key == "sandbox_image":
            lines.append(f'{indent}{key} = "{pause_image}"')
        else:
            lines.append(line)
    changed = "\n".join(lines) + "\n"
    for needed in ("restrict_oom_score_adj = true", f'sandbox_image = "{pause_image}"'):
        if needed not in changed:
            raise ValueError(f"kind {KIND_VERSION}: {CONTAINERD_CONFIG} has no {needed.partition(' ')[0]}")
    return changed


def add_kubernetes(node: Path, kube: Path) -> None:
    shutil.copy(kube, node / "usr/bin/kube")
    for name in ("kubelet", "kubeadm", "kubectl"):
        (node / "usr/bin" / name).symlink_to("kube")
    (node / "kind/version").write_text(KUBERNETES_VERSION)
    (node / "kind/manifests/default-cni.yaml").write_text(DEFAULT_CNI)
    (node / "kind/manifests/default-storage.yaml").write_text(DEFAULT_STORAGE)


def preload(node: Path, archive: Path, work: Path) -> None:
    """Import the archive into the node's containerd store, with the node's own containerd.

    It runs in namespaces of its own; only the store stays. The images are unpacked by
    the nodes when first used, which keeps the image small.
    """
    shutil.move(archive, node / "images.tar")
    state = "/run/preload"
    (node / "run/preload").mkdir()
    config = f'version = 2\nroot = "/var/lib/containerd"\nstate = "{state}"\n'
    config += f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{state}/sock"\n'
    (node / "run/preload/config.toml").write_text(config)
    script = f"""
        containerd --config {state}/config.toml & pid=$!
        for i in $(seq 100); do ctr -a {state}/sock version >/dev/null 2>&1 && break; sleep 0.1; done
        ctr -a {state}/sock -n k8s.io images import --no-unpack /images.tar || exit 1
        kill $pid; wait $pid || true
    """
    process.run(process.apart(["chroot", node, "/bin/sh", "-c", script]), log=work / "preload.log", timeout=300)
    shutil.rmtree(node / "run/preload")
    (node / "images.tar").unlink()
