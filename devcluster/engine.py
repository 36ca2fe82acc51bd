"""The container engine: the user's where one answers, else a dockerd of our own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from devcluster import cgroups, fence, process
from devcluster.cache import remove_tree, unmount_below
from devcluster.errors import DevclusterError, RefusedError
from devcluster.settings import BRIDGE, NETWORK, NO_RESOLVER, NODE_GATEWAY, NODE_SUBNET, OTHER_NETWORKS, Settings

CAP_SYS_RESOURCE = 24
START_SECONDS = 60.0
LAUNCHES = 3
"""dockerd waits 15 s for its containerd and then ends; where the programs are not in memory yet, that is too short."""
RUNTIME = "enginebench"


@dataclass(frozen=True)
class Engine:
    """A container engine that answers, and how to speak to it."""

    host: str  # as in DOCKER_HOST; empty for docker's own default
    own: bool

    @property
    def env(self) -> dict[str, str]:
        settings = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": NETWORK}
        if self.host:
            settings["DOCKER_HOST"] = self.host
        if self.own:
            settings["DOCKER_BUILDKIT"] = "0"  # Debian's engine comes without buildx
        return settings

    def docker(self, *words: str | Path, text: str | None = None) -> str:
        return process.run(["docker", *words], env=self.env, text=text)

    def answers(self) -> bool:
        return process.attempt(["docker", "version"], env=self.env, timeout=20).ok

    def has_image(self, name: str) -> bool:
        return process.attempt(["docker", "image", "inspect", name], env=self.env).ok


def users_engine(environ: Mapping[str, str], settings: Settings) -> Engine | None:
    """The engine that the user has already: DOCKER_HOST, else docker's default; None if none answers."""
    if process.which("docker") is None:
        return None
    host = environ.get("DOCKER_HOST", "")
    if host == settings.engine_host:  # .cluster/env was sourced: that is our own
        return None
    engine = Engine(host=host, own=False)
    if engine.answers():
        return engine
    if host:
        raise RefusedError(
            f"DOCKER_HOST is {host}, but no container engine answers there: start it or unset DOCKER_HOST."
        )
    return None


