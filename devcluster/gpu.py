"""One GPU for the worker that is none: the resource of the device plugin, the labels of GPU feature discovery."""

from __future__ import annotations

import json

from devcluster.kubectl import Kubectl

RESOURCE = "nvidia.com/gpu"

# As GPU feature discovery 0.17 sets them on a node with one A100 (PCIe, 40 GB), MIG off.
LABELS = {
    "nvidia.com/gpu.present": "true",
    "nvidia.com/gpu.count": "1",
    "nvidia.com/gpu.product": "NVIDIA-A100-PCIE-40GB",
    "nvidia.com/gpu.family": "ampere",
    "nvidia.com/gpu.memory": "40960",
    "nvidia.com/gpu.compute.major": "8",
    "nvidia.com/gpu.compute.minor": "0",
    "nvidia.com/gpu.machine": "enginebench-devcluster",
    "nvidia.com/gpu.mode": "compute",
    "nvidia.com/gpu.replicas": "1",
    "nvidia.com/gpu.sharing-strategy": "none",
    "nvidia.com/mig.capable": "true",
    "nvidia.com/mig.strategy": "single",
    "nvidia.com/cuda.driver-version.full": "570.86.15",
    "nvidia.com/cuda.driver-version.major": "570",
    "nvidia.com/cuda.driver-version.minor": "86",
    "nvidia.com/cuda.driver-version.revision": "15",
    "nvidia.com/cuda.driver.major": "570",
    "nvidia.com/cuda.driver.minor": "86",
    "nvidia.com/cuda.driver.rev": "15",
    "nvidia.com/cuda.runtime-version.full": "12.8",
    "nvidia.com/cuda.runtime-version.major": "12",
    "nvidia.com/cuda.runtime-version.minor": "8",
    "nvidia.com/cuda.runtime.major": "12",
    "nvidia.com/cuda.runtime.minor": "8",
}


def advertise(kubectl: Kubectl, node: str, count: int = 1) -> None:
    """Patch the node's status. Repeatable; needed again when its kubelet has registered anew (it sets 0)."""
    quantity = {RESOURCE: str(count)}
    patch = json.dumps({"status": {"capacity": quantity, "allocatable": quantity}})
    kubectl.run("patch", "node", node, "--subresource", "status", "--type", "merge", "--patch", patch)
    kubectl.run("label", "node", node, "--overwrite", *(f"{key}={value}" for key, value in LABELS.items()))


def advertised(kubectl: Kubectl, node: str) -> int:
    return int(kubectl.get("node", node)["status"].get("allocatable", {}).get(RESOURCE, "0"))
