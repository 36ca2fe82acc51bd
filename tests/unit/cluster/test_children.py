"""The objects of a run, as they are created."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from enginebench.api import loadplan
from enginebench.cluster import children, labels, payload
from enginebench.engines.base import Platform
from enginebench.simulator.settings import parse
from enginebench.workflow.observed import Role
from enginebench.workflow.plan import Create, Keep
from tests.unit.cluster.fake import RUN_UID
from tests.unit.cluster.made import PLATFORM, made, plan, seen
from tests.unit.cluster.said import received


@pytest.mark.parametrize("role", [Role.ENGINE, Role.SERVICE, Role.LOAD_PLAN, Role.LOAD, Role.LOAD_SERVICE])
def test_every_child_is_labelled_and_owned(role: Role) -> None:
    metadata = made(role)["metadata"]
    assert metadata["name"].startswith(f"r-a-sim-{role.value}1-")
    assert metadata["namespace"] == "ns"
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "enginebench",
        "enginebench.dev/run": "r",
        "enginebench.dev/run-uid": RUN_UID,
        "enginebench.dev/target": "a-sim",
        "enginebench.dev/attempt": "1",
        "enginebench.dev/role": labels.ROLE_WORD[role],
    }
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "enginebench.dev/v1alpha1",
            "kind": "BenchmarkRun",
            "name": "r",
            "uid": RUN_UID,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


def test_labels_of_the_user_stand_beside_ours() -> None:
    text = "engineDefaults: {labels: {team: a}}"
    marks = made(Role.ENGINE, text)["metadata"]["labels"]
    assert marks["enginebench.dev/run-uid"] == RUN_UID
    assert marks["team"] == "a"


def test_an_engine_gets_the_queue_of_its_run_and_its_own_before_that() -> None:
    wanted = {"kueue.x-k8s.io/queue-name": "gpu-queue", "kueue.x-k8s.io/priority-class": "low"}
    for text, queue in (("", "gpu-queue"), ("engineDefaults: {labels: {kueue.x-k8s.io/queue-name: own}}", "own")):
        run = replace(seen(text), queue_labels=wanted)
        bodies = {
            role: children.child(run, Create(role=role, target="a-sim", attempt=1), PLATFORM)
            for role in (Role.ENGINE, Role.LOAD)
        }
        marks = bodies[Role.ENGINE]["metadata"]["labels"]
        assert marks["kueue.x-k8s.io/queue-name"] == queue
        assert marks["kueue.x-k8s.io/priority-class"] == "low"
        assert "kueue" not in str(bodies[Role.LOAD])


def test_service_finds_the_engine_before_it_is_ready() -> None:
    service = made(Role.SERVICE)["spec"]
    engine = made(Role.ENGINE)
    assert service["publishNotReadyAddresses"] is True
    assert service["selector"].items() <= engine["metadata"]["labels"].items()
    assert service["selector"]["enginebench.dev/role"] == "engine"
    (port,) = service["ports"]
    names = [p["name"] for p in engine["spec"]["containers"][0]["ports"]]
    assert port["port"] == 8000
    assert port["targetPort"] in names


def test_load_job_never_repeats_itself() -> None:
    job = made(Role.LOAD)
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 0)
    assert spec["podReplacementPolicy"] == "Failed"
    assert not {"ttlSecondsAfterFinished", "activeDeadlineSeconds"} & set(spec)
    assert spec["template"]["metadata"]["labels"] == job["metadata"]["labels"]


@pytest.mark.parametrize("target", ["a-sim", ""], ids=["load", "prepare"])
def test_no_load_pod_takes_a_gpu_or_what_is_said_of_engines(target: str) -> None:
    text = """
        engineDefaults:
          gpu: {count: 2, resource: nvidia.com/mig-1g.5gb}
          nodeSelector: {gpu: a100}
          tolerations: [{key: gpu, operator: Exists}]
          runtimeClassName: nvidia
          priorityClassName: high
          schedulerName: other
        """
    pod = made(Role.LOAD, text, target=target)["spec"]["template"]["spec"]
    assert not {"nodeSelector", "affinity", "runtimeClassName", "priorityClassName", "schedulerName"} & set(pod)
    assert all(t["effect"] == "NoExecute" for t in pod["tolerations"])
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        resources = container["resources"]
        assert {name for amounts in resources.values() for name in amounts} <= {"cpu", "memory"}


def test_load_pod() -> None:
    pod = made(Role.LOAD)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == PLATFORM.image
    assert container["imagePullPolicy"] == "Never"
    assert container["args"] == ["loadgen", "--plan", "/etc/enginebench/plan.json"]
    assert container["resources"] == {"requests": {"cpu": "500m", "memory": "512Mi"}}
    assert {e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"] for e in container["env"]} == {
        "POD_NAME": "metadata.name",
        "POD_UID": "metadata.uid",
    }
    assert pod["restartPolicy"] == "Never"
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["terminationGracePeriodSeconds"] > 30
    plan_volume = next(v for v in pod["volumes"] if v["name"] == "plan")
    assert plan_volume["configMap"]["name"] == made(Role.LOAD_PLAN)["metadata"]["name"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_load_pod_on_openshift_gets_no_ids() -> None:
    platform = Platform(image="i", fixed_ids=False)
    job = children.child(seen(), Create(role=Role.LOAD, target="a-sim", attempt=1), platform)
    assert job["spec"]["template"]["spec"]["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_load_pod_goes_where_the_user_wants_it() -> None:
    text = "loadGenerator: {nodeSelector: {pool: cpu}, resources: {limits: {cpu: '2'}}}"
    pod = made(Role.LOAD, text)["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "cpu"}
    assert pod["containers"][0]["resources"]["limits"] == {"cpu": "2"}


SEVERAL = """
targets: [{name: a-sim, simulated: {api: vLLM, model: m}}, {name: b-sim, simulated: {api: vLLM, model: m}}]
loadGenerator: {pods: 3, processes: 2}
workload:
  dataset: {synthetic: {rows: 10, promptTokens: 8, outputTokens: 8}}
  load: {concurrency: {levels: [4, 8]}}
  durationSeconds: 10
