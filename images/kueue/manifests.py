"""Kueue's own manifests, as the local cluster takes them."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from images.docker import BuildError
from images.kueue.build import IMAGE, sources

Manifest = dict[str, Any]
NAMESPACE = "kueue-system"
DEPLOYMENT = "deployment/kueue-controller-manager"
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
OURS = {"enginebench.dev/test": "true"}
"""Label of the namespaces that it looks at: while it comes and goes it must hold up nobody else's pods."""
LEFT_OUT = ("APIService",)
"""One whose server is gone keeps every namespace of the cluster from going."""


def manifests(frameworks: Sequence[str]) -> list[Manifest]:
    """All that is to be applied; `frameworks` are the integrations (`pod`, `batch/job`). Raises `BuildError`."""
    return [_ours(one, frameworks) for one in _published() if one["kind"] not in LEFT_OUT]


def _published() -> Iterator[Manifest]:
    """What `kubectl kustomize config/default` makes of the module, which is read-only where Go keeps it."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "config"
        shutil.copytree(sources() / "config", copy)
        for folder, _, _ in os.walk(copy):
            Path(folder).chmod(0o755)  # a copy of public files, which is to be removed again
        command = ["kubectl", "kustomize", str(copy / "default")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"`{' '.join(command)}` failed:\n{done.stderr[-2000:]}")
    yield from yaml.safe_load_all(done.stdout)


def _ours(one: Manifest, frameworks: Sequence[str]) -> Manifest:
    match one["kind"]:
        case "Deployment":
            [container] = one["spec"]["template"]["spec"]["containers"]
            container |= {"image": IMAGE, "imagePullPolicy": "IfNotPresent"}
        case "ConfigMap" if "controller_manager_config.yaml" in one.get("data", {}):
            settings = yaml.safe_load(one["data"]["controller_manager_config.yaml"])
            settings["integrations"]["frameworks"] = list(frameworks)
            one["data"]["controller_manager_config.yaml"] = json.dumps(settings)
        case kind if kind in WEBHOOKS:
            for hook in one["webhooks"]:
                if "namespaceSelector" in hook:  # of what lives in namespaces of other people
                    hook["namespaceSelector"] = {"matchLabels": OURS}
    return one
