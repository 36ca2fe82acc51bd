"""What node labels say of GPUs: whole, slices, shared, of several makers."""

import pytest

from enginebench.api.v1alpha1 import BenchmarkRunStatus, EngineStatus, GpuStatus, TargetStatus
from enginebench.workflow import gpus
from enginebench.workflow.observed import NodeView
from enginebench.workflow.readback import engine_status
from enginebench.workflow.rules.collect import collect
from tests.unit.workflow.build import engine, heard, load, observed, received, spec, target

GPU, MIG = "nvidia.com/gpu", "nvidia.com/mig-1g.5gb"
WHOLE = {
    f"{GPU}.product": "NVIDIA-A100-PCIE-40GB",
    f"{GPU}.replicas": "1",
    f"{GPU}.sharing-strategy": "none",
    "nvidia.com/cuda.driver-version.full": "570.86.15",
}
SLICED = WHOLE | {f"{GPU}.product": "NVIDIA-A100-PCIE-40GB-SHARED", f"{GPU}.replicas": "4"}
MIXED = WHOLE | {
    f"{MIG}.product": "NVIDIA-A100-PCIE-40GB-MIG-1g.5gb",
    f"{MIG}.replicas": "1",
    f"{MIG}.sharing-strategy": "none",
}
AMD = {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM", "amd.com/gpu.driver-version": "6.3.6"}
GKE = {
    "cloud.google.com/gke-accelerator": "nvidia-l4",
    "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing",
    "cloud.google.com/gke-max-shared-clients-per-gpu": "3",
}


@pytest.mark.parametrize(
    ("labels", "resource", "want_product", "want_sharing", "want_replicas"),
    [
        ({}, GPU, None, None, None),
        (WHOLE, GPU, "NVIDIA-A100-PCIE-40GB", None, None),
        (MIXED, MIG, "NVIDIA-A100-PCIE-40GB-MIG-1g.5gb", None, None),
        (SLICED | {f"{GPU}.sharing-strategy": "time-slicing"}, GPU, SLICED[f"{GPU}.product"], "time-slicing", 4),
        (SLICED | {f"{GPU}.sharing-strategy": "mps"}, GPU, SLICED[f"{GPU}.product"], "mps", 4),
        (SLICED, GPU, SLICED[f"{GPU}.product"], "time-slicing", 4),  # from before the strategy had a label
        ({f"{GPU}.product": "A100-SHARED"}, GPU, "A100-SHARED", "time-slicing", None),
        (WHOLE, f"{GPU}.shared", "NVIDIA-A100-PCIE-40GB", "time-slicing", None),
        (MIXED | {f"{MIG}.replicas": "2", f"{MIG}.sharing-strategy": "time-slicing"}, GPU, WHOLE[f"{GPU}.product"], None, None),
        (AMD, "amd.com/gpu", "AMD_Instinct_MI300X_OAM", None, None),
        (GKE, GPU, "nvidia-l4", "time-sharing", 3),
    ],
)  # fmt: skip
def test_labels_of_a_node(
    labels: dict[str, str], resource: str, want_product: str | None, want_sharing: str | None, want_replicas: int | None
) -> None:
    assert gpus.product(labels, resource) == want_product
    assert gpus.sharing(labels, resource) == want_sharing
    assert gpus.replicas(labels, resource) == want_replicas


def test_drivers_of_both_makers() -> None:
    assert gpus.driver(WHOLE) == "570.86.15"
    assert gpus.driver(AMD) == "6.3.6"
    assert gpus.driver({}) is None


def test_the_status_tells_what_was_asked_for_and_got() -> None:
    run = spec(engineDefaults={"gpu": {"count": 2, "resource": MIG}})
    seen = observed(spec=run, nodes={"gpu-1": NodeView("gpu-1", MIXED | {f"{MIG}.replicas": "2"})})
    status = engine_status(seen, target(spec=run.targets[0]))
    assert status is not None
    assert status.gpu == GpuStatus(
        product="NVIDIA-A100-PCIE-40GB-MIG-1g.5gb",
        count=2,
        driver="570.86.15",
        resource=MIG,
        sharing="time-slicing",
        replicas=2,
        state="Unobserved",
    )


def test_points_on_a_shared_gpu_say_so() -> None:
    gpu = GpuStatus(count=1, sharing="mps", replicas=4)
    known = TargetStatus(name="a-sim", engine=EngineStatus(gpu=gpu))
    pod = load()
    seen = observed(
        status=BenchmarkRunStatus(targets=[known]), pods=(engine(), pod), heard={pod.uid: heard(received())}
    )
    [row], _ = collect(seen)
    assert (row.validity, row.reasons) == ("Limited", ["GPUShared"])
    assert "mps, each handed out 4 times" in (row.message or "")
