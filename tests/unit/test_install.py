"""The manifests: least privilege, one image in every place, and an overlay for another."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from enginebench import __version__
from images.operator.build import PUBLIC_IMAGE
from images.operator.deploy import write_overlay

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "manifests" / "default"


def manifest(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEFAULT / f"{name}.yaml").read_text())
    return document


def test_the_role_has_no_wildcard_no_secrets_and_no_finalizers() -> None:
    rules = manifest("cluster-role")["rules"]
    words = {word for rule in rules for key in ("apiGroups", "resources", "verbs") for word in rule[key]}
    assert not words & {"*", "secrets", "benchmarkruns/finalizers", "pods/exec", "escalate", "bind", "impersonate"}


def test_the_role_changes_nothing_but_status() -> None:
    """Children are created and deleted, never changed; runs are never changed at all."""
    changing = {"update", "patch"}
    rules = [rule for rule in manifest("cluster-role")["rules"] if changing & set(rule["verbs"])]
    assert [rule["resources"] for rule in rules] == [["benchmarkruns/status"]]


def test_the_operator_is_told_its_own_image() -> None:
    container = manifest("deployment")["spec"]["template"]["spec"]["containers"][0]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert container["image"] == environment["ENGINEBENCH_IMAGE"] == f"{PUBLIC_IMAGE}:{__version__}"


def test_there_is_never_a_second_operator() -> None:
    spec = manifest("deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_the_operator_fits_the_restricted_profile_which_its_namespace_enforces() -> None:
    labels = manifest("namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    pod = manifest("deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    own = pod["containers"][0]["securityContext"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_every_manifest_is_part_of_the_kustomization() -> None:
    kustomization = manifest("kustomization")
    named = {*kustomization["resources"], *kustomization["configurations"], "kustomization.yaml"}
    assert {path.name for path in DEFAULT.iterdir()} == named - {"../../crds"}
    crds = yaml.safe_load((ROOT / "crds" / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in (ROOT / "crds").iterdir()} == {*crds, "kustomization.yaml"}


def test_an_overlay_takes_another_image(tmp_path: Path) -> None:
    folder = write_overlay(tmp_path, "registry.example:5000/bench/operator:1.2")
    assert yaml.safe_load((folder / "kustomization.yaml").read_text())["images"] == [
        {"name": PUBLIC_IMAGE, "newName": "registry.example:5000/bench/operator", "newTag": "1.2"}
    ]


def test_an_image_without_a_tag_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no tag"):
        write_overlay(tmp_path, "registry.example:5000/bench/operator")
