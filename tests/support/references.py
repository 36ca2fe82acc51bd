"""What endpoints by reference refer to, in a real cluster: as much of KServe's CRD as a run meets."""

from typing import Any

GROUP = "serving.kserve.io"
CRD = f"inferenceservices.{GROUP}"
Manifest = dict[str, Any]


def kserve_crd() -> Manifest:
    """InferenceService v1beta1 with a status, and whatever fields."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1beta1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
    }
    names = {"kind": "InferenceService", "plural": "inferenceservices", "singular": "inferenceservice"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def inference_service(name: str) -> Manifest:
    """One that has no status yet."""
    model = {"modelFormat": {"name": "huggingface"}}
    return {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"model": model}},
    }


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Manifest:
    return {"type": kind, "status": status, "reason": reason, "message": message}
