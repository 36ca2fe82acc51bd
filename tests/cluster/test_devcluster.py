"""The local cluster itself: kept, found by another checkout, closed to the outside, and the path with a public image."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import gpu, kind, layers
from devcluster.engine import Engine
from devcluster.kubectl import Kubectl
from devcluster.settings import (
    KUBERNETES_VERSION,
    PUBLIC_NODE_IMAGE,
    PUBLIC_SMOKE_IMAGE,
    SOURCES,
    Settings,
    from_environment,
)

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = from_environment({**os.environ, "CLUSTER": ""}, ROOT)
OWN = SETTINGS.engine_data.exists()

pytestmark = pytest.mark.skipif(
    not OWN, reason="the cluster under test is not on an engine of our own; only that one may be experimented with"
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    devcluster(ROOT, "up")
    return Engine(SETTINGS.engine_host, own=True)


@pytest.fixture(scope="module")
def kubectl(engine: Engine) -> Kubectl:
    assert engine.answers()
    return Kubectl(SETTINGS.outputs / "bin" / "kubectl", SETTINGS.kubeconfig)


def devcluster(checkout: Path, *words: str, **environ: str) -> str:
    """Run it there; it must succeed. Returns what it said."""
    env = {**{k: v for k, v in os.environ.items() if k not in ("DOCKER_HOST", "KUBECONFIG")}, **environ}
    done = subprocess.run(
        [sys.executable, "-m", "devcluster", *words], cwd=checkout, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Another checkout of this project, as far as the cluster needs it."""
    shutil.copytree(SOURCES, tmp_path / "devcluster", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_another_checkout_finds_the_cluster_and_leaves_it_as_it_is(engine: Engine, checkout: Path) -> None:
    before = kind.Kind(SETTINGS, engine).nodes()
    said = devcluster(checkout, "up")
    assert "Two Kubernetes nodes" not in said
    assert kind.Kind(SETTINGS, engine).nodes() == before
    found = Kubectl(checkout / ".cluster" / "bin" / "kubectl", checkout / ".cluster" / "kubeconfig")
    assert len(found.get("nodes")["items"]) == 2
    assert "Node enginebench-worker: running" in devcluster(checkout, "status").replace(
        SETTINGS.worker, "enginebench-worker"
    )


def test_one_gpu_on_the_worker_and_none_elsewhere(kubectl: Kubectl) -> None:
    assert gpu.advertised(kubectl, SETTINGS.worker) == 1
    assert gpu.advertised(kubectl, SETTINGS.control_plane) == 0
    labels = kubectl.get("node", SETTINGS.worker)["metadata"]["labels"]
    assert gpu.LABELS.items() <= labels.items()


def test_mutating_admission_policies_are_served(kubectl: Kubectl) -> None:
    """They play the part of OpenShift's security context constraints."""
    groups = kubectl.run("api-resources", "--api-group=admissionregistration.k8s.io", "--output=name")
    assert "mutatingadmissionpolicies.admissionregistration.k8s.io" in groups.split()


def test_one_binary_is_every_program_by_its_name_or_its_first_argument(kubectl: Kubectl, tmp_path: Path) -> None:
    kube = kubectl.program.resolve()
    link = tmp_path / "kubectl"
    link.symlink_to(kube)

    def said(*command: str | Path) -> tuple[int, str]:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    version = ("version", "--client")
    assert said(link, *version) == said(kube, "kubectl", *version)
    assert f"Client Version: {KUBERNETES_VERSION}\n" in said(link, *version)[1]
    assert said(kube, "kubelet", "--version") == (0, f"Kubernetes {KUBERNETES_VERSION}\n")
    assert said(kube)[0] == said(kube, "docker")[0] == 2
    assert "PROGRAM one of coredns, etcd, kube-apiserver" in said(kube)[1]
    assert '"docker" is none of coredns, etcd, kube-apiserver' in said(kube, "docker")[1]


def timed(engine: Engine, *words: str) -> tuple[str, float]:
    """What a command on the worker said, and how long it took."""
    start = time.monotonic()
    script = 'exec 2>&1; timeout 30 "$@"; echo "exit $?"'
    said = engine.docker("exec", SETTINGS.worker, "bash", "-c", script, "-", *words)
    return said, time.monotonic() - start


@pytest.mark.parametrize(("address", "within"), [("198.51.100.1", 2), ("198.19.255.254", 20)])
def test_nothing_leaves_the_machine_and_that_is_said(engine: Engine, address: str, within: float) -> None:
    """An address of the documentation's, and one of the Service subnet that no Service has."""
    said, seconds = timed(engine, "bash", "-c", f"echo > /dev/tcp/{address}/443")
    assert "exit 1" in said, said
    assert "Connection refused" in said or "unreachable" in said or "No route" in said
    assert seconds < within


def test_names_from_outside_fail_at_once(engine: Engine) -> None:
    said, seconds = timed(engine, "getent", "hosts", "example.com")
    assert "exit 2" in said, said
    assert seconds < 5


def test_files_for_the_worker(engine: Engine, checkout: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    (model / "deep").mkdir(parents=True)
    (model / "deep" / "weights").write_text("one")
    (model / "deep" / "weights").chmod(0o600)
    target = "/var/lib/enginebench-test/model"
    for text in ("one", "two"):
        (model / "deep" / "weights").write_text(text)
        devcluster(checkout, "node-copy", str(model), target)
        assert engine.docker("exec", SETTINGS.worker, "cat", f"{target}/deep/weights") == text
    assert engine.docker("exec", SETTINGS.worker, "stat", "-c", "%a", f"{target}/deep/weights").strip() == "644"
    devcluster(checkout, "node-copy", str(model / "deep" / "weights"), f"{target}/deep/weights")
    assert engine.docker("exec", SETTINGS.worker, "ls", "/var/lib/enginebench-test", f"{target}/deep").split() == [
        *("/var/lib/enginebench-test:", "model"),
        *(f"{target}/deep:", "weights"),
    ]
    engine.docker("exec", SETTINGS.worker, "rm", "-r", "/var/lib/enginebench-test")


def test_what_needs_no_image_of_the_engine_is_said(checkout: Path) -> None:
    env = {k: v for k, v in os.environ.items() if k not in ("DOCKER_HOST", "KUBECONFIG")}
    command = [sys.executable, "-m", "devcluster", "load", "localhost/never-built:1"]
    done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "has no image localhost/never-built:1: build or pull it first" in done.stderr


# --- the public path, with our node image under the public name

# What the public image's kindnet does: a pod on each node sets up the bridge and the routes.
SCRIPT = r"""
token=$(busybox cat /var/run/secrets/kubernetes.io/serviceaccount/token)
server=$(busybox sed -n 's/.*server: //p' /host/etc/kubernetes/kubelet.conf)
list='{range .items[*]}{.metadata.name} {.spec.podCIDR} {.status.addresses[?(@.type=="InternalIP")].address}{"\n"}{end}'
while :; do
  busybox chroot /host kubectl --kubeconfig /dev/null --server $server --token $token --insecure-skip-tls-verify \
    get nodes -o jsonpath="$list" | while read name pods address; do
    if [ $name = $NODE ]; then
      echo '{"cniVersion": "1.0.0", "name": "b", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "'$pods'"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}' \
        > /host/etc/cni/net.d/10-b.conflist
    else
      busybox chroot /host ip route replace $pods via $address
    fi
  done
  sleep 1
done
"""


def stand_in() -> str:
    """kind's default-cni.yaml for the stand-in: a ServiceAccount that may list nodes, and a DaemonSet."""
    account = {"kind": "ServiceAccount", "name": "stand-in", "namespace": "kube-system"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view-nodes"}
    rules = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}]
    container = {
        "name": "network",
        "image": layers.SMOKE_IMAGE,
        "command": ["sh", "-c", SCRIPT],
        "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "host", "mountPath": "/host"}],
    }
    pod = {
        "serviceAccountName": "stand-in",
        "hostNetwork": True,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
    }
    labels = {"app": "stand-in"}
    rbac = "rbac.authorization.k8s.io/v1"
    binding = {"apiVersion": rbac, "kind": "ClusterRoleBinding", "metadata": {"name": "view-nodes"}}
    objects = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "stand-in", "namespace": "kube-system"}},
        {"apiVersion": rbac, "kind": "ClusterRole", "metadata": {"name": "view-nodes"}, "rules": rules},
        {**binding, "roleRef": role, "subjects": [account]},
        {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "stand-in", "namespace": "kube-system"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


@pytest.fixture
def public_images(engine: Engine) -> Iterator[None]:
    """Images of our own under the public names; removed afterwards."""
    node_image = kind.Kind(SETTINGS, engine).nodes()[0].image
    encoded = base64.b64encode(stand_in().encode()).decode()
    dockerfile = f"FROM {node_image}\nRUN echo {encoded} | base64 -d > /kind/manifests/default-cni.yaml\n"
    engine.docker("build", "--tag", PUBLIC_NODE_IMAGE, "-", text=dockerfile)
    engine.docker("tag", layers.SMOKE_IMAGE, PUBLIC_SMOKE_IMAGE)
    yield
    engine.docker("image", "rm", PUBLIC_NODE_IMAGE, PUBLIC_SMOKE_IMAGE)


def test_an_engine_that_answers_and_has_the_public_node_image_is_used(
    engine: Engine, checkout: Path, public_images: None
) -> None:
    """A second cluster beside the first, with a cache folder of its own: this engine is then "the user's"."""
    name = "public-path"
    socket = checkout / "docker.sock"
    socket.symlink_to(SETTINGS.engine_socket)
    environ = {
        "XDG_CACHE_HOME": str(checkout / "cache"),
        "DOCKER_HOST": f"unix://{socket}",
        "ENGINEBENCH_CLUSTER_NAME": name,
        "PATH": f"{SETTINGS.outputs / 'bin'}:{os.environ['PATH']}",  # the user's own kind and kubectl
    }
    other = Settings(name, checkout, checkout / "cache" / "enginebench", SETTINGS.run, False, False)
    before = kind.Kind(SETTINGS, engine).nodes()
    try:
        said = devcluster(checkout, "up", **environ)
        assert "Smoke test" in said
        assert "compiled from source" not in said
        assert not other.engine_data.exists()
        assert {node.image for node in kind.Kind(other, engine).nodes()} == {PUBLIC_NODE_IMAGE}
        kubectl = Kubectl(other.outputs / "bin" / "kubectl", other.kubeconfig)
        assert gpu.advertised(kubectl, other.worker) == 1
        assert devcluster(checkout, "base-image", **environ).startswith("python:3.11-slim")
    finally:
        devcluster(checkout, "purge", **environ)
    assert kind.Kind(other, engine).nodes() == []
    assert kind.Kind(SETTINGS, engine).nodes() == before
    assert not (checkout / "cache" / "enginebench").exists()
