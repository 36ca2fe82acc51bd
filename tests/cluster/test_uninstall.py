"""An uninstalled operator holds nothing back: no finalizer keeps a run or a namespace."""

from collections.abc import Iterator

import pytest

from tests.cluster.conftest import create_namespace, make
from tests.support.cluster import SUCCESS, SYSTEM, Cluster, KubectlError, Namespace, eventually, outcome
from tests.support.runs import benchmark


@pytest.fixture
def busy(cluster: Cluster, kinds: str) -> Iterator[Namespace]:
    """A namespace with a run that is being measured. Afterwards the operator is there again."""
    namespace = create_namespace(cluster, "test-uninstall", kinds)
    namespace.apply(benchmark("run", levels=[1, 2, 3, 4], seconds=5))
    namespace.a_pod("load")
    yield namespace
    make("deploy")
    cluster.kubectl("delete", "namespace", namespace.name, "--ignore-not-found", "--wait=false")


def gone(cluster: Cluster, reference: str) -> bool:
    try:
        cluster.kubectl("get", reference)
    except KubectlError as error:
        return "NotFound" in str(error)
    return False


def test_the_namespace_of_a_live_run_goes_without_the_operator(busy: Namespace, cluster: Cluster) -> None:
    cluster.kubectl("delete", "deployment", "enginebench-operator", f"--namespace={SYSTEM}")
    cluster.kubectl("delete", "namespace", busy.name, "--timeout=90s")
    assert gone(cluster, f"namespace/{busy.name}")


def test_uninstalling_takes_the_runs_and_their_pods_along(busy: Namespace, cluster: Cluster) -> None:
    make("undeploy")
    assert gone(cluster, "crd/benchmarkruns.enginebench.dev")
    assert gone(cluster, f"namespace/{SYSTEM}")
    busy.kinds = ",".join(kind for kind in busy.kinds.split(",") if not kind.startswith("benchmarkruns"))
    eventually(lambda: not busy.objects() - busy.ours, within=60, what="the run and its pods gone")
    make("deploy")
    busy.apply(benchmark("run", levels=[1]))
    assert outcome(busy.wait_finished("run")) == SUCCESS
