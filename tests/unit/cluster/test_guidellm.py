"""GuideLLM in a load pod: its container, what is brought there, and what the load pod's program is told."""

from typing import Any

from enginebench.api import loadplan
from enginebench.cluster import views
from enginebench.workflow.observed import Role, Waiting
from tests.unit.cluster.made import PLATFORM, made, plan

BOTH = """
targets:
- {name: a-sim, simulated: {api: vLLM, model: m}}
- {name: b-sim, simulated: {api: vLLM, model: m}, loadGenerator: {guidellm: {version: 0.8.1, args: [--label, x=y]}}}
loadGenerator:
  resources: {requests: {cpu: "2"}, limits: {memory: 4Gi}}
  nodeSelector: {role: load}
"""


def pod(target: str, text: str = BOTH) -> dict[str, Any]:
    spec: dict[str, Any] = made(Role.LOAD, text, target=target)["spec"]["template"]["spec"]
    return spec


def test_a_target_without_it_is_as_ever() -> None:
    spec = pod("a-sim")
    assert "initContainers" not in spec
    assert spec["containers"][0]["resources"]["limits"] == {"memory": "4Gi"}
    assert plan(BOTH, target="a-sim").guidellm is None


def test_its_container_starts_before_the_load_and_ends_with_it() -> None:
    spec = pod("b-sim")
    bring, guidellm = spec["initContainers"]
    assert bring["image"] == PLATFORM.image
    assert bring["args"] == ["guidellm-agent", "/exchange/agent.py"]
    assert "restartPolicy" not in bring
    assert guidellm["restartPolicy"] == "Always"
    assert guidellm["image"] == "docker.io/enginebench/guidellm:0.8.1"
    assert "imagePullPolicy" not in guidellm, "that is the operator's image's"
    assert guidellm["command"] == ["python3", "/exchange/agent.py", "/exchange/agent.sock"]
    for container in (bring, guidellm, spec["containers"][0]):
        assert {"name": "exchange", "mountPath": "/exchange"} in container["volumeMounts"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"name": "exchange", "emptyDir": {}} in spec["volumes"]
    assert spec["nodeSelector"] == {"role": "load"}


def test_the_runs_resources_are_its_own() -> None:
    spec = pod("b-sim")
    assert spec["initContainers"][1]["resources"] == {
        "requests": {"cpu": "2", "memory": "4Gi"},
        "limits": {"memory": "4Gi"},
    }
    assert spec["containers"][0]["resources"] == {"requests": {"cpu": "500m", "memory": "512Mi"}}
    unsaid = pod("a-sim", "loadGenerator: {guidellm: {version: 0.8.1, image: 'r/g:1'}}")
    assert unsaid["initContainers"][1]["resources"] == {"requests": {"cpu": "1", "memory": "2Gi"}}
    assert unsaid["initContainers"][1]["image"] == "r/g:1"


def test_the_program_is_told_which_version() -> None:
    told = plan(BOTH, target="b-sim").guidellm
    assert told == loadplan.GuideLlmPlan(version="0.8.1", args=("--label", "x=y"))
    everywhere = plan("loadGenerator: {guidellm: {version: 0.8.1}}").guidellm
    assert everywhere is not None


def test_it_is_not_asked_for_a_count_with_every_event() -> None:
    workload = """
    dataset: {synthetic: {promptTokens: 1, outputTokens: 1}}
    request: {perEventUsage: true}
    load: {concurrency: {levels: [1]}}
    durationSeconds: 1
    """
    text = f"{BOTH}workload:{workload}".replace("\n    ", "\n  ")
    assert plan(text, target="a-sim").request.per_event_usage
    assert not plan(text, target="b-sim").request.per_event_usage


def test_the_pod_that_reads_the_data_set_needs_none() -> None:
    spec = made(Role.LOAD, BOTH, target="")["spec"]["template"]["spec"]
    assert "initContainers" not in spec


def load_pod(guidellm: dict[str, Any], load: dict[str, Any]) -> dict[str, Any]:
    return {
        "metadata": {"name": "l", "uid": "u", "creationTimestamp": "2026-11-23T12:00:00Z", "labels": {}},
        "spec": {
            "containers": [{"name": "load", "image": "ours"}],
            "initContainers": [{"name": "bring-agent", "image": "ours"}, {"name": "guidellm", "image": "theirs"}],
        },
        "status": {
            "initContainerStatuses": [{"name": "guidellm", "state": guidellm}],
            "containerStatuses": [{"name": "load", "state": load}],
        },
    }


INITIALIZING = {"waiting": {"reason": "PodInitializing"}}
NO_IMAGE = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}


def test_an_image_of_it_that_does_not_come_is_what_holds_the_pod() -> None:
    view = views.pod(load_pod(NO_IMAGE, INITIALIZING), Role.LOAD)
    assert view.waiting == Waiting("ImagePullBackOff", "no such image")
    assert view.image == "theirs"
    assert view.started_at is None


def test_while_it_waits_for_its_turn_nothing_is_wrong() -> None:
    view = views.pod(load_pod(INITIALIZING, INITIALIZING), Role.LOAD)
    assert view.waiting == Waiting("PodInitializing", "")
    assert view.image == "ours"


def test_once_the_load_runs_its_own_state_counts() -> None:
    """A container of GuideLLM's that starts anew is for the load pod's program to tell of."""
    crashed = {"waiting": {"reason": "CrashLoopBackOff"}}
    view = views.pod(load_pod(crashed, {"running": {"startedAt": "2026-11-23T12:00:09Z"}}), Role.LOAD)
    assert view.waiting is None
    assert view.started_at is not None
