"""Real Ollama 0.9.2 on the CPU: what is in force is read back from it, and four slots serve four users at once.

`make ollama` has built it from its Go module, put the image into the cluster under its public name (so that the
default image of an `ollama` target is what runs) and the model on the worker, behind a volume of the node.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from images.ollama.build import NODE_FOLDER
from images.ollama.variants import ONE_SLOT, SHORT, SHORT_CONTEXT
from images.tiny.weights import DEEP
from tests.cluster.conftest import ROOT, check_nothing_left, create_namespace, make
from tests.support import ollama_registry
from tests.support.cluster import SUCCESS, Cluster, Namespace, outcome
from tests.support.pods import program
from tests.support.runs import benchmark
from tests.support.volumes import claim, empty_folder, models_claim

MODEL = "tiny"


@pytest.fixture(scope="module")
def ollama_there(cluster: Cluster) -> Cluster:
    """The image and the model are on the worker."""
    make("ollama")
    return cluster


@pytest.fixture(scope="module", autouse=True)
def unmountable(ollama_there: Cluster, kinds: str) -> Iterator[Namespace]:
    """A run on a claim whose folder is not there on the node. It takes minutes to be given up, beside the other tests."""
    own = create_namespace(ollama_there, "test-unmountable", kinds)
    with claim(ollama_there, own, "gone", "/var/lib/nowhere") as name:
        pod = {"gpu": {"count": 1}, "modelCache": {"persistentVolumeClaim": {"claimName": name}}}
        own.apply(pulling("registry.invalid:5000/library/tiny", pod=pod))
        yield own
    ollama_there.kubectl("delete", "namespace", own.name, "--wait=false")


@pytest.fixture
def models(ollama_there: Cluster, namespace: Namespace) -> Iterator[str]:
    """A claim in the test's namespace on the folder that `make ollama` filled."""
    with models_claim(ollama_there, namespace, NODE_FOLDER) as name:
        yield name


