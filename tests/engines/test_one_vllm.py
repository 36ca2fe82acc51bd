"""One process of real vLLM, which is not the operator's, as an endpoint: what it says of itself, and agreement, step 3.

From start to start vLLM's own speed differs on few processors by more than the load generators do; so nothing is started
anew here: A, B and B, A and A, B load the same endpoint by the same body and route. Its speed also differs from minute to
minute, so what is held against each other are intervals over the three. Two load generators that disagree are not tried
again: they are not to agree by luck.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from enginebench.api.v1alpha1 import BenchmarkRunSpec
from enginebench.cluster import payload
from enginebench.engines.base import Platform
from enginebench.engines.manifest import engine_pod
from enginebench.engines.registry import engine_of
from enginebench.results import engine_metrics
from enginebench.workflow import cross_check
from enginebench.workflow.settings import Comparison, compared
from images.ollama.build import NODE_FOLDER
from tests.cluster.conftest import check_nothing_left, create_namespace
from tests.engines.conftest import example, show, tell
from tests.support.agreement import LEAST, agree, in_words
from tests.support.cluster import SATURATED, Cluster, Namespace
from tests.support.openshift import random_ids
from tests.support.runs import benchmark
from tests.support.volumes import models_claim

BUILT = ("ollama", "vllm", "guidellm")
PORT = 8000
STARTS_WITHIN = 300
ENDPOINT = {"endpoint": {"serviceRef": {"name": "vllm"}}}
USERS, TOKENS, REPEATS = 2, 64, 3
"""Answers of seconds: GuideLLM takes some 7 ms between two requests, and is saturated where that is more than 5 %."""
MOST_RUNS = 2
"""A machine that was too busy for most points gets another run."""
OWN, GUIDELLM = "own", "guidellm"


def spec(*, gpus: int = 0) -> BenchmarkRunSpec:
    """The example's, with so many GPUs asked for."""
    document = example()["spec"]
    document["engineDefaults"]["gpu"]["count"] = gpus
    return BenchmarkRunSpec.model_validate(document)


def pod_and_service() -> tuple[dict[str, Any], ...]:
    """As somebody has them: the Pod is the one that the operator would make of the example's target."""
    asked = spec()
    pod = engine_pod(asked, asked.targets[0], Platform(image="", fixed_ids=False))
    labels = {"app": "vllm"}
    pod["metadata"] |= {"name": "vllm", "labels": labels}
    # The operator's wants no haste: its load pod asks for itself.
    pod["spec"]["containers"][0]["startupProbe"] |= {"periodSeconds": 1, "failureThreshold": STARTS_WITHIN}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "vllm"},
        "spec": {"selector": labels, "ports": [{"port": PORT}]},
    }
    return pod, service


@pytest.fixture(scope="module")
def vllm(built: Cluster, kinds: str) -> Iterator[Namespace]:
    """The namespace in which it runs, for all tests of this module."""
    own = create_namespace(built, "test-one-vllm", kinds)
    random_ids(built, own)
    with models_claim(built, own, NODE_FOLDER):
        own.apply(*pod_and_service())
        own.kubectl(
            "wait", "--for=condition=Ready", "pod/vllm", f"--timeout={STARTS_WITHIN}s", timeout=STARTS_WITHIN + 30
        )
        yield own
        if "KEEP_NAMESPACES" not in os.environ:
            check_nothing_left(own)
            built.kubectl("delete", "namespace", own.name, "--wait=false")


