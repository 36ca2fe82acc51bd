"""CRDs of other projects in a real cluster, as much of them as a run meets."""

from typing import Any

Manifest = dict[str, Any]


def stand_in(group: str, kind: str, *, version: str = "v1beta1", **annotations: str) -> Manifest:
    """A namespaced kind in one version, with whatever fields and a status."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {
        "name": version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}},
    }
    singular = kind.lower()
    names = {"kind": kind, "plural": f"{singular}s", "singular": singular}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{singular}s.{group}", "annotations": annotations},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [served]},
    }