ONE_CORE = {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1"}}
"""The other one is left to the load generator, which would be held up by an engine that computes on all."""

FIRST = {"resources": {"requests": {"cpu": "1", "memory": "128Mi"}}}
"""The load generator's weight against the engine's, where both want the same core: as in the examples for the CPU."""


def target(name: str, **settings: Any) -> dict[str, Any]:
    return {"name": name, "ollama": {"model": MODEL, "contextLength": 512, **settings}}


def test_one_slot_against_four(namespace: Namespace, models: str) -> None:
    levels = [1, 4]
    run = benchmark(
        "run",
        target("one", model=DEEP, numParallel=1),
        target("four", model=DEEP, numParallel=4),
        levels=levels,
        seconds=6,
        workload={
            "dataset": {"synthetic": {"rows": 100, "promptTokens": 16, "outputTokens": 64}},
            "request": {"api": "OllamaGenerate", "maxOutputTokens": 64},
            "warmup": {"maxSeconds": 20},
        },
        engineDefaults={
            "gpu": {"count": 0},
            "resources": ONE_CORE,
            "modelCache": {"persistentVolumeClaim": {"claimName": models}},
        },
        loadGenerator=FIRST,
    )
    status = namespace.measure(run, within=300)
    assert outcome(status) == SUCCESS, status["message"]
    engines = {t["name"]: t["engine"] for t in status["targets"]}
    for name, slots in (("one", 1), ("four", 4)):
        assert engines[name]["version"] == "0.9.2"
        assert engines[name]["effective"]["numParallel"] == slots
        assert engines[name]["effective"]["contextLength"] == 512
        assert engines[name]["effective"]["requestsAtOnce"] == slots
        assert f"--parallel {slots}" in engines[name]["arguments"]
        assert engines[name]["servedModel"].startswith(DEEP)
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
    plain = {"name": "plain", "ollama": {"model": DEEP}, "pod": cache}
    workload = {"request": {"api": "OllamaChat", "maxOutputTokens": 16}, "warmup": {"maxSeconds": 20}}

    def watched(name: str) -> dict[str, Any]:
        namespace.a_pod("engine")
        pod = namespace.pods("engine")[0]["spec"]["containers"][0]
        assert not [v for v in pod["env"] if v["name"] in ("OLLAMA_NUM_PARALLEL", "OLLAMA_CONTEXT_LENGTH")]
        assert pod["image"] == "docker.io/ollama/ollama:0.9.2"
        return namespace.wait_finished(name, within=180)

    status = namespace.measure(benchmark("run", plain, levels=[1], workload=workload), wait=watched)
    assert outcome(status) == SUCCESS, status["message"]
    effective = status["targets"][0]["engine"]["effective"]
    assert effective["numParallel"] >= 1
    assert effective["contextLength"] >= 512


def test_what_is_not_in_force_is_told_with_both_values(namespace: Namespace, models: str) -> None:
    """Four differences, each by Ollama's own doing: a family of one slot, a model with a context of its own, no flash
    attention on the CPU, and no GPU behind the one that the node declares."""
    pod = {"modelCache": {"persistentVolumeClaim": {"claimName": models}}, "resources": ONE_CORE}
    on_cpu = {**pod, "gpu": {"count": 0}}
    run = benchmark(
        "run",
        {"name": "slots", "ollama": {"model": ONE_SLOT, "numParallel": 4}, "pod": on_cpu},
        {"name": "context", "ollama": {"model": SHORT, "contextLength": 512}, "pod": on_cpu},
        {"name": "flash", "ollama": {"model": MODEL, "flashAttention": True, "kvCacheType": "q8_0"}, "pod": on_cpu},
        {"name": "gpu", "ollama": {"model": MODEL}, "pod": {**pod, "gpu": {"count": 1}}},
        levels=[1],
        seconds=1,
        workload={
            "request": {"api": "OllamaGenerate", "maxOutputTokens": 16},
            "warmup": {"maxSeconds": 20},
        },
    )
    namespace.apply(run)
    status = namespace.wait_finished("run", within=300)
    expected = {
        "slots": "numParallel: 4 asked for, 1 in force",
        "context": f"contextLength: 512 asked for, {SHORT_CONTEXT} in force",
        "flash": "flashAttention: true asked for, false in force, kvCacheType: q8_0 asked for, f16 in force",
        "gpu": "gpuOffloadPercent: 100 asked for, 0 in force",
    }
    targets = {t["name"]: t for t in status["targets"]}
    points = {p["target"]: p for p in status["points"]}
    for name, words in expected.items():
        said = next(c for c in targets[name]["conditions"] if c["type"] == "SettingsInForce")
        assert (said["status"], said["reason"]) == ("False", "SettingsNotInForce"), name
        assert said["message"].startswith(f"{words}. "), name
        assert (points[name]["validity"], points[name]["reasons"][0]) == ("Invalid", "SettingsNotInForce")
        assert points[name]["message"].startswith(words)
        assert targets[name]["attempts"][-1]["reason"] == "SettingsNotInForce"
    told = json.loads(namespace.kubectl("get", "events", "--field-selector=reason=SettingsNotInForce", "-o", "json"))
    assert sorted(e["message"].partition(":")[0] for e in told["items"] if e["type"] == "Warning") == sorted(expected)


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


@pytest.fixture
def registry(namespace: Namespace, models: str, cluster: Cluster) -> str:
    """A registry without TLS, of the same models, with faults: `http://registry…:5000/<fault>/tiny`."""
    server = program(
        "registry",
        "tests.support.ollama_registry",
        *("--folder=/models", "--port=5000", "--rate=400000"),
        image=cluster.image,
        port=5000,
        files=ollama_registry.FILES,
        claim=models,
    )
    namespace.apply(*server)
    namespace.kubectl("wait", "--for=condition=Ready", "pod/registry", "--timeout=60s", timeout=90)
    return f"http://registry.{namespace.name}.svc:5000"


def pulling(model: str, *, pod: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    one = {"name": "pulled", "ollama": {"model": model, "contextLength": 512}}
    return benchmark(
        "run",
        one | {"pod": {"gpu": {"count": 0}, "resources": ONE_CORE, **(pod or {})}},
        levels=[1],
        seconds=3,
        workload={"request": {"api": "OllamaGenerate", "maxOutputTokens": 16}, "warmup": {"maxSeconds": 20}},
        **spec,
    )


def test_a_model_is_pulled_without_tls_and_the_status_says_so_in_bytes(namespace: Namespace, registry: str) -> None:
    namespace.apply(pulling(f"{registry}/slow/tiny"))

    def downloading(status: dict[str, Any]) -> object:
        download = (status.get("targets") or [{}])[0].get("download") or {}
        return 0 < download.get("bytesDone", 0) < download.get("bytesTotal", 0)

    meanwhile = namespace.wait_status("run", downloading, within=60, what="bytes of a download")["targets"][0]
    assert meanwhile["phase"] == "DownloadingModel"
    assert "without TLS" in meanwhile["message"]
    status = namespace.wait_finished("run", within=150)
    assert status["points"][0]["requests"]["succeeded"] > 0, status["message"]
    [told] = status["targets"]
    registry_name = registry.removeprefix("http://")
    assert told["engine"]["servedModel"] == f"{registry_name}/slow/tiny:latest"
    assert told["engine"]["effective"]["modelRegistry"] == f"{registry}, WITHOUT TLS"
    assert told["timings"]["modelDownloadSeconds"] > 10
    assert "download" not in told


def test_a_download_that_stalls_is_given_up_and_says_how_far_it_came(namespace: Namespace, registry: str) -> None:
    namespace.apply(pulling(f"{registry}/stalled/tiny", timeouts={"modelDownloadStallSeconds": 5}))
    status = namespace.wait_finished("run", within=120)
    [told] = status["targets"]
    assert told["attempts"][-1]["reason"] == "ModelPullStalled"
    assert re.search(r"no more byte has come for 5 s .*; [\d,]+ of [\d,]+ bytes had come", told["message"])


def test_a_model_too_large_for_its_volume_is_not_tried_again_and_again(namespace: Namespace, registry: str) -> None:
    """The kubelet looks once a minute how much is in a volume, and evicts the engine."""
    small = {"modelCache": {"emptyDir": {"sizeLimit": "1Mi"}}}
    namespace.apply(pulling(f"{registry}/stalled/tiny", pod=small, timeouts={"modelDownloadStallSeconds": 240}))
    status = namespace.wait_finished("run", within=240)
    [told] = status["targets"]
    assert [attempt["reason"] for attempt in told["attempts"]] == ["ModelCacheFull"]
    assert 'Usage of EmptyDir volume "models" exceeds the limit "1Mi"' in told["message"]


@pytest.fixture
def own_claim(cluster: Cluster, namespace: Namespace) -> Iterator[str]:
    """A ReadWriteOnce claim without a model."""
    with empty_folder(cluster, namespace) as folder, claim(cluster, namespace, "own", folder) as name:
        yield name


def test_onto_a_claim_the_model_comes_before_the_engine_asks_for_a_gpu(
    namespace: Namespace, registry: str, own_claim: str
) -> None:
    """And the second target, with the same model on the same claim, needs no fetch of its own."""
    cache = {"gpu": {"count": 1}, "modelCache": {"persistentVolumeClaim": {"claimName": own_claim}}}
    run = pulling(f"{registry}/slow/tiny", pod=cache)
    again = run["spec"]["targets"][0] | {"name": "again"}
    run["spec"]["targets"].append(again)
    namespace.apply(run)

    def fetching(status: dict[str, Any]) -> object:
        download = (status.get("targets") or [{}])[0].get("download") or {}
        return download.get("bytesPerSecond", 0) > 0 and 0 < download["bytesDone"] < download["bytesTotal"]

    meanwhile = namespace.wait_status("run", fetching, within=90, what="bytes of a fetch")["targets"][0]
    assert (meanwhile["phase"], "attempts" in meanwhile) == ("DownloadingModel", False)
    assert meanwhile["message"].startswith("downloading ")
    assert not namespace.pods("engine")
    [pod] = namespace.pods("fetch")
    assert not any("nvidia.com/gpu" in str(c["resources"]) for c in pod["spec"]["containers"])
    status = namespace.wait_finished("run", within=200)
    first, second = status["targets"]
    assert first["modelFetch"]["reason"] == "Completed", status["message"]
    assert first["modelFetch"]["bytes"] > 1_000_000
    assert first["timings"]["modelDownloadSeconds"] == first["modelFetch"]["seconds"] > 5
    assert {"startupSeconds", "verifiedSeconds", "warmupSeconds"} <= set(first["timings"])
    assert "modelFetch" not in second
    assert all(point["requests"]["succeeded"] > 0 for point in status["points"])
    assert {point["target"] for point in status["points"]} == {"pulled", "again"}
    assert not namespace.pods("fetch")


def test_a_volume_that_cannot_be_mounted_is_given_up_in_the_kubelet_s_words(unmountable: Namespace) -> None:
    """As the share of a file server that is gone. Two minutes, and no engine."""
    status = unmountable.wait_finished("run", within=240)
    [told] = status["targets"]
    assert told["message"].startswith("VolumeNotAttachable: Pod run-pulled-f1-"), told["message"]
    assert "hostPath type check failed" in told["message"]
    assert "attempts" not in told, "no engine asked for the GPU"
    check_nothing_left(unmountable)


def test_the_demo_shows_the_same_model() -> None:
    assert f"path: {NODE_FOLDER}," in (ROOT / "demo" / "tiny-model.yaml").read_text()
