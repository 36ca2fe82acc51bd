"""Real vLLM and a model of a hub that asks for a token, as Hugging Face does: fetched by a Job before the engine, or
downloaded by the engine itself; and what the hub refuses is told."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from images.ollama.build import NODE_FOLDER
from images.vllm.build import IMAGE
from tests.support import hub
from tests.support.cluster import SUCCESS, Cluster, Namespace, eventually, outcome
from tests.support.openshift import USER_ID, random_ids
from tests.support.pods import program
from tests.support.runs import benchmark
from tests.support.volumes import claim, empty_folder, models_claim

BUILT = ("ollama", "vllm")
TOKEN = "hf_right"
WITHIN = 600
"""vLLM takes under a minute to start where the machine has nothing else to do."""


@pytest.fixture
def endpoint(built: Cluster, namespace: Namespace) -> Iterator[str]:
    """HF_ENDPOINT of a hub with the tiny model; the Secret `hf` has the right token and a wrong one."""
    random_ids(built, namespace)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hf"}}
    namespace.apply(secret | {"stringData": {"token": TOKEN, "wrong": "hf_wrong"}})
    with models_claim(built, namespace, NODE_FOLDER) as models:
        arguments = ("--folder=/models", "--port=8080", f"--token={TOKEN}")
        server = program(
            "hub", "tests.support.hub", *arguments, image=built.image, port=8080, files=hub.FILES, claim=models
        )
        namespace.apply(*server)
        namespace.kubectl("wait", "--for=condition=Ready", "pod/hub", "--timeout=60s", timeout=90)
        yield f"http://hub.{namespace.name}.svc:8080"


@pytest.fixture
def cache(built: Cluster, namespace: Namespace) -> Iterator[str]:
    """An empty claim, ReadWriteOnce."""
    with empty_folder(built, namespace) as folder, claim(built, namespace, "cache", folder) as name:
        yield name


def target(name: str, model: str, endpoint: str, *, key: str = "", cache: str = "") -> dict[str, Any]:
    variables = {
        "HF_ENDPOINT": endpoint,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
    }
    vllm: dict[str, Any] = {"model": model, "image": IMAGE, "args": ["--max-model-len=2048", "--enforce-eager"]}
    if key:
        vllm["tokenSecretRef"] = {"name": "hf", "key": key}
    pod: dict[str, Any] = {
        "gpu": {"count": 0},
        "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1"}},
        "env": [{"name": variable, "value": value} for variable, value in variables.items()],
    }
    if cache:
        pod["modelCache"] = {"persistentVolumeClaim": {"claimName": cache}}
    return {"name": name, "vllm": vllm, "pod": pod}


def check_all_went_well(status: dict[str, Any]) -> None:
    """The run succeeded, and no request failed."""
    assert outcome(status) == SUCCESS, status["message"]
    [point] = status["points"]
    assert point["requests"]["succeeded"] > 0, point
    assert point["requests"]["errored"] == 0, point


def test_a_model_behind_a_token_is_fetched_before_the_engine(namespace: Namespace, endpoint: str, cache: str) -> None:
    asked = target("fetched", "private/tiny", endpoint, key="token", cache=cache)
    users: list[int] = []

    def watched(name: str) -> dict[str, Any]:
        if not users:  # the first time; later the model is there
            pods = eventually(lambda: namespace.pods("fetch"), within=60, what="the pod that fetches the model")
            users.extend(pod["spec"]["securityContext"]["runAsUser"] for pod in pods)
        return namespace.wait_finished(name, within=WITHIN)

    status = namespace.measure(benchmark("run", asked, levels=[2], seconds=5), wait=watched)
    assert set(users) == {USER_ID}, "as on OpenShift"
    check_all_went_well(status)
    [fetched] = status["targets"]
    assert fetched["engine"]["servedModel"] == "private/tiny"
    assert fetched["modelFetch"]["bytes"] > 6_000_000, fetched
    assert fetched["engine"]["modelDigest"] == fetched["modelFetch"]["digest"] == f"commit:{hub.COMMIT}"
    assert fetched["engine"]["effective"]["revision"] == hub.COMMIT


def test_a_model_behind_a_token_is_downloaded_by_the_engine(namespace: Namespace, endpoint: str) -> None:
    asked = target("direct", "private/tiny", endpoint, key="token")
    run = benchmark("run", asked, levels=[2], seconds=5)
    status = namespace.measure(run, wait=lambda name: namespace.wait_finished(name, within=WITHIN))
    check_all_went_well(status)
    [direct] = status["targets"]
    assert direct["engine"]["servedModel"] == "private/tiny"
    assert "modelFetch" not in direct
    assert "modelDigest" not in direct["engine"]


def test_what_the_hub_refuses_costs_no_engine_where_a_job_fetches(
    namespace: Namespace, endpoint: str, cache: str
) -> None:
    refused = {
        "no-token": ("private/tiny", "", "ModelNotFound", "or it is private and asks for a token"),
        "wrong-token": ("private/tiny", "wrong", "ModelAccessDenied", "the key wrong of Secret hf does not let us"),
        "gated": ("gated/tiny", "", "ModelAccessDenied", "vllm.tokenSecretRef"),
        "changed": ("corrupt/tiny", "", "ModelCorrupt", "is not what the hub names by its SHA-256"),
        "no-model": ("good/none", "token", "ModelNotFound", "there is no good/none"),
    }
    targets = [target(name, model, endpoint, key=key, cache=cache) for name, (model, key, _, _) in refused.items()]
    targets.append(target("by-itself", "gated/tiny", endpoint))
    namespace.apply(benchmark("run", *targets, levels=[1]))
    status = namespace.wait_finished("run", within=WITHIN)
    assert outcome(status)["Succeeded"] == "False"
    told = {t["name"]: t for t in status["targets"]}
    for name, (_, _, reason, words) in refused.items():
        assert told[name]["message"].startswith(f"{reason}: vllm.model: "), told[name]["message"]
        assert words in told[name]["message"]
    # A vLLM without a claim asks the hub as it starts: what it says in its log is told.
    by_itself = told["by-itself"]["message"]
    assert by_itself.startswith("ModelAccessDenied: The engine in pod run-by-itself-e1-"), by_itself
    assert "accept them at the hub" in by_itself
    assert "Its log says: " in by_itself
    created = namespace.kubectl("get", "events", "--output=jsonpath={.items[*].involvedObject.name}").split()
    assert any("-f1-" in name for name in created)
    engines = {name for name in created if re.search(r"-e\d+-", name)}
    assert engines, created
    assert all(name.startswith("run-by-itself-e1-") for name in engines), "an engine was started for nothing"
