"""Pods of the tests' own programs: standard Python in the operator's image, its source from a ConfigMap."""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def program(
    name: str, module: str, *arguments: str, image: str, port: int, files: tuple[str, ...], claim: str
) -> tuple[dict[str, Any], ...]:
    """ConfigMap, Pod and Service of `python -m <module>`, with the volume of `claim` at /models.

    `files` are those that it consists of, as paths in the repository.
    """
    keys = {path.replace("/", "."): path for path in files}
    labels = {"app": name}
    scripts = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {key: (ROOT / path).read_text("utf-8") for key, path in keys.items()},
    }
    container = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", module, *arguments],
        "workingDir": "/program",
        "ports": [{"containerPort": port}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": [
            {"name": "program", "mountPath": "/program"},
            {"name": "models", "mountPath": "/models", "readOnly": True},
        ],
    }
    items = [{"key": key, "path": path} for key, path in keys.items()]
    volumes = [
        {"name": "program", "configMap": {"name": name, "items": items}},
        {"name": "models", "persistentVolumeClaim": {"claimName": claim}},
    ]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": volumes,
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": labels, "ports": [{"port": port}]},
    }
    return scripts, pod, service
