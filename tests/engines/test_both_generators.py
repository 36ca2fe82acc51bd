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
from tests.support.cluster import SUCCESS, Namespace, outcome

BUILT = ("ollama", "vllm", "guidellm")
VERSION = "0.8.1"
USERS, TOKENS, REPEATS = 2, 64, 2
BY_GUIDELLM = "-guidellm"
WITHIN = 900


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


def test_both_load_generators_agree_on_real_engines(place: Namespace, request: pytest.FixtureRequest) -> None:
    status = place.measure(experiment(), wait=lambda name: place.wait_finished(name, within=WITHIN))
    show(request.config, f"EngineBench's load generator and GuideLLM {VERSION}, the same engines in turn", status)
    assert outcome(status) == SUCCESS, status["message"]
    started = {
        (target["name"], attempt["repeat"]): attempt["startTime"]
        for target in status["targets"]
        for attempt in target["attempts"]
    }
    points = {(p["target"], p["repeat"]): p for p in status["points"] if p["validity"] != "Superseded"}
    assert len(points) == 2 * len(TARGETS) * REPEATS
    for point in points.values():
        assert point["validity"] in ("Valid", "Limited"), point
        assert point["requests"]["errored"] == 0, point
        assert point["outputTokensMean"] == pytest.approx(TOKENS, rel=0.05), point
    for engine in TARGETS:
        first, second = ([started[name, repeat] for name in (engine, engine + BY_GUIDELLM)] for repeat in (0, 1))
        assert first == sorted(first), "A before B"
        assert second == sorted(second, reverse=True), "B before A"
        own, theirs = (
            [points[name, repeat]["itlMilliseconds"]["p50"] for repeat in range(REPEATS)]
            for name in (engine, engine + BY_GUIDELLM)
        )
        prompts = {points[name, 0]["promptTokensMean"] for name in (engine, engine + BY_GUIDELLM)}
        assert max(prompts) == pytest.approx(min(prompts), rel=0.02), "the same work"
        assert overlap(own, theirs), f"{engine}: ITL P50 here {own} (A against A), by GuideLLM {theirs} ms"
