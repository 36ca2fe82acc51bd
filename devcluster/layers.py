"""The images that lie in the node image: control plane, pause, smoke test; one layer each."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from devcluster import process
from devcluster.engine import Engine
from devcluster.settings import KUBERNETES_VERSION

SMOKE_IMAGE = "localhost/enginebench-smoke:1"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "etcd", "coredns")
IPTABLES = [f"{ip}{verb}" for ip in ("iptables", "ip6tables") for verb in ("", "-save", "-restore")]
# What kube-proxy calls, in the node's file system.
NETWORK_PROGRAMS = [
    *("usr/sbin/xtables-nft-multi", "usr/sbin/xtables-legacy-multi", "usr/sbin/conntrack", "usr/sbin/nft"),
    *("usr/bin/ip", "usr/bin/kmod"),
]


def published_names(kubeadm_list: str) -> dict[str, str]:
    """Component → image name, from what `kubeadm config images list` prints.

    >>> published_names("registry.k8s.io/etcd:3.6.5-0\\nregistry.k8s.io/coredns/coredns:v1.12.1\\n")
    {'etcd': 'registry.k8s.io/etcd:3.6.5-0', 'coredns': 'registry.k8s.io/coredns/coredns:v1.12.1'}
    """
    names = {}
    for line in filter(None, map(str.strip, kubeadm_list.splitlines())):
        names[line.rpartition("/")[2].partition(":")[0]] = line
    return names


def image_names(kube: Path) -> dict[str, str]:
    listed = process.run([kube, "kubeadm", "config", "images", "list", "--kubernetes-version", KUBERNETES_VERSION])
    return published_names(listed)


def shared_objects(ldd_output: str) -> list[str]:
    """The absolute paths in what ldd prints; none for a static program."""
    return sorted(set(re.findall(r"(/\S+\.so\S*)", ldd_output)))


def control_plane(node_root: Path, kube: Path, layer: Path) -> None:
    """One layer for all components: the binary, and iptables with every library it loads.

    A library that is missing is noticed by nothing but Services that lose packets, so the
    programs are run once here.
    """
    _lay_out(layer)
    for name in ("passwd", "group", "nsswitch.conf", "protocols", "services"):
        if (node_root / "etc" / name).exists():
            shutil.copy(node_root / "etc" / name, layer / "etc" / name)
    shutil.copytree(node_root / "etc/ssl/certs", layer / "etc/ssl/certs", symlinks=False, ignore_dangling_symlinks=True)

    extensions = next((node_root / "usr/lib").glob("*/xtables"))
    modules = [str(p.relative_to(node_root)) for p in sorted(extensions.glob("*.so"))]
    _copy_programs(node_root, layer, [*NETWORK_PROGRAMS, *modules])
    for name in IPTABLES:
        (layer / "usr/sbin" / name).symlink_to("xtables-nft-multi")
    (layer / "usr/sbin/modprobe").symlink_to("../bin/kmod")

    shutil.copy(kube, layer / "usr/local/bin/kube")
    for name in COMPONENTS:
        (layer / "usr/local/bin" / name).symlink_to("kube")
    (layer / "coredns").symlink_to("usr/local/bin/kube")
    for check in (
        ["/usr/sbin/iptables", "--version"],
        ["/usr/sbin/conntrack", "--version"],
        ["/usr/sbin/nft", "--version"],
    ):
        process.run(["chroot", layer, *check])


def _lay_out(layer: Path) -> None:
    """The folders and links of a merged /usr, as Debian has them."""
    for folder in ("usr/local/bin", "usr/sbin", "usr/bin", "usr/lib", "usr/lib64", "tmp", "run", "var/lib", "etc"):
        (layer / folder).mkdir(parents=True)
    (layer / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        (layer / name).symlink_to(f"usr/{name}")


def _copy_programs(root: Path, layer: Path, names: list[str]) -> None:
    """The programs, and every library that they load."""
    listed = [process.attempt(["chroot", root, "ldd", f"/{name}"]).output for name in names]
    libraries = [f"usr{path}" if path.startswith("/lib") else path[1:] for path in shared_objects("\n".join(listed))]
    for name in [*names, *libraries]:
        target = layer / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(_inside(root, name), target)


def _inside(root: Path, name: str) -> Path:
    """The file behind a link of the root's own, never one of the host's."""
    found = process.run(["chroot", root, "readlink", "--canonicalize-existing", f"/{name}"]).strip()
    return root / found[1:]


def pause(node_root: Path, layer: Path) -> None:
    """Debian's catatonit, a static program that waits as PID 1 and reaps."""
    layer.mkdir()
    shutil.copy(node_root / "usr/bin/catatonit", layer / "pause")


def smoke(node_root: Path, layer: Path) -> None:
    """busybox: the web server and the client of the smoke test."""
    _lay_out(layer)
    _copy_programs(node_root, layer, ["usr/bin/busybox"])
    for name in ("sh", "wget", "nslookup", "httpd", "sleep", "mkdir", "timeout"):
        (layer / "usr/bin" / name).symlink_to("busybox")


def import_layer(engine: Engine, layer: Path, name: str, changes: list[str]) -> None:
    """A folder as a one-layer image; the same content gives the same layer."""
    options = [word for change in changes for word in ("--change", change)]
    owner = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0"]
    process.pipe(["tar", "-C", layer, *owner, "-cf", "-", "."], ["docker", "import", *options, "-", name], engine.env)


def build_archive(engine: Engine, node_root: Path, kube: Path, work: Path) -> Path:
    """All images of a node in one `docker save` archive, made in the folder `work`."""
    names = image_names(kube)
    path = "ENV PATH=/usr/local/bin:/usr/sbin:/usr/bin"
    layer = work / "control-plane"
    control_plane(node_root, kube, layer)
    local = "localhost/enginebench-control-plane:build"
    import_layer(engine, layer, local, [path])
    import_layer(engine, layer, names["coredns"], [path, 'ENTRYPOINT ["/coredns"]'])
    pause(node_root, work / "pause")
    import_layer(engine, work / "pause", names["pause"], ['ENTRYPOINT ["/pause", "-P"]'])
    smoke(node_root, work / "smoke")
    import_layer(engine, work / "smoke", SMOKE_IMAGE, ["ENV PATH=/bin"])
    for component in COMPONENTS:
        if component != "coredns":
            engine.docker("tag", local, names[component])
    images = [names[component] for component in (*COMPONENTS, "pause")]
    archive = work / "images.tar"
    engine.docker("save", "--output", archive, *images, SMOKE_IMAGE)
    engine.docker("image", "rm", *images, local)  # the node has them; here they would only lie about
    return archive
