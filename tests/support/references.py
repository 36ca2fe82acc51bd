"""What endpoints by reference refer to, in a real cluster: as much of KServe's CRD as a run meets."""

from typing import Any

from tests.support.crds import stand_in

GROUP = "serving.kserve.io"
CRD = f"inferenceservices.{GROUP}"
Manifest = dict[str, Any]


def kserve_crd() -> Manifest:
    return stand_in(GROUP, "InferenceService")


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
