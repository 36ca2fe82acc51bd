"""Agreement, step 3, as a user would see it: real vLLM and real Ollama, each under both load generators, in one run.

Same body, same route; two repeats turn the order round, so that each engine is measured A, B and then B, A, by an engine
that was started anew each time. With Ollama alone, without a cluster, and for 0.2.1: test_guidellm.py.
"""

from typing import Any

import pytest
import yaml

from tests.engines.conftest import show
from tests.engines.test_comparison import EXAMPLE, TARGETS
from tests.engines.test_guidellm import overlap
from tests.support.cluster import SATURATED, Cluster, Namespace

BUILT = ("ollama", "vllm", "guidellm")
VERSION = "0.8.1"
USERS, TOKENS, REPEATS = 2, 256, 2
"""Long answers: GuideLLM takes some 7 ms between two requests, and is saturated where that is more than 5 %."""
SPARE_CPUS = 4
"""On fewer, which vLLM and the load generator have to share, vLLM's own speed differs by 15 % from start to start."""
BY_GUIDELLM = "-guidellm"
WITHIN = 1800


def experiment() -> dict[str, Any]:
    """The example's three targets, each once for either load generator."""
    run: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text("utf-8"))
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
        "repeats": {"count": REPEATS, "unit": "Engine"},
    }
    return run


def test_both_load_generators_agree_on_real_engines(
    built: Cluster, place: Namespace, request: pytest.FixtureRequest
) -> None:
    place.apply(experiment())
    status = place.wait_finished("both-generators", within=WITHIN)
    show(request.config, f"EngineBench's load generator and GuideLLM {VERSION}, the same engines in turn", status)
    started = {
        (target["name"], attempt["repeat"]): attempt["startTime"]
        for target in status["targets"]
        for attempt in target["attempts"]
    }
    points = [point for point in status["points"] if point["validity"] != "Superseded"]
    assert {point["target"] for point in points} == {name + by for name in TARGETS for by in ("", BY_GUIDELLM)}
    for point in points:
        assert point["requests"]["errored"] == 0, point
        assert point["outputTokensMean"] == pytest.approx(TOKENS, rel=0.05), point
        # A busy machine: the point must say so, and says nothing of the engine.
        assert point["validity"] != "Invalid" or point["reasons"][0] == SATURATED, point
    cpus = min(int(node["status"]["allocatable"]["cpu"]) for node in built.get("nodes")["items"])
    for engine in TARGETS:
        both = (engine, engine + BY_GUIDELLM)
        turns = [[started[name, repeat] for name in both if (name, repeat) in started] for repeat in range(REPEATS)]
        assert turns[0] == sorted(turns[0]), "A before B"
        assert turns[1] == sorted(turns[1], reverse=True), "B before A"
        prompts = [next(p["promptTokensMean"] for p in points if p["target"] == name) for name in both]
        assert max(prompts) == pytest.approx(min(prompts), rel=0.02), "the same work"
        own, theirs = (
            [p["itlMilliseconds"]["p50"] for p in points if p["target"] == name and p["validity"] != "Invalid"]
            for name in both
        )
        if own and theirs and (engine != "vllm" or cpus >= SPARE_CPUS):
            words = f"{engine}: ITL P50 here {own} (A against A), by GuideLLM {theirs} ms"
            assert overlap(own, theirs), words
    usable = {p["target"] for p in points if p["validity"] != "Invalid"}
    assert {"vllm", "vllm" + BY_GUIDELLM} <= usable, "of vLLM both load generators have usable points"
