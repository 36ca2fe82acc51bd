"""Views of objects as a real API server sends them."""

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from enginebench.cluster import views
from enginebench.workflow.observed import Role, Terminated, Trouble, Waiting

POD = """
apiVersion: v1
kind: Pod
metadata:
  name: r-vllm-e2-abcdef
  uid: pod-uid
  creationTimestamp: "2026-11-23T12:00:00Z"
  labels: {enginebench.dev/target: vllm, enginebench.dev/attempt: "2", enginebench.dev/role: engine}
spec:
  nodeName: gpu-1
  containers:
  - {name: istio-proxy, image: istio}
  - {name: engine, image: "docker.io/vllm/vllm-openai:v0.9.1"}
"""
SCHEDULED = "conditions: [{type: PodScheduled, status: 'True', lastTransitionTime: '2026-11-23T12:00:01Z'}]"


def at(second: int) -> datetime:
    return datetime(2026, 11, 23, 12, 0, second, tzinfo=UTC)


def pod(status: str, **spec: Any) -> dict[str, Any]:
    obj: dict[str, Any] = yaml.safe_load(POD)
    obj["spec"].update(spec)
    obj["status"] = yaml.safe_load(status) or {}
    return obj


def test_labels_tell_what_a_pod_is() -> None:
    view = views.pod(pod(""), Role.ENGINE)
    assert (view.target, view.attempt, view.name, view.uid, view.node) == (
        "vllm",
        2,
        "r-vllm-e2-abcdef",
        "pod-uid",
        "gpu-1",
    )
    assert view.created == at(0)
    assert view.phase == "Pending"
    assert view.image == "docker.io/vllm/vllm-openai:v0.9.1"


