"""The Jobs that fetch a model before the engine."""

import json
from typing import Any

from msgspec.structs import replace

from enginebench.api import loadplan
from enginebench.api.loadplan import FetchPlan, LoadPlan
from enginebench.cluster import children, labels
from enginebench.workflow.observed import Role
from enginebench.workflow.plan import Create
from tests.unit.cluster.made import PLATFORM, made, seen

FETCHED = """
targets:
- name: v
  vllm: {model: org/tiny, args: [--revision, v2, "--load_format=pt"], tokenSecretRef: {name: hf, key: token}}
  pod:
    resources: {requests: {cpu: "8", memory: 256Mi}, limits: {memory: 512Mi}}
    nodeSelector: {pool: gpus}
    tolerations: [{key: nvidia.com/gpu, operator: Exists}]
    labels: {kueue.x-k8s.io/queue-name: gpus, team: llm}
    env: [{name: NVIDIA_VISIBLE_DEVICES, value: all}, {name: HTTPS_PROXY, value: "http://proxy:3128"}]
    modelCache: {persistentVolumeClaim: {claimName: models}}
- name: o
  ollama: {model: tiny}
  pod: {modelCache: {persistentVolumeClaim: {claimName: models}}}
"""


def fetching(target: str, **create: Any) -> tuple[dict[str, Any], LoadPlan, dict[str, str]]:
    """The fetch pod's spec, its plan, and all that its ConfigMap holds."""
    wanted = Create(role=Role.FETCH, target=target, attempt=1, **create)
    job = children.child(seen(FETCHED), wanted, PLATFORM)
    data = children.child(seen(FETCHED), replace(wanted, role=Role.FETCH_PLAN), PLATFORM)["data"]
    assert job["spec"]["template"]["metadata"]["labels"][labels.ROLE] == "fetch"
    assert not any(key.startswith("kueue") for key in job["spec"]["template"]["metadata"]["labels"])
    text = json.dumps(job)
    assert 'nvidia.com/gpu"' not in text.replace('"key": "nvidia.com/gpu"', "")
    return job["spec"]["template"]["spec"], loadplan.decode(data[loadplan.PLAN_FILE].encode()), data


def test_a_model_of_hugging_face_is_fetched_in_the_engines_image_without_a_gpu() -> None:
    pod, plan, data = fetching("v", node="gpu-1")
    (container,) = pod["containers"]
    assert "initContainers" not in pod
    assert container["name"] == labels.LOAD_CONTAINER
    assert container["image"].startswith("docker.io/vllm/")
    assert container["command"][:2] == ["python3", "-c"]
    assert "enginebench.fetcher.hub" in container["command"][2]
    assert container["resources"] == {"requests": {"cpu": "500m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["NVIDIA_VISIBLE_DEVICES"] == "void"
    assert (env["HF_HOME"], env["HTTPS_PROXY"]) == ("/models", "http://proxy:3128")
    assert "PYTHONPATH" not in env, "the image may need its own"
    assert "HF_TOKEN" in env
    assert pod["nodeSelector"] == {"pool": "gpus"}
    assert pod["tolerations"][0] == {"key": "nvidia.com/gpu", "operator": "Exists"}
    node = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert node == [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["gpu-1"]}]}]
    programs = next(v["configMap"]["items"] for v in pod["volumes"] if v["name"] == "programs")
    assert {item["key"] for item in programs} | {loadplan.PLAN_FILE} == set(data)
    assert (plan.task, plan.model, plan.claim) == ("fetch", "org/tiny", "models")
    assert plan.fetch == FetchPlan(revision="v2", all_weights=True, token_from="key token of Secret hf")


def test_ollama_fetches_by_itself_beside_our_own_container() -> None:
    pod, plan, data = fetching("o")
    (server,), (ours,) = pod["initContainers"], pod["containers"]
    assert (server["name"], server["args"], server["restartPolicy"]) == ("engine", ["serve"], "Always")
    assert not {"ports", "startupProbe", "readinessProbe"} & set(server)
    assert {"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"} in server["env"]
    assert "models" in {mount["name"] for mount in server["volumeMounts"]}
    assert (ours["image"], ours["name"]) == (PLATFORM.image, labels.LOAD_CONTAINER)
    assert {mount["name"] for mount in ours["volumeMounts"]} == {"plan", "tmp"}
    assert (plan.task, plan.url, plan.dialect) == ("fetch", "http://127.0.0.1:11434", "ollama")
    assert set(data) == {loadplan.PLAN_FILE}


def test_no_load_pod_mounts_the_models() -> None:
    for target in ("v", "o"):
        assert "persistentVolumeClaim" not in json.dumps(made(Role.LOAD, FETCHED, target=target))


def test_the_engine_is_given_the_commit_that_was_fetched() -> None:
    pod = made(Role.ENGINE, FETCHED.replace("--revision, v2, ", ""), target="v", revision="e" * 40)
    assert f"--revision={'e' * 40}" in pod["spec"]["containers"][0]["args"]