class OwnEngine:
    """Debian's dockerd with its own socket, data and runtime folder. Needs root."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._data = settings.engine_data / "data"
        self._log = settings.engine_data / "dockerd.log"
        self._memory = settings.engine_data / "ip_forward"
        self._exec_root = settings.run / "docker"
        self._pidfile = settings.run / "docker.pid"
        self.engine = Engine(host=settings.engine_host, own=True)

    def command(self, wrapper: Path | None) -> list[str]:
        """dockerd's command line; `wrapper` is the runtime of all its containers if given."""
        settings = self._settings
        words = [
            "dockerd",
            f"--data-root={self._data}",
            f"--exec-root={self._exec_root}",
            f"--pidfile={self._pidfile}",
            f"--host={settings.engine_host}",
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--oom-score-adjust=0",
            # The network is ours (fence.py), and builds have none.
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-masq=false",
            "--ip-forward=false",
            # dockerd's resolver says nothing at all when its upstream fails: the nodes are not to wait long.
            f"--dns={NO_RESOLVER}",
            "--dns-opt=timeout:1",
            "--dns-opt=attempts:1",
            f"--default-address-pool=base={OTHER_NETWORKS},size=24",
            # Not another engine's, should a containerd of the system be running.
            "--containerd-namespace=enginebench",
            "--containerd-plugins-namespace=enginebench-plugins",
        ]
        if wrapper:
            words += [f"--add-runtime={RUNTIME}={wrapper}", f"--default-runtime={RUNTIME}"]
        return words

    def is_dockerd(self, words: list[str]) -> bool:
        return self._is_any_dockerd(words) and f"--data-root={self._data}" in words

    def _is_any_dockerd(self, words: list[str]) -> bool:
        """Also one of another cache folder."""
        return bool(words) and Path(words[0]).name == "dockerd" and f"--exec-root={self._exec_root}" in words

    def is_ours(self, words: list[str]) -> bool:
        """dockerd, its containerd, its proxies, or a container's shim."""
        places = (str(self._exec_root), str(self._data))
        return self.is_dockerd(words) or (
            bool(words)
            and Path(words[0]).name.startswith(("containerd", "docker-proxy"))
            and any(word.startswith(places) for word in words[1:])
        )

    def running(self) -> bool:
        return any(True for _ in process.find(self.is_dockerd)) and self.engine.answers()

    def refuse_foreign(self) -> None:
        """There is one engine a machine: RefusedError if it is another cache folder's."""
        for pid in process.find(self._is_any_dockerd):
            words = process.arguments(pid)
            if self._is_any_dockerd(words) and not self.is_dockerd(words) and process.shares_network(pid):
                data = next(word for word in words if word.startswith("--data-root="))
                cache = Path(data.removeprefix("--data-root=")).parents[2]
                raise RefusedError(
                    f"This machine already runs a cluster of another cache folder, {cache}: use it with"
                    f" XDG_CACHE_HOME={cache}, or end it with XDG_CACHE_HOME={cache} make cluster-purge."
                )

    def start(self, wrapper: Path | None) -> Engine:
        """Start it over whatever an earlier one left; repeatable."""
        self.refuse_foreign()
        fence.put_up(self._memory)
        if not self.running():
            for pid in process.find(self.is_dockerd):  # alive, but does not answer
                process.end(pid, self.is_dockerd, 20)
            self._launch(wrapper)
        self._ensure_network()
        return self.engine

    def _launch(self, wrapper: Path | None) -> None:
        for folder in (self._data, self._exec_root):
            folder.mkdir(parents=True, exist_ok=True)
        if not any(self._launched(wrapper) for _ in range(LAUNCHES)):
            raise DevclusterError(
                f"The container engine did not start; its log is {self._log}:\n{process.tail(self._log)}\n"
                "`make cluster-purge` removes all that it keeps."
            )

    def _launched(self, wrapper: Path | None) -> bool:
        """Whether it answers; not, if it ended by itself or did not answer in time, and was ended."""
        self._drop_stale_pidfiles()
        self._log.unlink(missing_ok=True)
        pid = process.start_daemon(self.command(wrapper), self._log)
        limit = time.monotonic() + START_SECONDS
        while not self.engine.answers():
            if not self.is_dockerd(process.arguments(pid)):
                return False
            if time.monotonic() > limit:
                process.end(pid, self.is_dockerd, 20)
                return False
            time.sleep(0.1)
        return True

    def _drop_stale_pidfiles(self) -> None:
        """dockerd trusts any living process that a pid file names; after a crash that may be anything."""
        for file in (self._pidfile, self._exec_root / "containerd" / "containerd.pid"):
            text = file.read_text().strip() if file.exists() else ""
            if not (text.isdigit() and self.is_ours(process.arguments(int(text)))):
                file.unlink(missing_ok=True)

    def _ensure_network(self) -> None:
        found = self.engine.docker("network", "ls", "--quiet", "--filter", f"name=^{NETWORK}$")
        if not found.strip():
            bridge = f"com.docker.network.bridge.name={BRIDGE}"
            self.engine.docker(
                "network", "create", "--subnet", NODE_SUBNET, "--gateway", NODE_GATEWAY, "--opt", bridge, NETWORK
            )

    def containers(self) -> set[str]:
        """The ids of all containers that this engine ever made and did not remove."""
        folder = self._data / "containers"
        return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()

    def stop(self) -> None:
        """End it and all that is left of its containers, mounts, network and rules. Repeatable."""
        self.refuse_foreign()
        ids = self.containers()
        for pid in process.find(self.is_dockerd):
            process.end(pid, self.is_dockerd, 30)
        for pid in process.find(self.is_ours):
            process.end(pid, self.is_ours, 5)
        cgroups.end(ids)
        for folder in (self._exec_root, self._data):
            unmount_below(folder)
        remove_tree(self._settings.run)
        fence.take_down(self._memory)


def lacks_capability(status: str, capability: int = CAP_SYS_RESOURCE) -> bool:
    """Whether the bounding set in the text of /proc/self/status is without the capability."""
    for line in status.splitlines():
        if line.startswith("CapBnd:"):
            return not int(line.split()[1], 16) >> capability & 1
    raise DevclusterError("/proc/self/status has no line CapBnd: this kernel is not supported.")


def needs_wrapper() -> bool:
    return lacks_capability(Path("/proc/self/status").read_text())
