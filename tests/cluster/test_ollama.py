"""Real Ollama 0.9.2 on the CPU: what is in force is read back from it, and four slots serve four users at once.

`make ollama` has built it from its Go module, put the image into the cluster under its public name (so that the
default image of an `ollama` target is what runs) and the model on the worker, behind a volume of the node.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from images.ollama.build import NODE_FOLDER
from tests.cluster.conftest import ROOT, make
from tests.support.cluster import SUCCESS, Cluster, Namespace, outcome
from tests.support.runs import benchmark

MODEL = "tiny"


@pytest.fixture(scope="module")
def ollama_there(cluster: Cluster) -> Cluster:
    """The image and the model are on the worker."""
    make("ollama")
    return cluster


@pytest.fixture
def models(ollama_there: Cluster, namespace: Namespace) -> Iterator[str]:
    """A claim in the test's namespace, on a volume that nobody else can claim."""
    name = f"{namespace.name}-models"
    rules: dict[str, Any] = {"accessModes": ["ReadWriteMany"], "storageClassName": "", "volumeName": name}
    node = {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "Exists"}]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace.name, "name": "models"},
            "hostPath": {"path": NODE_FOLDER, "type": "Directory"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [node]}},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "models"},
        "spec": {**rules, "resources": {"requests": {"storage": "1Gi"}}},
    }
    ollama_there.apply(volume)
    namespace.apply(claim)
    yield "models"
    ollama_there.kubectl("delete", "persistentvolume", name, "--wait=false")


ONE_CORE = {"requests": {"cpu": "200m", "memory": "256Mi"}, "limits": {"cpu": "1"}}
"""The other one is left to the load generator, which would be held up by an engine that computes on all."""


def target(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "ollama": {"model": MODEL, "contextLength": 512, **settings}}


def test_one_slot_against_four(namespace: Namespace, models: str) -> None:
    levels = [1, 4]
    run = benchmark(
        "run",
        target("one", numParallel=1),
        target("four", numParallel=4),
        levels=levels,
        seconds=4,
        workload={
            "dataset": {"synthetic": {"rows": 100, "promptTokens": 16, "outputTokens": 64}},
            "request": {"api": "OllamaGenerate", "maxOutputTokens": 64},
            "warmup": {"maxSeconds": 20},
        },
        engineDefaults={
            "gpu": {"count": 1},
            "resources": ONE_CORE,
            "modelCache": {"persistentVolumeClaim": {"claimName": models}},
        },
    )
    status = namespace.measure(run, within=300)
    assert outcome(status) == SUCCESS, status["message"]
    engines = {t["name"]: t["engine"] for t in status["targets"]}
    for name, slots in (("one", 1), ("four", 4)):
        assert engines[name]["version"] == "0.9.2"
        assert engines[name]["effective"]["numParallel"] == slots
        assert engines[name]["effective"]["contextLength"] == 512
        assert engines[name]["servedModel"].startswith(MODEL)
        assert engines[name]["modelDigest"]
    points = {(p["target"], p["load"]["concurrency"]): p for p in status["points"]}
    for point in points.values():
        assert point["validity"] in ("Valid", "Limited"), point
        assert point["requests"]["succeeded"] > 0
        assert point["outputTokensPerSecond"] > 0
        for figure in ("ttftMilliseconds", "itlMilliseconds"):
            assert point[figure]["p50"] > 0
    waiting = {key: point["ttftMilliseconds"]["p50"] for key, point in points.items()}
    assert waiting["one", 4] > 2 * waiting["one", 1], "three of four wait for the only slot"
    assert waiting["one", 4] > waiting["four", 4], "with four slots none waits"


def test_what_is_not_set_is_left_to_ollama_and_reported(namespace: Namespace, models: str) -> None:
    cache = {"modelCache": {"persistentVolumeClaim": {"claimName": models}}, "gpu": {"count": 0}, "resources": ONE_CORE}
    plain = {"name": "plain", "ollama": {"model": MODEL}, "pod": cache}
    workload = {"request": {"api": "OllamaChat", "maxOutputTokens": 16}, "warmup": {"maxSeconds": 20}}
    namespace.apply(benchmark("run", plain, levels=[1], workload=workload))
    namespace.a_pod("engine")
    pod = namespace.pods("engine")[0]["spec"]["containers"][0]
    assert not [v for v in pod["env"] if v["name"] in ("OLLAMA_NUM_PARALLEL", "OLLAMA_CONTEXT_LENGTH")]
    assert pod["image"] == "docker.io/ollama/ollama:0.9.2"
    status = namespace.wait_finished("run", within=180)
    assert outcome(status) == SUCCESS, status["message"]
    effective = status["targets"][0]["engine"]["effective"]
    assert effective["numParallel"] >= 1
    assert effective["contextLength"] >= 512


@pytest.mark.usefixtures("ollama_there")
def test_a_model_that_cannot_be_had_is_named(namespace: Namespace) -> None:
    """Nothing leaves this cluster, so the pull fails: with Ollama's own words, by its API."""
    missing = {"name": "missing", "ollama": {"model": "no-such-model"}, "pod": {"gpu": {"count": 0}}}
    namespace.apply(benchmark("run", missing, levels=[1]))
    status = namespace.wait_finished("run", within=120)
    assert status["phase"] == "Failed"
    told = status["targets"][0]
    assert told["attempts"][-1]["reason"] == "ModelPullFailed"
    assert "no-such-model" in told["message"]


def test_the_demo_shows_the_same_model() -> None:
    assert f"path: {NODE_FOLDER}," in (ROOT / "demo" / "tiny-model.yaml").read_text()