def measured(vllm: Namespace, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A run by both load generators in turn: its status, and its points."""
    run = benchmark(
        name,
        {"name": OWN, **ENDPOINT},
        {"name": GUIDELLM, **ENDPOINT, "loadGenerator": {"guidellm": {"version": "0.8.1"}}},
        levels=[USERS],
        seconds=10,
        workload={
            "dataset": {"synthetic": {"rows": 400, "promptTokens": 32, "outputTokens": TOKENS, "seed": 1}},
            "request": {"api": "Completions", "maxOutputTokens": TOKENS},
            "warmup": {"maxSeconds": 20},
            "repeats": {"count": REPEATS},
        },
    )
    vllm.apply(run)
    status = vllm.wait_finished(name, within=600)
    points = [point for point in status["points"] if point["validity"] != "Superseded"]
    assert len(points) == 2 * REPEATS, status["message"]
    return status, points


def usable(points: list[dict[str, Any]], name: str) -> list[float]:
    """ITL P50 of a target's points at which the load generator kept up, milliseconds."""
    kept_up = [point for point in points if point["target"] == name and point["validity"] != "Invalid"]
    return [point["itlMilliseconds"]["p50"] for point in kept_up]


@pytest.mark.flaky(reruns=0)
def test_both_load_generators_agree_on_one_vllm(vllm: Namespace, request: pytest.FixtureRequest) -> None:
    points: list[dict[str, Any]] = []
    for number in range(1, MOST_RUNS + 1):
        status, more = measured(vllm, f"agreement-{number}")
        show(request.config, "One vLLM under EngineBench's load generator and GuideLLM 0.8.1 (A B, B A, A B)", status)
        attempts = [(one["repeat"], one["startTime"], t["name"]) for t in status["targets"] for one in t["attempts"]]
        assert [name for *_, name in sorted(attempts)] == [OWN, GUIDELLM, GUIDELLM, OWN, OWN, GUIDELLM]
        points += more
        own, theirs = usable(points, OWN), usable(points, GUIDELLM)
        if min(len(own), len(theirs)) >= LEAST:
            break
    words = in_words(own, theirs, "GuideLLM 0.8.1")
    tell(request.config, f"ITL P50 of one vLLM with {USERS} users: {words}")
    for point in points:
        assert point["requests"]["errored"] == 0, point
        assert point["outputTokensMean"] == pytest.approx(TOKENS, rel=0.05), point
        # A busy machine: the point must say so, and says nothing of the engine.
        assert point["validity"] != "Invalid" or point["reasons"][0] == SATURATED, point
        assert "CacheInfluenced" not in (point.get("reasons") or ()), "every prompt begins like no other"
    for name in (OWN, GUIDELLM):
        at_once = max(point["engine"]["runningMax"] for point in points if point["target"] == name)
        assert at_once == USERS, f"by vLLM's own metrics, under {name}"
    if min(len(own), len(theirs)) < LEAST:
        pytest.skip(f"this machine was too busy to tell whether they agree: {words}")
    assert agree(own, theirs), words


def test_prompts_that_begin_alike_are_found_in_its_prefix_cache_and_its_clock_is_ours(vllm: Namespace) -> None:
    run = benchmark(
        "alike",
        {"name": OWN, **ENDPOINT},
        levels=[1],  # with more its API server, on a core that it shares with the engine, may lag behind that
        seconds=20,  # on a slow machine, too, they are more than LEAST_TTFTS
        workload={
            # 200 words are some 530 tokens of the tiny model's: blocks of 128, vLLM's largest, are filled.
            "dataset": {
                "synthetic": {"rows": 100, "promptTokens": 16, "outputTokens": 12},
                "promptReuse": {"shared": {"prefixTokens": 200}},
            },
            "request": {"api": "Completions", "maxOutputTokens": 12},  # many answers, and as many first tokens
            "warmup": {"maxSeconds": 20},
        },
    )
    vllm.kubectl("delete", "bmr", "alike", "--ignore-not-found")  # of a try before this one
    status = vllm.measure(run, within=300)
    [point] = [point for point in status["points"] if point["validity"] != "Superseded"]
    assert point["engine"]["prefixCacheHitRate"] > 0.2, point
    assert "CacheInfluenced" in point["reasons"], point
    assert "of the prompt tokens in its prefix cache" in point["message"]
    assert "EngineDisagrees" not in point["reasons"], point["message"]

    [stored] = vllm.cluster.get(
        "configmaps", f"--namespace={vllm.name}", f"--selector={status['results']['selector']}"
    )["items"]
    received = payload.unpacked(stored)
    assert received is not None
    report, told = received.report, received.report.engine_metrics
    assert told is not None
    assert told.names["ttft"] == "vllm:time_to_first_token_seconds"
    assert told.names["itl"] == "vllm:inter_token_latency_seconds"
    # So many that the two clocks are held against each other, and the same events.
    assert told.ttft_count is not None
    assert told.own_ttft_count is not None
    assert told.ttft_count >= cross_check.LEAST_TTFTS, told
    assert told.own_ttft_count == pytest.approx(told.ttft_count, rel=cross_check.SAME_EVENTS, abs=1)
    assert (told.itl_count or 0) >= cross_check.LEAST_GAPS, told
    assert (told.own_gap_count or 0) >= cross_check.LEAST_GAPS, told
    assert told.own_ttft_mean == pytest.approx(
        told.ttft_mean, rel=cross_check.SHARE, abs=cross_check.HTTP_MILLISECONDS
    ), told
    assert cross_check.disagreement(report) == "", told
    series = engine_metrics.decode(report.engine_series)
    assert len(series.seconds) >= 2, "a scrape every 5 s"
    assert {"running", "kvCacheUsage", "prefixQueries", "prefixHits", "ttft", "itl"} <= series.columns.keys()
    assert max(value or 0.0 for value in series.columns["prefixHits"]) > 0


def test_a_gpu_that_is_asked_for_and_not_there_is_seen_in_its_own_log(vllm: Namespace) -> None:
    log = vllm.kubectl("logs", "vllm")
    asked, other = spec(), spec(gpus=1)
    engine = engine_of(asked.targets[0])
    found = engine.facts(log)
    assert compared(engine.asked(asked, asked.targets[0]), found) == Comparison()
    difference = compared(engine.asked(other, other.targets[0]), found)
    assert (difference.words, difference.unknown) == ("gpuOffloadPercent: 100 asked for, 0 in force", ())
