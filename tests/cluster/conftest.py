"""Tests on a real cluster: the built image, installed with the manifests, driven with kubectl.

`make deploy` brings cluster, image and operator to where they should be; where they are already it takes seconds.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from images.operator.build import BUILT
from tests.cluster import images
from tests.support.cluster import Cluster, KubectlError, Namespace, eventually

ROOT = Path(__file__).resolve().parents[2]
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
GONE_WITHIN = 60.0
"""An engine gets 10 s to end, the load pod 30 s for its last words."""


def make(target: str) -> None:
    """Run a target of the Makefile and let it talk to the terminal."""
    done = subprocess.run(["make", "--no-print-directory", target], cwd=ROOT, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"make {target} failed"


@cache
def made(target: str) -> None:
    """Make a target of the Makefile, once for all modules, unless BUILT names it: where nothing is to be done it takes
    seconds, too, and minutes where something else is being put into the cluster."""
    if target not in os.environ.get("BUILT", "").split():
        make(target)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The cluster with the operator running in it."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        made("deploy")
    os.environ |= images.cluster_environment()
    return Cluster(kubeconfig=ROOT / ".cluster" / "kubeconfig", image=BUILT.read_text().strip())


@pytest.fixture(scope="session")
def vllm_image(cluster: Cluster) -> str:
    """An image that starts as vLLM's does, and fails as it is told."""
    return images.vllm_image(cluster.image)


@pytest.fixture(scope="session")
def kinds(cluster: Cluster) -> str:
    """Every namespaced kind that can be listed, but Events, and Endpoints, which come and go with their Services."""
    names = cluster.kubectl("api-resources", "--namespaced", "--verbs=list", "--output=name").split()
    return ",".join(name for name in names if not name.startswith(("events", "endpoint")))


def create_namespace(cluster: Cluster, name: str, kinds: str) -> Namespace:
    """A fresh one, with what every namespace has."""
    try:
        cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=120s", timeout=150)
    except KubectlError as error:
        pytest.fail(f"the namespace of an earlier run does not go: {error}")
    metadata = {"name": name, "labels": {**RESTRICTED, "enginebench.dev/test": "true"}}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    namespace = Namespace(cluster=cluster, name=name, kinds=kinds)
    standard = {"configmap/kube-root-ca.crt", "serviceaccount/default"}
    eventually(lambda: standard <= namespace.objects(), within=30, what=f"{standard} in {name}")
    namespace.ours |= standard
    return namespace


def check_nothing_left(namespace: Namespace) -> None:
    """A run leaves itself and its results; a live run, nothing at all after it was deleted."""
    try:
        eventually(lambda: not namespace.left_over(), within=GONE_WITHIN, what="everything else gone")
    except TimeoutError:
        left = namespace.left_over()
        detail = namespace.kubectl("get", *sorted(left), "--output=yaml", "--ignore-not-found")
        pytest.fail(f"left behind in {namespace.name}: {sorted(left)}\n{detail}")


@pytest.fixture
def namespace(request: pytest.FixtureRequest, cluster: Cluster, kinds: str) -> Iterator[Namespace]:
    """This test's own namespace; afterwards nothing of a run may be left but the run and its results."""
    name = "test-" + re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")[:40].rstrip(
        "-"
    )
    own = create_namespace(cluster, name, kinds)
    yield own
    if "KEEP_NAMESPACES" not in os.environ:
        check_nothing_left(own)
        cluster.kubectl("delete", "namespace", name, "--wait=false")
