"""GuideLLM beside EngineBench's own load generator: both real versions, on a simulated engine of known timing."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster.conftest import make
from tests.cluster.test_runs import EXAMPLES
from tests.support.cluster import SATURATED, Cluster, Namespace, eventually, outcome
from tests.support.runs import benchmark


@pytest.fixture(scope="module")
def both_versions(cluster: Cluster) -> Cluster:
    """Their images are on the nodes."""
    make("guidellm")
    return cluster


def engine(name: str, version: str | None = None, **generator: Any) -> dict[str, Any]:
    """Timing that even a busy client sees well."""
    latency = {
        "slots": 32,
        "prefillMicrosecondsPerToken": 1000,
        "decodeStepMicroseconds": 20000,
        "decodeStepMicrosecondsPerSequence": 0,
    }
    target: dict[str, Any] = {"name": name, "simulated": {"api": "vLLM", "model": "tiny", **latency}}
    if version is not None:
        target["loadGenerator"] = {"guidellm": {"version": version, **generator}}
    return target


WORKLOAD = {
    "dataset": {"synthetic": {"rows": 200, "promptTokens": 64, "outputTokens": 32}},
    "request": {"api": "Completions", "maxOutputTokens": 32, "lengthPolicy": "AsPublished"},
    "warmup": {"maxSeconds": 30},
}
ROOM = {"resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}


def percentile(point: dict[str, Any], figure: str, name: str = "p50") -> float:
    value = point[figure][name]
    assert isinstance(value, int | float), point
    return value


def test_three_load_generators_side_by_side(both_versions: Cluster, namespace: Namespace) -> None:
    run = benchmark(
        "side-by-side",
        engine("own-sim"),
        engine("new-sim", "0.8.1", args=["--label", "site=test"]),
        engine("old-sim", "0.2.1"),
        levels=[2],
        seconds=15,
        workload=WORKLOAD,
        loadGenerator=ROOM,
    )
    namespace.apply(run)
    status = namespace.wait_finished("side-by-side", within=560)
    assert status["progress"]["pointsDone"] == 3, status
    own, new, old = status["points"]
    assert "generator" not in own
    assert (new["generator"], new["generatorVersion"]) == ("guidellm", "0.8.1")
    assert (old["generator"], old["generatorVersion"]) == ("guidellm", "0.2.1")
    versions = [target.get("loadGenerator") for target in status["targets"]]
    assert versions == [
        None,
        {"generator": "guidellm", "version": "0.8.1"},
        {"generator": "guidellm", "version": "0.2.1"},
    ]
    text = status["summary"]["text"]
    assert "times its output" not in text, "three load generators are not compared"
    for point in (new, old):
        if point["validity"] != "Invalid":
            assert f"{point['target']} (SIMULATED) (by GuideLLM {point['generatorVersion']}) peaks at" in text
    for point in (own, new, old):
        assert 0 < point["engine"]["runningMax"] <= 2, "by the engine's own metrics, whoever loads it"
    for point in (new, old):
        assert point["requests"]["succeeded"] > 10, point
        if point["validity"] == "Invalid":  # a busy machine: the point must say so, and says nothing of the engine
            assert point["reasons"][0] == SATURATED, point
            continue
        if own["validity"] == "Invalid":
            continue
        # How exact each is, is tested against a server of known timing; here, that both saw the same engine.
        assert percentile(point, "itlMilliseconds") == pytest.approx(percentile(own, "itlMilliseconds"), rel=0.1)
        assert percentile(point, "ttftMilliseconds") == pytest.approx(percentile(own, "ttftMilliseconds"), rel=0.5)


def test_the_example_of_two_load_generators(both_versions: Cluster, namespace: Namespace) -> None:
    run = yaml.safe_load((EXAMPLES / "two-load-generators.yaml").read_text())
    run["spec"]["workload"] |= {"durationSeconds": 5, "rampSeconds": 0, "repeats": {"count": 1}}
    run["spec"]["loadGenerator"] = ROOM
    namespace.apply(run)
    status = namespace.wait_finished("two-load-generators", within=400)
    assert [point.get("generator") for point in status["points"]] == [None, "guidellm"]


@pytest.fixture
def one(namespace: Namespace) -> Iterator[dict[str, Any]]:
    """A run of a second with GuideLLM, to be spoilt."""
    run = benchmark("spoilt", engine("new-sim", "0.8.1"), levels=[2], workload=WORKLOAD, loadGenerator=dict(ROOM))
    yield run
    namespace.delete("bmr/spoilt")


def failed(namespace: Namespace, run: dict[str, Any], within: float = 240) -> str:
    """The message of the target that failed."""
    namespace.apply(run)

    def message() -> str:
        status = namespace.status("spoilt")
        done = bool(status.get("conditions")) and outcome(status)["Finished"] == "True"
        return str(status["targets"][0]["message"]) if done else ""

    return eventually(message, within=within, what="the end of the run")


def test_an_image_that_is_not_there_is_named(namespace: Namespace, one: dict[str, Any]) -> None:
    one["spec"]["targets"][0]["loadGenerator"]["guidellm"]["image"] = "docker.io/enginebench/guidellm:none"
    one["spec"]["timeouts"] = {"imagePullSeconds": 20}
    said = failed(namespace, one)
    assert said.startswith(("ImagePullFailed", "ImagePullTimeout")), said
    assert "docker.io/enginebench/guidellm:none" in said


def test_another_version_in_the_image_is_refused(
    both_versions: Cluster, namespace: Namespace, one: dict[str, Any]
) -> None:
    one["spec"]["targets"][0]["loadGenerator"]["guidellm"]["image"] = "docker.io/enginebench/guidellm:0.2.1"
    said = failed(namespace, one)
    assert said.startswith("GuideLlmVersion"), said
    assert "holds GuideLLM 0.2.1, not 0.8.1" in said


def test_too_little_memory_is_refused_before_the_load(
    both_versions: Cluster, namespace: Namespace, one: dict[str, Any]
) -> None:
    one["spec"]["targets"][0]["loadGenerator"]["guidellm"]["version"] = "0.2.1"
    one["spec"]["loadGenerator"] = {"resources": {"requests": {"memory": "64Mi"}, "limits": {"memory": "512Mi"}}}
    one["spec"]["workload"]["load"] = {"concurrency": {"levels": [2, 64]}}
    said = failed(namespace, one)
    assert said.startswith("GuideLlmTooLarge"), said
    assert "64 users" in said
