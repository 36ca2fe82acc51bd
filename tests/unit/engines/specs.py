"""Specs for the tests of engines and children."""

from typing import Any

import yaml

from enginebench.api.v1alpha1 import BenchmarkRunSpec, Target

WORKLOAD = """
dataset: {synthetic: {rows: 10, promptTokens: 32, outputTokens: 16}}
load: {concurrency: {levels: [1, 2, 4]}}
durationSeconds: 30
"""


def spec(targets: str, **others: Any) -> BenchmarkRunSpec:
    """A spec with these targets (YAML), a small workload, and whatever else is said."""
    document = {"targets": yaml.safe_load(targets), "workload": yaml.safe_load(WORKLOAD), **others}
    return BenchmarkRunSpec.model_validate(document)


def target(member: str) -> tuple[BenchmarkRunSpec, Target]:
    """A spec of one target, and the target; `member` is YAML such as `vllm: {model: m}`."""
    document = yaml.safe_load(member)
    name = "a-sim" if "simulated" in document else "a"
    one = spec(yaml.safe_dump([{"name": name, **document}]))
    return one, one.targets[0]
