"""The published experiment in small on real engines: vLLM, Ollama as it comes, Ollama with eight slots.

`make vllm ollama` has built both and put them and the tiny model on the worker. The namespace enforces the restricted
profile, and every pod gets a random user ID, as on OpenShift.
"""

from itertools import groupby
from typing import Any

import pytest

from images.vllm.build import IMAGE, VERSION
from tests.engines.conftest import example, show
from tests.support.cluster import SUCCESS, Namespace, condition, outcome
from tests.support.openshift import USER_ID

BUILT = ("ollama", "vllm")
TARGETS = ("vllm", "ollama-default", "ollama-8")
SECONDS = 6
"""A load point: vLLM's own metrics are looked at every 5 s, so once beside its two ends."""
WITHIN = 900
"""vLLM takes under a minute to start where the machine has nothing else to do."""


def test_vllm_against_ollama_on_the_cpu(place: Namespace, request: pytest.FixtureRequest) -> None:
    run = example()
    run["spec"]["workload"]["durationSeconds"] = SECONDS
    users: dict[str, set[int]] = {}

    def watched(name: str) -> dict[str, Any]:
        place.a_pod("engine")
        for pod in place.pods("engine"):
            users.setdefault("engine", set()).add(pod["spec"]["securityContext"]["runAsUser"])
        place.a_pod("load", within=WITHIN)
        for pod in place.pods("load"):
            users.setdefault("load", set()).add(pod["spec"]["securityContext"]["runAsUser"])
        return place.wait_finished(name, within=WITHIN)

    status = place.measure(run, wait=watched)
    show(request.config, "Real engines on the CPU, a tiny model (EngineBench's load generator)", status)
    assert outcome(status) == SUCCESS, status["message"]
    assert users == {"engine": {USER_ID}, "load": {USER_ID}}
    assert condition(status, "Comparable")["status"] == "True", condition(status, "Comparable")
    check_points(status)
    check_what_ran(status)
    check_settings(status)


def check_points(status: dict[str, Any]) -> None:
    """Each target has usable figures at each load."""
    points = {(p["target"], p["load"]["concurrency"]): p for p in status["points"]}
    assert set(points) == {(target, users) for target in TARGETS for users in (1, 4, 8)}
    for point in points.values():
        assert point["validity"] in ("Valid", "Limited"), point
        assert point["requests"]["succeeded"] > 0
        assert point["requestsPerSecond"] > 0
        assert point["outputTokensPerSecond"] > 0
        for figure in ("ttftMilliseconds", "itlMilliseconds"):
            assert point[figure]["p50"] > 0
    for users in (1, 4, 8):
        assert 0 < points["vllm", users]["engine"]["runningMax"] <= users, "by vLLM's own metrics"
        for ollama in TARGETS[1:]:
            assert points[ollama, users]["engine"]["unobserved"] == "Ollama has no metrics of its own"
    # With more users its API server, on the core that it shares with the engine, may really lag behind that.
    assert "EngineDisagrees" not in (points["vllm", 1].get("reasons") or ()), points["vllm", 1]["message"]


def check_what_ran(status: dict[str, Any]) -> None:
    """What is in force was read back from each engine."""
    engines = {name: next(group)["engine"] for name, group in groupby(status["targets"], lambda t: t["name"])}
    vllm = engines["vllm"]
    assert vllm["version"] == VERSION
    assert vllm["imageID"].startswith(f"{IMAGE.rpartition(':')[0]}@sha256:")
    assert vllm["servedModel"] == "/models/tiny-deep"
    assert vllm["modelDigest"].startswith("sha256:")
    assert vllm["effective"]["maxModelLen"] == 2048
    assert vllm["effective"]["maxNumSeqs"] == 128
    assert vllm["effective"]["dtype"] == "float16"
    assert vllm["effective"]["prefixCaching"] is True
    assert vllm["effective"]["kvCacheTokens"] > 2048
    for name in ("ollama-default", "ollama-8"):
        assert engines[name]["version"] == "0.9.2"
        assert engines[name]["servedModel"].startswith("tiny")
    assert engines["ollama-8"]["effective"]["numParallel"] == 8
    assert engines["ollama-default"]["effective"]["numParallel"] >= 1


def check_settings(status: dict[str, Any]) -> None:
    """What was asked for is in force: by vLLM's log, and by Ollama's log and the probe."""
    assert [target["name"] for target in status["targets"]] == list(TARGETS)
    for target in status["targets"]:
        assert condition(target, "SettingsInForce")["status"] == "True", condition(target, "SettingsInForce")