def test_of_several_load_pods_the_first_one_speaks() -> None:
    obj = pod("")
    obj["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] = "3"
    assert views.pod(obj, Role.LOAD).index == 3
    assert not views.pod(obj, Role.LOAD).speaks
    assert views.pod(pod(""), Role.LOAD).speaks


def test_unschedulable_pod_has_the_schedulers_sentence() -> None:
    status = """
        phase: Pending
        conditions:
        - {type: PodScheduled, status: 'False', reason: Unschedulable, lastTransitionTime: '2026-11-23T12:00:01Z',
           message: '0/3 nodes are available: 3 Insufficient nvidia.com/gpu.'}
        """
    view = views.pod(pod(status), Role.ENGINE)
    assert view.unschedulable == "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    assert view.scheduled_at is None


def test_gated_pod() -> None:
    status = "conditions: [{type: PodScheduled, status: 'False', reason: SchedulingGated, message: gated}]"
    view = views.pod(pod(status, schedulingGates=[{"name": "kueue.x-k8s.io/admission"}]), Role.ENGINE)
    assert view.gated
    assert view.gates == ("kueue.x-k8s.io/admission",)
    assert (view.unschedulable, view.queue, view.managed) == ("", "", False)


def test_pod_in_a_queue() -> None:
    obj = pod("phase: Pending")
    obj["metadata"]["labels"] |= {"kueue.x-k8s.io/queue-name": "gpu-queue", "kueue.x-k8s.io/managed": "true"}
    view = views.pod(obj, Role.ENGINE)
    assert (view.queue, view.managed) == ("gpu-queue", True)


@pytest.mark.parametrize(
    ("conditions", "want"),
    [
        ("", ""),
        ("{type: DisruptionTarget, status: 'True', reason: PreemptionByScheduler, message: m}", "PreemptionByScheduler"),
        ("{type: DisruptionTarget, status: 'False', reason: x}", ""),
        ("{type: TerminationTarget, status: 'True', reason: WorkloadEvicted, message: for another}", "WorkloadEvicted: for another"),
        ("{type: TerminationTarget, status: 'True'}", "TerminationTarget"),
        ("{type: TerminationTarget, status: 'False', reason: x}", ""),
    ],
)  # fmt: skip
def test_pod_that_is_taken_away(conditions: str, want: str) -> None:
    assert views.pod(pod(f"conditions: [{conditions}]"), Role.ENGINE).disrupted == want


@pytest.mark.parametrize(
    ("conditions", "want"),
    [
        ("", ""),
        ("{type: QuotaReserved, status: 'False', reason: Pending, message: no quota}", "Pending: no quota"),
        (
            "{type: Admitted, status: 'False', reason: UnsatisfiedChecks, message: m}, {type: QuotaReserved, status: 'True'}",
            "UnsatisfiedChecks: m",
        ),
        ("{type: QuotaReserved, status: 'True', message: m}, {type: Admitted, status: 'True'}", ""),
    ],
)
def test_why_a_workload_waits(conditions: str, want: str) -> None:
    assert views.workload({"status": yaml.safe_load(f"conditions: [{conditions}]")}) == want


@pytest.mark.parametrize(
    ("spec", "status", "want_suspended", "want_created"),
    [
        ("{}", "{}", False, 0),
        ("{suspend: true}", "{}", True, 0),
        ("{suspend: false}", "{conditions: [{type: Suspended, status: 'True'}]}", True, 0),
        ("{}", "{startTime: '2026-11-23T12:00:07Z', conditions: [{type: Suspended, status: 'False'}]}", False, 7),
    ],
)
def test_job_that_was_suspended_begins_when_it_is_resumed(
    spec: str, status: str, want_suspended: bool, want_created: int
) -> None:
    job = pod(status)
    job["spec"] = yaml.safe_load(spec)
    view = views.child(job, Role.LOAD)
    assert (view.suspended, view.created) == (want_suspended, at(want_created))


@pytest.mark.parametrize(
    "reason", ["ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "ContainerCreating"]
)
def test_waiting_container(reason: str) -> None:
    status = f"""
        phase: Pending
        {SCHEDULED}
        containerStatuses:
        - {{name: istio-proxy, restartCount: 3, state: {{running: {{startedAt: '2026-11-23T12:00:02Z'}}}}}}
        - {{name: engine, restartCount: 0, state: {{waiting: {{reason: {reason}, message: why}}}}}}
        """
    view = views.pod(pod(status), Role.ENGINE)
    assert view.waiting == Waiting(reason, "why")
    assert (view.scheduled_at, view.started_at, view.restarts) == (at(1), None, 0)


def test_running_container() -> None:
    status = f"""
        phase: Running
        {SCHEDULED}
        containerStatuses:
        - {{name: engine, imageID: 'vllm@sha256:12', restartCount: 0,
           state: {{running: {{startedAt: '2026-11-23T12:00:09Z'}}}}}}
        """
    view = views.pod(pod(status), Role.ENGINE)
    assert (view.started_at, view.image_id, view.waiting, view.over) == (at(9), "vllm@sha256:12", None, False)


def test_container_killed_for_lack_of_memory() -> None:
    status = """
        phase: Failed
        containerStatuses:
        - name: engine
          state: {terminated: {exitCode: 137, reason: OOMKilled, message: 'last words',
                               startedAt: '2026-11-23T12:00:09Z', finishedAt: '2026-11-23T12:00:30Z'}}
        """
    view = views.pod(pod(status), Role.ENGINE)
    assert view.terminated == Terminated(137, "OOMKilled", "last words", at(30))
    assert view.started_at == at(9)
    assert view.over


def test_container_lost_with_its_node_has_no_times() -> None:
    status = """
        phase: Failed
        containerStatuses:
        - name: engine
          state: {terminated: {exitCode: 137, reason: ContainerStatusUnknown, startedAt: null, finishedAt: null}}
        """
    view = views.pod(pod(status), Role.ENGINE)
    assert view.terminated == Terminated(137, "ContainerStatusUnknown", "", at(0))


def test_evicted_pod_has_no_container_status() -> None:
    view = views.pod(
        pod("{phase: Failed, reason: Evicted, message: 'The node was low on resource: memory.'}"), Role.ENGINE
    )
    assert (view.reason, view.message, view.terminated) == ("Evicted", "The node was low on resource: memory.", None)


def test_disrupted_pod() -> None:
    status = "conditions: [{type: DisruptionTarget, status: 'True', reason: EvictionByEvictionAPI}]"
    assert views.pod(pod(status), Role.ENGINE).disrupted == "EvictionByEvictionAPI"
    assert views.pod(pod(status.replace("'True'", "'False'")), Role.ENGINE).disrupted == ""


def test_load_pod_has_another_container() -> None:
    status = "containerStatuses: [{name: load, state: {terminated: {exitCode: 1, finishedAt: '2026-11-23T12:00:30Z'}}}]"
    terminated = views.pod(pod(status), Role.LOAD).terminated
    assert terminated is not None
    assert terminated.exit_code == 1


def test_failed_job() -> None:
    job = yaml.safe_load("""
        metadata: {name: j, uid: u, creationTimestamp: '2026-11-23T12:00:00Z', deletionTimestamp: '2026-11-23T12:00:05Z',
                   labels: {enginebench.dev/target: vllm, enginebench.dev/attempt: '1'}}
        status: {conditions: [{type: Failed, status: 'True', reason: BackoffLimitExceeded, message: Job has failed}]}
        """)
    child = views.child(job, Role.LOAD)
    assert child.failed == "BackoffLimitExceeded: Job has failed"
    assert child.deleting == at(5)
    job["status"]["conditions"][0]["status"] = "False"
    assert views.child(job, Role.LOAD).failed == ""


def test_data_config_map_tells_its_point() -> None:
    obj = {
        "metadata": {
            "name": "d",
            "uid": "u",
            "creationTimestamp": "2026-11-23T12:00:00Z",
            "labels": {"enginebench.dev/point": "7"},
        }
    }
    assert views.child(obj, Role.DATA).point == 7


def test_warning_events_of_both_apis() -> None:
    core = yaml.safe_load("""
        {type: Warning, reason: FailedMount, message: m, metadata: {},
         firstTimestamp: '2026-11-23T12:00:01Z', lastTimestamp: '2026-11-23T12:00:09Z'}""")
    new = yaml.safe_load("""
        {type: Warning, reason: FailedScheduling, message: m, metadata: {}, firstTimestamp: null, lastTimestamp: null,
         eventTime: '2026-11-23T12:00:01.000000Z', series: {lastObservedTime: '2026-11-23T12:00:09.000000Z'}}""")
    assert views.trouble(core) == Trouble("FailedMount", "m", at(1), at(9))
    assert views.trouble(new) == Trouble("FailedScheduling", "m", at(1), at(9))
    assert views.trouble({**core, "type": "Normal"}) is None


def test_owner_is_the_controller() -> None:
    obj = {"metadata": {"ownerReferences": [{"uid": "a"}, {"uid": "b", "controller": True}]}}
    assert views.owned_by(obj, "b")
    assert not views.owned_by(obj, "a")
    assert not views.owned_by({"metadata": {}}, "a")


def test_node_that_does_not_answer() -> None:
    node = {
        "metadata": {"name": "n", "labels": {"a": "b"}},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    }
    assert not views.node(node).ready
    node["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert views.node(node).ready
