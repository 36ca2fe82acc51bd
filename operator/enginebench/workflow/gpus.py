"""What a node's labels say of its GPUs: their product and driver, and whether others may use them at the same time.

NVIDIA's GPU feature discovery labels each resource by its name (`<resource>.product`, `.replicas`,
`.sharing-strategy`; internal/lm/resource.go of k8s-device-plugin), be it nvidia.com/gpu or nvidia.com/mig-1g.5gb; AMD's
node labeller has `<resource>.product-name`; GKE has labels of its own.
"""

from collections.abc import Mapping

RENAMED = ".shared"
"""What the device plugin appends to the name of a resource that it hands out several times (`renameByDefault`)."""
SHARED_PRODUCT = "-SHARED"
"""What it appends to the product where it does not rename the resource."""
GKE_PRODUCT, GKE_SHARING = "cloud.google.com/gke-accelerator", "cloud.google.com/gke-gpu-sharing-strategy"
GKE_REPLICAS = "cloud.google.com/gke-max-shared-clients-per-gpu"
DRIVERS = ("nvidia.com/cuda.driver-version.full", "nvidia.com/gpu.driver-version", "amd.com/gpu.driver-version")
"""GPU feature discovery names the driver in the first; older ones spell it in parts."""

CUDA, MIG_STRATEGY = "nvidia.com/cuda.runtime-version.full", "nvidia.com/mig.strategy"


def product_label(resource: str) -> str:
    """The node label that names the product behind an extended resource."""
    return f"{resource.removesuffix(RENAMED)}.product{'-name' if resource.startswith('amd.com/') else ''}"


def product(labels: Mapping[str, str], resource: str) -> str | None:
    """The product's name; None where no label tells."""
    return labels.get(product_label(resource)) or labels.get(GKE_PRODUCT)


def memory_mebibytes(labels: Mapping[str, str], resource: str) -> int | None:
    """Of each GPU or slice; None where no label tells."""
    said = labels.get(f"{resource.removesuffix(RENAMED)}.memory", "")
    return int(said) if said.isdigit() else None


def driver(labels: Mapping[str, str]) -> str | None:
    """The driver's version; None where no label tells."""
    return next((labels[name] for name in DRIVERS if name in labels), None)


def replicas(labels: Mapping[str, str], resource: str) -> int | None:
    """How many times each GPU is handed out; None where it is not said to be more than once."""
    said = labels.get(f"{resource.removesuffix(RENAMED)}.replicas") or labels.get(GKE_REPLICAS) or ""
    return int(said) if said.isdigit() and int(said) > 1 else None


def sharing(labels: Mapping[str, str], resource: str) -> str | None:
    """How others may use the same GPU: time-slicing, mps, …; None where nothing says that they may."""
    strategy = labels.get(f"{resource.removesuffix(RENAMED)}.sharing-strategy") or labels.get(GKE_SHARING) or "none"
    if strategy != "none":
        return strategy
    # Before 0.15 no label named the strategy, and there was but one.
    marked = resource.endswith(RENAMED) or (product(labels, resource) or "").endswith(SHARED_PRODUCT)
    return "time-slicing" if marked or replicas(labels, resource) is not None else None
