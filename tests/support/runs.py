"""Short runs, as dictionaries: seconds instead of hours, everything else as a user writes it."""

from collections.abc import Mapping, Sequence
from typing import Any

SIMULATED_MODEL = "simulated/tiny"


def simulated(name: str = "engine-sim", *, pod: Mapping[str, Any] | None = None, **latency: Any) -> dict[str, Any]:
    """A simulated target of about 0.2 s a request; `latency` overrides fields of `simulated`.

    Its TTFT is long enough that a busy machine's load generator is not too late for it.
    """
    engine = {
        "api": "vLLM",
        "model": SIMULATED_MODEL,
        "slots": 32,
        "prefillMicrosecondsPerToken": 4000,
        "decodeStepMicroseconds": 5000,
        "decodeStepMicrosecondsPerSequence": 50,
        "seed": 1,
    }
    target: dict[str, Any] = {"name": name, "simulated": engine | latency}
    if pod is not None:
        target["pod"] = dict(pod)
    return target


def benchmark(
    name: str,
    *targets: Mapping[str, Any],
    levels: Sequence[int] = (1, 2),
    seconds: int = 1,
    workload: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A BenchmarkRun of short points; `spec` adds fields of spec, `workload` overrides fields of workload."""
    load = {
        "dataset": {"synthetic": {"rows": 100, "promptTokens": 16, "outputTokens": 16}},
        "request": {"maxOutputTokens": 16},
        "load": {"concurrency": {"levels": list(levels)}},
        "durationSeconds": seconds,
        "rampSeconds": 0,
        "warmup": {"maxSeconds": 5},
    }
    return {
        "apiVersion": "enginebench.dev/v1alpha1",
        "kind": "BenchmarkRun",
        "metadata": {"name": name},
        "spec": {
            "targets": list(targets or (simulated(),)),
            "workload": load | dict(workload or {}),
            "loadGenerator": {"resources": {"requests": {"cpu": "500m", "memory": "64Mi"}}},
            **spec,
        },
    }