"""


def test_several_load_pods_find_the_first_one_and_know_each_other() -> None:
    text = SEVERAL
    job, service = made(Role.LOAD, text), made(Role.LOAD_SERVICE, text)
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (3, 3)
    pod = job["spec"]["template"]
    assert pod["spec"]["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    (spread,) = pod["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == service["spec"]["selector"]
    made_plan = plan(text)
    assert (made_plan.pods, made_plan.processes, made_plan.leader_port) == (3, 2, service["spec"]["ports"][0]["port"])
    assert made_plan.leader == f"{job['metadata']['name']}-0.{service['metadata']['name']}.ns.svc"
    assert all(len(label) <= 63 for label in made_plan.leader.split("."))
    own = secret_of(job)
    assert len(own) == 64
    assert secret_of(made(Role.LOAD, text)) != own
    assert own not in json.dumps([service, made(Role.LOAD_PLAN, text)])


def secret_of(job: dict[str, Any]) -> str:
    env = {entry["name"]: entry.get("value", "") for entry in job["spec"]["template"]["spec"]["containers"][0]["env"]}
    return str(env[loadplan.SECRET_VARIABLE])


def test_one_load_pod_has_no_secret_and_the_data_set_is_read_by_one() -> None:
    alone = made(Role.LOAD)["spec"]["template"]["spec"]
    assert loadplan.SECRET_VARIABLE not in json.dumps(alone)
    assert "subdomain" not in alone
    prepares = made(Role.LOAD, SEVERAL, target="")
    assert prepares["spec"]["completions"] == 1
    assert loadplan.SECRET_VARIABLE not in json.dumps(prepares)


SECURED = """
    targets:
    - name: e
      endpoint:
        url: https://llm.example
        model: m
        tokenSecretRef: {name: llm-key, key: token}
        tls: {caConfigMapRef: {name: llm-ca, key: ca.crt}}
    - {name: f, endpoint: {url: "https://llm.example", model: m, tls: {insecureSkipVerify: true}}}
    """


def test_an_endpoint_s_token_and_ca_go_to_its_own_load_pod() -> None:
    pod = made(Role.LOAD, SECURED, target="e")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (token,) = (entry for entry in container["env"] if entry["name"] == "ENGINEBENCH_TOKEN")
    assert token["valueFrom"] == {"secretKeyRef": {"name": "llm-key", "key": "token"}}
    (volume,) = (v for v in pod["volumes"] if v["name"] == "endpoint-ca")
    assert volume["configMap"] == {"name": "llm-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "endpoint-ca")
    access = plan(SECURED, target="e").access
    assert access.ca_file == f"{mount['mountPath']}/ca.crt"
    assert mount["readOnly"] is True
    assert access.ca_from == "key ca.crt of ConfigMap llm-ca"
    assert access.token_from == "key token of Secret llm-key"
    assert access.verify_certificate


@pytest.mark.parametrize("target", ["f", ""])
def test_no_other_load_pod_gets_them(target: str) -> None:
    text = json.dumps(made(Role.LOAD, SECURED, target=target))
    assert "llm-key" not in text
    assert "llm-ca" not in text


def test_a_certificate_that_is_not_to_be_checked() -> None:
    assert plan(SECURED, target="f").access == loadplan.AccessPlan(verify_certificate=False)


def test_data_config_map_holds_the_point_for_ever() -> None:
    point = received(1)
    body = children.data(seen(), Keep("a-sim", 2, point))
    assert body["metadata"]["name"].startswith("r-a-sim-d2p1-")
    assert body["metadata"]["labels"]["enginebench.dev/point"] == "1"
    assert body["metadata"]["labels"]["enginebench.dev/role"] == "data"
    assert body["immutable"] is True
    assert payload.unpacked(body) == point
    assert body == children.data(seen(), Keep("a-sim", 2, point))


def test_damaged_data_is_no_point() -> None:
    body = children.data(seen(), Keep("a-sim", 2, received(1)))
    for damage in ({"point.json.gz": "%%%"}, {"point.json.gz": "AAAA"}, {}):
        assert payload.unpacked({**body, "binaryData": damage}) is None
    other = children.data(seen(), Keep("a-sim", 2, received(0)))
    assert payload.unpacked({**body, "binaryData": other["binaryData"]}) is None


@pytest.mark.parametrize(("target", "calibrates"), [("v", True), ("", False)])
def test_a_simulated_engine_stands_beside_a_load_pod_that_calibrates(target: str, calibrates: bool) -> None:
    text = """
        targets: [{name: v, vllm: {model: m}}]
        loadGenerator: {calibrate: true}
        """
    job = made(Role.LOAD, text, target=target)
    spec = job["spec"]["template"]["spec"]
    assert len(spec.get("initContainers", [])) == calibrates
    assert bool(plan(text, target=target).calibrate_url) == calibrates
    for beside in spec.get("initContainers", []):
        [load] = spec["containers"]
        assert beside["restartPolicy"] == "Always"  # else the load generator would wait for its end
        assert (beside["image"], beside["securityContext"]) == (load["image"], load["securityContext"])
        settings = parse(beside["args"][1:])
        assert (settings.host, settings.port) == ("127.0.0.1", 8001)
        assert plan(text, target=target).calibrate_url == f"http://{settings.host}:{settings.port}"


@pytest.mark.parametrize(("target", "keeps"), [("a-sim", True), ("", False)])
def test_every_request_is_kept_in_a_folder_of_the_run(target: str, keeps: bool) -> None:
    text = "results: {requests: true, persistentVolumeClaim: {claimName: kept}}"
    spec = made(Role.LOAD, text, target=target)["spec"]["template"]["spec"]
    claims = [v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v]
    assert claims == ["kept"] * keeps
    folder = plan(text, target=target).requests_folder
    assert folder == (f"/results/r-{RUN_UID[:8]}" if keeps else "")
    mounted = {mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert ("/results" in mounted) == keeps
