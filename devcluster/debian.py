"""Debian's part: packages on this machine, and root file systems made by debootstrap."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from devcluster import process
from devcluster.cache import Cache, digest
from devcluster.errors import RefusedError
from devcluster.settings import DEBIAN_SUITE

# What the engine and the builds need here, by a program of each package.
HOST_PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "runc": "runc",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "ip": "iproute2",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}

NODE_PACKAGES = [
    # as in kind's own base image, without what only other storage and network drivers need
    *("systemd", "systemd-sysv", "dbus", "conntrack", "iptables", "nftables", "iproute2", "ethtool", "util-linux"),
    *("mount", "kmod", "libseccomp2", "e2fsprogs", "bash", "ca-certificates", "curl", "jq", "procps", "socat"),
    # the container runtime; a pause program; the smoke test's web server and client
    *("containerd", "runc", "containernetworking-plugins", "catatonit", "busybox"),
]

PYTHON_PACKAGES = ["python3", "python3-venv", "ca-certificates"]


def require_root_on_debian(lacking: str, cure: str) -> None:
    """RefusedError with the alternatives, where nothing can be installed. `lacking`: the sentence that says what is not
    there and could be set up; `cure`: what to do about that otherwise."""
    reason = ""
    if os.geteuid() != 0:
        reason = "you are not root"
    elif process.which("apt-get") is None:
        reason = "this is not a Debian-like Linux (no apt-get)"
    if reason:
        raise RefusedError(
            f"{lacking}, and one can only be set up by root on Debian-like Linux, but {reason}:"
            f" {cure}, or use your own cluster with CLUSTER=current."
        )


def missing_packages() -> list[str]:
    return sorted({package for program, package in HOST_PACKAGES.items() if process.which(program) is None})


def install(packages: Iterable[str], log: Path) -> None:
    """With apt-get, without starting any service: the engine is started by us."""
    log.unlink(missing_ok=True)
    env = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # invoke-rc.d starts nothing in runlevel 1
    process.run(["dpkg", "--configure", "-a"], env=env, log=log)  # an install that was cut off
    process.run(["apt-get", "update"], env=env, log=log)
    wait = "DPkg::Lock::Timeout=300"
    process.run(["apt-get", "install", "--yes", "--no-install-recommends", "-o", wait, *packages], env=env, log=log)


class RootFilesystems:
    """Bare Debian systems as folders in the cache; not to be changed, only copied."""

    def __init__(self, cache: Cache, logs: Path) -> None:
        self._cache = cache
        self._logs = logs

    def node_key(self) -> str:
        return digest(DEBIAN_SUITE, *NODE_PACKAGES)

    def node(self) -> Path:
        return self._make("debian-node", NODE_PACKAGES, self.node_key())

    def python_key(self) -> str:
        return digest(DEBIAN_SUITE, *PYTHON_PACKAGES)

    def python(self) -> Path:
        return self._make("debian-python", PYTHON_PACKAGES, self.python_key())

    def _make(self, kind: str, packages: list[str], key: str) -> Path:
        def build(draft: Path) -> None:
            command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", DEBIAN_SUITE, str(draft)]
            log = self._logs / f"{kind}.log"
            log.unlink(missing_ok=True)
            process.run(process.apart(command), log=log)
            slim(draft)

        return self._cache.ensure(kind, key, build)


def slim(root: Path) -> None:
    """Remove what no container needs: package archives and lists, documentation, logs."""
    for folder in (
        "var/cache/apt",
        "var/lib/apt/lists",
        "usr/share/doc",
        "usr/share/man",
        "usr/share/locale",
        "var/log",
    ):
        for path in sorted((root / folder).rglob("*"), reverse=True):
            if path.is_symlink() or path.is_file():
                path.unlink()
