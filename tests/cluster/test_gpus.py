"""What the node's labels say of its GPUs, and what a point on a GPU that is shared is worth."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from enginebench.cluster.observe import NODE_FRESH
from tests.support.cluster import Cluster, Namespace
from tests.support.runs import benchmark, simulated

SHARED = {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}
"""As GPU feature discovery labels a node whose device plugin hands each GPU out four times."""


@pytest.fixture
def time_sliced(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """The worker says that its GPU is shared: its metadata before that."""
    worker = cluster.kubectl("get", "nodes", "--selector=nvidia.com/gpu.product", "--output=name").strip()
    metadata: dict[str, Any] = cluster.get(worker)["metadata"]
    before = metadata["labels"]
    cluster.kubectl("label", worker, "--overwrite", *(f"{label}={value}" for label, value in SHARED.items()))
    time.sleep(NODE_FRESH.total_seconds())  # so long the operator remembers a node
    yield metadata
    restored = [f"{label}={before[label]}" if label in before else f"{label}-" for label in SHARED]
    cluster.kubectl("label", worker, "--overwrite", *restored)
    time.sleep(NODE_FRESH.total_seconds())


def test_points_on_a_gpu_that_others_may_use_are_limited(namespace: Namespace, time_sliced: dict[str, Any]) -> None:
    on_gpu, without = simulated("on-gpu-sim", pod={"gpu": {"count": 1}}), simulated("without-sim")
    run = benchmark("run", on_gpu, without, levels=[1], seconds=2)
    status = namespace.measure(run)
    first, second = status["targets"]
    told = first["engine"]["gpu"]
    assert (told["sharing"], told["replicas"]) == ("time-slicing", 4)
    assert (told["resource"], told["count"]) == ("nvidia.com/gpu", 1)
    labels = time_sliced["labels"]  # devcluster/gpu.py sets them on the local cluster's worker
    assert told["product"] == labels["nvidia.com/gpu.product"]
    assert told["driver"] == labels["nvidia.com/cuda.driver-version.full"]
    assert told["memoryMebibytes"] == int(labels["nvidia.com/gpu.memory"])
    assert first["engine"]["node"] == time_sliced["name"]
    assert "gpu" not in second["engine"]
    points = {p["target"]: p for p in status["points"]}
    assert "GPUShared" in points["on-gpu-sim"]["reasons"]
    assert points["on-gpu-sim"]["validity"] == "Limited"
    assert "time-slicing, each handed out 4 times" in points["on-gpu-sim"]["message"]
    assert "GPUShared" not in points["without-sim"].get("reasons", [])
