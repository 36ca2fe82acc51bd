"""up, down, purge and status, step by step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO

from devcluster import fence, gpu, kind, outputs, podnetwork, process, smoke
from devcluster.cache import disk_usage, lock, remove_tree
from devcluster.engine import Engine
from devcluster.errors import DevclusterError
from devcluster.kind import Kind
from devcluster.kubectl import Kubectl
from devcluster.nodestore import has_image, holds, load_on_node, receive_on_node
from devcluster.screen import Screen
from devcluster.settings import Settings
from devcluster.supplies import Supplier, Supplies

NODES = 2
READY_SECONDS = 120


class Cluster:
    def __init__(self, settings: Settings, screen: Screen) -> None:
        self._settings = settings
        self._screen = screen
        self._supplier = Supplier(settings, screen)

    # --- up

    def up(self) -> None:
        """Have a cluster that passes the smoke test; what is there and good is kept."""
        with lock(self._settings.cache, self._waiting):
            supplies = self._supplier.gather()
            nodes = Kind(self._settings, supplies.engine)
            if kind.marked_ready(self._settings.ready_mark, nodes.nodes()):
                try:
                    self._resume(supplies, nodes)
                    return
                except DevclusterError as error:
                    self._screen.say(f"  The cluster that is there does not work and is made anew. {error}")
            self._create(supplies, nodes)

    def _create(self, supplies: Supplies, nodes: Kind) -> None:
        self._settings.ready_mark.unlink(missing_ok=True)
        if nodes.nodes():
            with self._screen.step("Removing an unfinished or broken cluster"):
                nodes.delete()
        with self._screen.step(f"Two Kubernetes nodes, kind cluster {self._settings.name}", "25 s"):
            log = self._settings.cache / "logs" / "kind.log"
            nodes.create(supplies.kind, supplies.node_image, supplies.own_network, log)
        kubectl = self._export(supplies, nodes)
        if not supplies.own_network:
            nodes.load(supplies.kind, [self._public_smoke_image(supplies)])
        self._complete(supplies, nodes, kubectl)

    def _resume(self, supplies: Supplies, nodes: Kind) -> None:
        """The cluster passed once. Its nodes may have been stopped, and its routes and GPU forgotten."""
        if not all(node.running for node in nodes.nodes()):
            with self._screen.step("Starting the stopped nodes"):
                nodes.start()
        for node in nodes.nodes():
            if supplies.own_network and node.image != supplies.node_image:
                self._screen.say(f"  {node.name} is of an older node image; `make cluster-down` first to renew it.")
        self._complete(supplies, nodes, self._export(supplies, nodes))

    def _export(self, supplies: Supplies, nodes: Kind) -> Kubectl:
        """Write .cluster/: from here on the cluster can be used, good or not."""
        program = supplies.kubectl or self._kubectl_of_node(supplies.engine)
        outputs.write_kubeconfig(self._settings, nodes.kubeconfig(supplies.kind))
        outputs.write_environment(self._settings, supplies.engine)
        outputs.link_program(self._settings, "kind", supplies.kind)
        link = outputs.link_program(self._settings, "kubectl", program)
        return Kubectl(link, self._settings.kubeconfig)

    def _complete(self, supplies: Supplies, nodes: Kind, kubectl: Kubectl) -> None:
        """What kind leaves to us, then the test that decides."""
        with self._screen.step("Pod network, DNS and GPU"):
            kubectl.until("API server", READY_SECONDS, "get", "--raw", "/readyz")
            if supplies.own_network:
                podnetwork.close_dns(kubectl)
                podnetwork.connect(supplies.engine, kubectl, NODES)
            ready = ["wait", "--for=condition=Ready", "node", "--all", "--timeout=20s"]
            kubectl.until("Nodes ready", READY_SECONDS, *ready)
            gpu.advertise(kubectl, self._settings.worker)
            # Without it the first pods of a new cluster are refused.
            kubectl.until("Default ServiceAccount", READY_SECONDS, "get", "serviceaccount", "default")
        with self._screen.step("Smoke test: pods, a Service across nodes, DNS, exec, logs"):
            names = [self._settings.control_plane, self._settings.worker]
            dns = ["rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=20s"]
            kubectl.until("Cluster DNS", READY_SECONDS, *dns)
            smoke.test(kubectl, names, self._settings.worker, supplies.smoke_image)
        kind.mark_ready(self._settings.ready_mark, nodes.nodes())
        self._screen.say(
            f"The cluster is up. KUBECONFIG={self._settings.kubeconfig}\n"
            f"For kubectl, kind and docker of this cluster: source {self._settings.outputs / 'env'}"
        )

    def _public_smoke_image(self, supplies: Supplies) -> str:
        if not supplies.engine.has_image(supplies.smoke_image):
            supplies.engine.docker("pull", "--quiet", supplies.smoke_image)
        return supplies.smoke_image

    def _kubectl_of_node(self, engine: Engine) -> Path:
        """The node image has one, of the cluster's own version."""
        program = self._settings.cache / "bin" / "kubectl"
        program.parent.mkdir(parents=True, exist_ok=True)
        engine.docker("cp", f"{self._settings.control_plane}:/usr/bin/kubectl", program)
        return program

    def _waiting(self, pid: str) -> None:
        self._screen.say(f"Waiting for another devcluster command (process {pid}) to end.")

    # --- down, purge

    def down(self) -> None:
        """Delete the cluster; our own engine ends with it, and takes its network and rules along."""
        with lock(self._settings.cache, self._waiting):
            self._delete_cluster()
            self._stop_own_engine()

    def purge(self) -> None:
        """`down`, and remove images and caches."""
        with lock(self._settings.cache, self._waiting):
            self._delete_cluster()
            self._stop_own_engine()
            with self._screen.step(f"Removing {self._settings.cache} ({disk_usage(self._settings.cache)})"):
                for entry in self._settings.cache.iterdir():
                    remove_tree(entry)
                shutil.rmtree(self._settings.cache)
            remove_tree(self._settings.outputs)

    def _delete_cluster(self) -> None:
        self._settings.ready_mark.unlink(missing_ok=True)
        self._settings.ready_mark.with_suffix(".kubeconfig").unlink(missing_ok=True)
        engine = self._supplier.find_engine()
        if engine and (nodes := Kind(self._settings, engine)).nodes():
            with self._screen.step(f"Deleting the cluster {self._settings.name}"):
                nodes.delete()
        if engine and not engine.own:
            process.attempt(["docker", "network", "rm", "enginebench"], env=engine.env)
        outputs.remove(self._settings)

    def _stop_own_engine(self) -> None:
        own = self._supplier.own_engine
        if os.geteuid() == 0 and (self._settings.engine_data.exists() or any(process.find(own.is_dockerd))):
            with self._screen.step("Ending the container engine of our own"):
                own.stop()
            for left in fence.remains():
                self._screen.error(f"  Still there: {left}")

    # --- the rest

    def status(self) -> bool:
        """Say how things stand; whether the cluster is there and answers."""
        engine = self._supplier.find_engine()
        if engine is None:
            self._screen.say("No container engine is running: no cluster. `make cluster-up` starts it.")
            return False
        where = f"our own, DOCKER_HOST={engine.host}" if engine.own else f"yours, {engine.host or 'the default socket'}"
        self._screen.say(f"Container engine: {where}")
        self._screen.say(f"Caches: {self._settings.cache}")
        nodes = Kind(self._settings, engine).nodes()
        for node in nodes:
            self._screen.say(f"Node {node.name}: {'running' if node.running else 'stopped'}, {node.image}")
        good = kind.marked_ready(self._settings.ready_mark, nodes) and all(node.running for node in nodes)
        if not good or not self._settings.kubeconfig.exists():
            self._screen.say("The cluster is not up for this checkout: `make cluster-up` brings it up.")
            return False
        kubectl = self.kubectl()
        answer = kubectl.attempt("get", "--raw", "/readyz")
        self._screen.say(f"API server: {answer.output.strip() or answer.errors.strip()}")
        if answer.ok:
            self._screen.say(kubectl.run("get", "nodes", "--output", "wide").rstrip())
            self._screen.say(f"GPUs of {self._settings.worker}: {gpu.advertised(kubectl, self._settings.worker)}")
        self._screen.say(f"Kubeconfig: {self._settings.kubeconfig}")
        return answer.ok

    def kubectl(self) -> Kubectl:
        program = self._settings.outputs / "bin" / "kubectl"
        if not program.exists() or not self._settings.kubeconfig.exists():
            raise DevclusterError("There is no cluster for this checkout: `make cluster-up` brings it up.")
        return Kubectl(program, self._settings.kubeconfig)

    def load(self, images: list[str], worker_only: bool = False) -> None:
        """Copy images of the engine to every node, or to the worker alone."""
        engine = self._require_engine()
        for image in images:
            if not engine.has_image(image):
                raise DevclusterError(f"The container engine has no image {image}: build or pull it first.")
        nodes = [self._settings.worker] if worker_only else [self._settings.worker, self._settings.control_plane]
        for image in images:
            for node in nodes:
                load_on_node(engine, image, node, self._screen)

    def worker_has(self, image: str, key: str) -> bool:
        """Whether `receive` has brought this image there, made of the same."""
        return has_image(self._require_engine(), image, key, self._settings.worker)

    def receive(self, image: str, key: str, write: Callable[[IO[bytes], Callable[[str], bool]], None]) -> None:
        """Put an image into the worker that the engine need not have; `key` says what it is made of.

        `write` makes its archive, and may leave out the layers of which the function that it gets says, by their
        digests, that they are there.
        """
        engine, node = self._require_engine(), self._settings.worker
        # One at a time: two that have a layer in common send it once.
        with lock(self._settings.cache / "receiving", self._waiting):
            held = partial(holds, engine, node)
            receive_on_node(engine, image, key, node, lambda out: write(out, held), self._screen)

    def base_image(self) -> str:
        with lock(self._settings.cache, self._waiting):
            return self._supplier.python_image(self._require_engine())

    def node_copy(self, source: Path, target: str) -> None:
        """Put a file, or the content of a folder, at `target` on the worker; readable for any UID there."""
        engine = self._require_engine()
        if not source.exists():
            raise DevclusterError(f"{source} does not exist.")
        if not target.startswith("/") or target.rstrip("/") == "":
            raise DevclusterError(f"{target} is not an absolute path below / on the node.")
        with lock(self._settings.cache, self._waiting):  # two copies to one place would take each other's draft away
            self._copy(engine, source, target.rstrip("/"))

    def _copy(self, engine: Engine, source: Path, target: str) -> None:
        """The new one is complete before the old one goes."""
        draft = f"{target}.partial"
        worker = ["docker", "exec", "--interactive", self._settings.worker]
        engine.docker(*worker[1:], "sh", "-ec", 'rm -rf "$1"; mkdir -p "$1"', "-", draft)
        folder, content = (source, ".") if source.is_dir() else (source.parent, source.name)
        pack: list[str | Path] = [
            "tar",
            "-C",
            folder,
            "--mode=u+w,a+rX",
            "--owner=0",
            "--group=0",
            "-chf",
            "-",
            content,
        ]
        process.pipe(pack, [*worker, "tar", "-C", draft, "-xf", "-"], engine.env)
        made = draft if source.is_dir() else f"{draft}/{source.name}"
        script = 'rm -rf "$3"; mv "$2" "$3"; rm -rf "$1"'
        engine.docker(*worker[1:], "sh", "-ec", script, "-", draft, made, target)

    def _require_engine(self) -> Engine:
        engine = self._supplier.find_engine()
        if engine is None:
            raise DevclusterError("No container engine is running: `make cluster-up` starts it.")
        return engine
