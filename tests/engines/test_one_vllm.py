"""Agreement, step 3, on vLLM: one process of it, which is not the operator's, under both load generators in turn.

From start to start vLLM's own speed differs on few processors by more than the load generators do; so nothing is started
anew here: A, B and B, A and A, B load the same endpoint by the same body and route. Its speed also differs from minute to
minute, so what is held against each other are intervals over the three.
"""

from typing import Any

import pytest
import yaml

from enginebench.api.v1alpha1 import BenchmarkRunSpec
from enginebench.engines.base import Platform
from enginebench.engines.manifest import engine_pod
from tests.engines.conftest import show
from tests.engines.test_comparison import EXAMPLE
from tests.support.agreement import agree
from tests.support.cluster import SATURATED, Namespace
from tests.support.runs import benchmark

BUILT = ("ollama", "vllm", "guidellm")
PORT = 8000
USERS, TOKENS, REPEATS = 2, 64, 3
"""Answers of seconds: GuideLLM takes some 7 ms between two requests, and is saturated where that is more than 5 %."""
LEAST = 2
"""Of these points have to be usable, of either: a busy machine may spoil one."""
OWN, GUIDELLM = "own", "guidellm"


def vllm() -> tuple[dict[str, Any], ...]:
    """Pod and Service, as somebody has them: the Pod is the one that the operator would make of the example's target."""
    spec = BenchmarkRunSpec.model_validate(yaml.safe_load(EXAMPLE.read_text("utf-8"))["spec"])
    pod = engine_pod(spec, spec.targets[0], Platform(image="", fixed_ids=False))
    labels = {"app": "vllm"}
    pod["metadata"] |= {"name": "vllm", "labels": labels}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "vllm"},
        "spec": {"selector": labels, "ports": [{"port": PORT}]},
    }
    return pod, service


def test_both_load_generators_agree_on_one_vllm(place: Namespace, request: pytest.FixtureRequest) -> None:
    place.apply(*vllm())
    place.kubectl("wait", "--for=condition=Ready", "pod/vllm", "--timeout=300s", timeout=330)
    endpoint = {"endpoint": {"serviceRef": {"name": "vllm"}}}
    run = benchmark(
        "one-vllm",
        {"name": OWN, **endpoint},
        {"name": GUIDELLM, **endpoint, "loadGenerator": {"guidellm": {"version": "0.8.1"}}},
        levels=[USERS],
        seconds=10,
        workload={
            "dataset": {"synthetic": {"rows": 400, "promptTokens": 32, "outputTokens": TOKENS, "seed": 1}},
            "request": {"api": "Completions", "maxOutputTokens": TOKENS},
            "warmup": {"maxSeconds": 20},
            "repeats": {"count": REPEATS},
        },
    )
    place.apply(run)
    status = place.wait_finished("one-vllm", within=600)
    show(request.config, "One vLLM under EngineBench's load generator and GuideLLM 0.8.1 (A B, B A, A B)", status)
    points = [point for point in status["points"] if point["validity"] != "Superseded"]
    assert len(points) == 2 * REPEATS, status["message"]
    for point in points:
        assert point["requests"]["errored"] == 0, point
        assert point["outputTokensMean"] == pytest.approx(TOKENS, rel=0.05), point
        # A busy machine: the point must say so, and says nothing of the engine.
        assert point["validity"] != "Invalid" or point["reasons"][0] == SATURATED, point
    for name in (OWN, GUIDELLM):
        at_once = max(point["engine"]["runningMax"] for point in points if point["target"] == name)
        assert at_once == USERS, f"by vLLM's own metrics, under {name}"
    attempts = [(one["repeat"], one["startTime"], t["name"]) for t in status["targets"] for one in t["attempts"]]
    assert [name for *_, name in sorted(attempts)] == [OWN, GUIDELLM, GUIDELLM, OWN, OWN, GUIDELLM]
    own, theirs = (
        [p["itlMilliseconds"]["p50"] for p in points if p["target"] == name and p["validity"] != "Invalid"]
        for name in (OWN, GUIDELLM)
    )
    assert len(own) >= LEAST, "most points of ours are usable"
    assert len(theirs) >= LEAST, "most of GuideLLM's are"
    assert agree(own, theirs), f"ITL P50 here {own} (A against A), by GuideLLM {theirs} ms"
