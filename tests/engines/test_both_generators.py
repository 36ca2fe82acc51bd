"""Real vLLM and real Ollama, each under both load generators, in one run: the same work, side by side in a table.

Each engine is started anew for each load generator, and from start to start its own speed differs: whether the figures
agree is asked of one process each, vLLM in test_one_vllm.py, Ollama in guidellm/test_agreement.py.
"""

from typing import Any

import pytest

from tests.engines.conftest import example, show
from tests.engines.test_comparison import TARGETS
from tests.support.cluster import SATURATED, Namespace

BUILT = ("ollama", "vllm", "guidellm")
VERSION = "0.8.1"
USERS, TOKENS = 2, 64
"""Long answers: GuideLLM takes some 7 ms between two requests, and is saturated where that is more than 5 %."""
BY_GUIDELLM = "-guidellm"
WITHIN = 1800


def experiment() -> dict[str, Any]:
    """The example's three targets, each once for either load generator."""
    run = example()
    run["metadata"]["name"] = "both-generators"
    run["spec"]["targets"] = [
        target
        for one in run["spec"]["targets"]
        for target in (
            one,
            {**one, "name": one["name"] + BY_GUIDELLM, "loadGenerator": {"guidellm": {"version": VERSION}}},
        )
    ]
    run["spec"]["workload"] |= {
        "dataset": {"synthetic": {"rows": 400, "promptTokens": 32, "outputTokens": TOKENS, "seed": 1}},
        "request": {"api": "Completions", "maxOutputTokens": TOKENS},
        "load": {"concurrency": {"levels": [USERS]}},
        "durationSeconds": 10,
    }
    return run


def test_both_load_generators_side_by_side_on_real_engines(place: Namespace, request: pytest.FixtureRequest) -> None:
    place.apply(experiment())
    status = place.wait_finished("both-generators", within=WITHIN)
    show(request.config, f"EngineBench's load generator and GuideLLM {VERSION}, the same engines in turn", status)
    points = [point for point in status["points"] if point["validity"] != "Superseded"]
    assert {point["target"] for point in points} == {name + by for name in TARGETS for by in ("", BY_GUIDELLM)}
    for point in points:
        assert point["requests"]["errored"] == 0, point
        assert point["outputTokensMean"] == pytest.approx(TOKENS, rel=0.05), point
        # A busy machine: the point must say so, and says nothing of the engine.
        assert point["validity"] != "Invalid" or point["reasons"][0] == SATURATED, point
    for engine in TARGETS:
        both = (engine, engine + BY_GUIDELLM)
        prompts = [next(p["promptTokensMean"] for p in points if p["target"] == name) for name in both]
        assert max(prompts) == pytest.approx(min(prompts), rel=0.02), "the same work"
    usable = {p["target"] for p in points if p["validity"] != "Invalid"}
    assert {"vllm", "vllm" + BY_GUIDELLM} <= usable, "of vLLM both load generators have usable points"
