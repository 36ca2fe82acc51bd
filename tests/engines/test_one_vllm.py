"""Agreement, step 3, on vLLM: one process of it, which is not the operator's, under both load generators in turn.

From start to start vLLM's own speed differs on few processors by more than the load generators do; so nothing is started
anew here: A, B and then B, A load the same endpoint by the same body and route.
"""

from typing import Any

import pytest

from images.vllm.build import IMAGE
from tests.engines.conftest import show
from tests.engines.test_guidellm import overlap
from tests.support.cluster import SATURATED, Namespace
from tests.support.pods import RESTRICTED
from tests.support.runs import benchmark

BUILT = ("ollama", "vllm", "guidellm")
PORT = 8000
USERS, TOKENS, REPEATS = 2, 256, 2
"""Long answers: GuideLLM takes some 7 ms between two requests, and is saturated where that is more than 5 %."""
OWN, GUIDELLM = "own", "guidellm"
VARIABLES = {
    "HOME": "/tmp",  # noqa: S108  # in the container
    "USER": "engine",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "600",
}


def vllm(claim: str) -> tuple[dict[str, Any], ...]:
    """Pod and Service, as somebody has them."""
    labels = {"app": "vllm"}
    container = {
        "name": "vllm",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "vllm.entrypoints.openai.api_server"],
        "args": ["--model=/models/tiny", f"--port={PORT}", "--max-model-len=2048", "--enforce-eager"],
        "env": [{"name": name, "value": value} for name, value in VARIABLES.items()],
        "readinessProbe": {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1"}},
        "securityContext": {key: value for key, value in RESTRICTED.items() if key != "runAsUser"},
        "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": claim}}],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "vllm", "labels": labels}, "spec": spec}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "vllm"},
        "spec": {"selector": labels, "ports": [{"port": PORT}]},
    }
    return pod, service


def test_both_load_generators_agree_on_one_vllm(place: Namespace, request: pytest.FixtureRequest) -> None:
    place.apply(*vllm("models"))
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
    show(request.config, "One vLLM under EngineBench's load generator and GuideLLM 0.8.1 (A B, then B A)", status)
    points = [point for point in status["points"] if point["validity"] != "Superseded"]
    assert len(points) == 2 * REPEATS, status["message"]
    for point in points:
        assert point["requests"]["errored"] == 0, point
        assert point["outputTokensMean"] == pytest.approx(TOKENS, rel=0.05), point
        assert point["engine"]["runningMax"] == USERS, "by vLLM's own metrics, whoever loads it"
        # A busy machine: the point must say so, and says nothing of the engine.
        assert point["validity"] != "Invalid" or point["reasons"][0] == SATURATED, point
    own, theirs = (
        [p["itlMilliseconds"]["p50"] for p in points if p["target"] == name and p["validity"] != "Invalid"]
        for name in (OWN, GUIDELLM)
    )
    assert own, "no point of ours is usable"
    assert theirs, "no point of GuideLLM's is usable"
    assert overlap(own, theirs), f"ITL P50 here {own} (A against A), by GuideLLM {theirs} ms"
