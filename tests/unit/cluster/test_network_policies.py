"""The example for namespaces where the network denies by default, held against the pods that runs create."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from enginebench.engines.registry import engine_of
from enginebench.workflow.observed import Role
from tests.unit.cluster.made import made
from tests.unit.engines.specs import target

POLICIES = list(yaml.safe_load_all((Path(__file__).parents[3] / "examples" / "network-policies.yaml").read_text()))
RUN = """
targets:
- name: v
  vllm: {model: org/tiny}
  pod: {modelCache: {persistentVolumeClaim: {claimName: models}}}
"""
DNS, TLS, LEADER = 53, 443, 8002


def applying(role: Role) -> list[dict[str, Any]]:
    """The specs of the policies that select the pod of a role, without the one that selects all."""
    child = made(role, RUN, target="v")
    pod = child if child["kind"] == "Pod" else child["spec"]["template"]
    own = pod["metadata"]["labels"].items()
    selectors = [(policy["spec"], policy["spec"]["podSelector"].get("matchLabels", {})) for policy in POLICIES]
    return [spec for spec, wanted in selectors if wanted and wanted.items() <= own]


def ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


@pytest.mark.parametrize(
    ("role", "wanted"), [(Role.LOAD, {DNS, LEADER}), (Role.FETCH, {DNS, TLS}), (Role.ENGINE, {DNS, TLS})]
)
def test_every_pod_of_a_run_has_its_way_out(role: Role, wanted: set[int]) -> None:
    (spec,) = applying(role)
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert wanted <= ports(spec["egress"])


def test_load_pods_reach_every_engine_and_engines_answer_them() -> None:
    members = ("vllm: {model: m}", "ollama: {model: m}", "llamaCpp: {model: /models/m.gguf, image: i}")
    engines = {engine_of(one).port(one) for one in (target(member)[1] for member in members)}
    (load,), (engine,) = applying(Role.LOAD), applying(Role.ENGINE)
    assert engines <= ports(load["egress"])
    assert engines == ports(engine["ingress"])
