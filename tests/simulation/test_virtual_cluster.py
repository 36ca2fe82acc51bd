"""The virtual cluster behaves as a real one does, where a run would notice the difference."""

import base64
import inspect
from typing import Any

import pytest

from enginebench.cluster.api import ApiError
from tests.simulation import operator as process
from tests.simulation.apiserver import METADATA_ONLY
from tests.simulation.cluster import Cluster
from tests.simulation.operator import drive
from tests.simulation.programs.engine import EngineBehaviour
from tests.simulation.store import RUN, Item
from tests.simulation.transcript import Transcript

Obj = dict[str, Any]
NS = "bench"
GPU: Obj = {"resources": {"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "1"}}}


@pytest.fixture
def cluster() -> Cluster:
    """One node with a GPU."""
    cluster = Cluster()
    cluster.nodes.add("gpu-1", gpus=1)
    return cluster


def pod(name: str, *, labels: dict[str, str] | None = None, **container: Any) -> Obj:
    body: Obj = {
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "engine", "image": "engine:1", **container}]},
    }
    return body


def create(cluster: Cluster, kind: Any, body: Obj) -> Item:
    drive(cluster.api.create(kind, NS, body))
    item = cluster.store.find(kind, NS, body["metadata"]["name"])
    assert item is not None
    return item


def read_run(cluster: Cluster) -> Obj:
    run = drive(cluster.api.get("BenchmarkRun", NS, "r"))
    assert run is not None
    return run


def job(name: str) -> Obj:
    template = {"metadata": {"labels": {"app": "load"}}, "spec": pod("x")["spec"]}
    return {
        "metadata": {"name": name},
        "spec": {"completionMode": "Indexed", "completions": 1, "backoffLimit": 0, "template": template},
    }


def after(cluster: Cluster, seconds: float) -> None:
    cluster.timeline.run_until(cluster.timeline.now + seconds)


def pods_of(cluster: Cluster, owner: Item) -> list[Item]:
    return [item for item in cluster.store.all("Pod") if owner.uid in item.owners]


# The API server


def test_a_stale_status_is_refused(cluster: Cluster) -> None:
    cluster.apply(RUN, {"metadata": {"name": "r", "namespace": NS}, "spec": {}})
    read = read_run(cluster)
    drive(cluster.api.replace_status({**read, "status": {"phase": "Running"}}))
    with pytest.raises(ApiError, match="has been modified") as refused:
        drive(cluster.api.replace_status({**read, "status": {"phase": "Failed"}}))
    assert (refused.value.status, refused.value.reason) == (409, "Conflict")


def test_a_status_write_leaves_the_spec_alone(cluster: Cluster) -> None:
    run = cluster.apply(RUN, {"metadata": {"name": "r", "namespace": NS}, "spec": {"suspend": False}})
    read = read_run(cluster)
    assert read["status"] == {"observedGeneration": -1}
    drive(cluster.api.replace_status({**read, "spec": {"suspend": True}, "status": {"phase": "Running"}}))
    assert (run.obj["spec"], run.obj["status"], run.obj["metadata"]["generation"]) == (
        {"suspend": False},
        {"phase": "Running"},
        1,
    )


def test_an_edit_is_a_new_generation_and_the_same_again_is_none(cluster: Cluster) -> None:
    run = cluster.apply(RUN, {"metadata": {"name": "r", "namespace": NS}, "spec": {}})
    cluster.edit(run, lambda spec: spec.update(suspend=True))
    cluster.edit(run, lambda spec: spec.update(suspend=True))
    assert run.obj["metadata"]["generation"] == 2


def test_a_name_is_taken_once(cluster: Cluster) -> None:
    create(cluster, "Pod", pod("a"))
    with pytest.raises(ApiError, match="already exists") as refused:
        drive(cluster.api.create("Pod", NS, pod("a")))
    assert (refused.value.status, refused.value.reason) == (409, "AlreadyExists")


def test_only_the_object_that_was_meant_is_deleted(cluster: Cluster) -> None:
    item = create(cluster, "ConfigMap", {"metadata": {"name": "c"}})
    drive(cluster.api.delete("ConfigMap", NS, "c", uid="another"))
    assert cluster.store.find("ConfigMap", NS, "c") is item
    drive(cluster.api.delete("ConfigMap", NS, "c", uid=item.uid))
    drive(cluster.api.delete("ConfigMap", NS, "c", uid=item.uid))
    assert cluster.store.find("ConfigMap", NS, "c") is None


@pytest.mark.parametrize(
    ("selector", "want"),
    [
        ("", {"a", "b", "c"}),
        ("app=x", {"a"}),
        ("app==x", {"a"}),
        ("app!=x", {"b", "c"}),
        ("app", {"a", "b"}),
        ("!app", {"c"}),
        ("app in (x, y)", {"a", "b"}),
        ("app notin (x)", {"b", "c"}),
        ("app,tier=1", {"b"}),
    ],
)
def test_label_selectors(cluster: Cluster, selector: str, want: set[str]) -> None:
    for name, labels in (("a", {"app": "x"}), ("b", {"app": "y", "tier": "1"}), ("c", {})):
        create(cluster, "ConfigMap", {"metadata": {"name": name, "labels": labels}})
    found = drive(cluster.api.list("ConfigMap", NS, labels=selector))
    assert {obj["metadata"]["name"] for obj in found} == want


def test_field_selectors_are_those_of_the_server(cluster: Cluster) -> None:
    create(cluster, "Pod", pod("a"))
    assert len(drive(cluster.api.list("Pod", NS, fields="metadata.name=a,status.phase!=Running"))) == 1
    with pytest.raises(ApiError, match=r"field label not supported: spec\.image"):
        drive(cluster.api.list("Pod", NS, fields="spec.image=x"))


def test_lists_have_what_the_client_asks_for() -> None:
    from enginebench.cluster.client import _RESOURCES  # the clients take a second to import

    assert {kind for kind, resource in _RESOURCES.items() if resource.metadata_only} == METADATA_ONLY


@pytest.mark.parametrize(
    ("kind", "body", "want"),
    [
        ("Pod", pod("Engine"), "metadata.name: Invalid value: 'Engine'"),
        ("Pod", pod("a" * 64), "metadata.name"),
        ("Service", {"metadata": {"name": "1st"}, "spec": {"ports": [{"port": 80}]}}, "metadata.name"),
        ("Service", {"metadata": {"name": "s"}, "spec": {"ports": []}}, "spec.ports: Required value"),
        ("Pod", pod("a", labels={"x": "y" * 64}), r"metadata.labels\[x\]"),
        ("Pod", pod("a", resources={"requests": {"nvidia.com/gpu": "1"}}), "must be equal to its limit"),
        ("Pod", pod("a", volumeMounts=[{"name": "plan", "mountPath": "/x"}]), "volumeMounts: Not found: 'plan'"),
        ("Pod", pod("a", env=[{"name": "N", "value": 1}]), r"env\[N\]"),
        ("ConfigMap", {"metadata": {"name": "c"}, "data": {"x": "y" * 1024 * 1025}}, "may not be more than 1048576"),
        ("Job", {"metadata": {"name": "j"}, "spec": {"template": {"spec": pod("x")["spec"]}}}, None),
        ("Job", {"metadata": {"name": "j"}, "spec": {**job("j")["spec"], "completions": None}}, "spec.completions"),
    ],
)
def test_what_a_server_refuses(cluster: Cluster, kind: Any, body: Obj, want: str | None) -> None:
    if want is None:
        create(cluster, kind, body)
        return
    with pytest.raises(ApiError, match=want) as refused:
        drive(cluster.api.create(kind, NS, body))
    assert refused.value.status == 422


def test_who_reads_must_not_write(cluster: Cluster) -> None:
    item = create(cluster, "ConfigMap", {"metadata": {"name": "c"}})

    def spoil_every_version() -> None:
        for _ in range(16):
            read = drive(cluster.api.get("ConfigMap", NS, "c"))
            assert read is not None
            read["data"] = {"x": "y"}
            cluster.store.touch(item)

    with pytest.raises(AssertionError, match="was changed by one who only read it"):
        spoil_every_version()


def test_what_json_cannot_hold_is_noticed(cluster: Cluster) -> None:
    def send_tuples() -> None:
        for number in range(1, 16):
            create(cluster, "ConfigMap", {"metadata": {"name": f"c{number}"}, "tuple": ("a",)})

    with pytest.raises(AssertionError, match="what JSON cannot hold was sent"):
        send_tuples()


def test_the_virtual_process_has_the_numbers_of_the_real_one() -> None:
    """`tests.simulation.operator` stands for these modules, whose clients take a second to import."""
    from enginebench.cluster import follow
    from enginebench.controller import operator, queue

    for name in ("PATIENCE", "POLL", "PAUSE", "LONGEST_PAUSE", "REREADS"):
        assert getattr(process, name) == getattr(follow, name), name
    assert operator.PROGRESS_DELAY == process.PROGRESS_DELAY
    assert (queue.FIRST_BACKOFF, queue.LONGEST_BACKOFF) == (process.FIRST_BACKOFF, process.LONGEST_BACKOFF)
    assert inspect.signature(queue.WorkQueue).parameters["pace"].default == process.SECOND_PASS


# Controllers


def test_children_go_with_their_owner_and_so_do_late_ones(cluster: Cluster) -> None:
    run = cluster.apply(RUN, {"metadata": {"name": "r", "namespace": NS}, "spec": {}})
    owner = [{"apiVersion": "x/v1", "kind": RUN, "name": "r", "uid": run.uid, "controller": True}]
    create(cluster, "ConfigMap", {"metadata": {"name": "early", "ownerReferences": owner}})
    cluster.store.delete(run)
    create(cluster, "ConfigMap", {"metadata": {"name": "late", "ownerReferences": owner}})
    after(cluster, 2)
    assert cluster.store.all("ConfigMap") == []


def test_a_job_makes_one_pod_and_fails_with_it(cluster: Cluster) -> None:
    made = create(cluster, "Job", job("j"))
    after(cluster, 60)
    (only,) = pods_of(cluster, made)
    assert only.phase == "Running"
    cluster.kubelets.kill(cluster.kubelets.lives[only.uid], 1)
    after(cluster, 5)
    assert only.phase == "Failed"
    assert [c["type"] for c in made.obj["status"]["conditions"]] == ["Failed"]
    assert pods_of(cluster, made) == [only]


def test_a_deleted_job_takes_its_pod_with_it_in_the_background(cluster: Cluster) -> None:
    made = create(cluster, "Job", job("j"))
    after(cluster, 60)
    (only,) = pods_of(cluster, made)
    drive(cluster.api.delete("Job", NS, "j", uid=made.uid))
    assert cluster.store.find("Job", NS, "j") is None
    assert cluster.store.of_uid(only.uid) is only
    after(cluster, 1)
    assert only.deleting
    after(cluster, 45)
    assert cluster.store.of_uid(only.uid) is None


def test_a_job_whose_pods_are_refused_says_so_in_an_event(cluster: Cluster) -> None:
    cluster.jobs.refusal = "exceeded quota: compute"
    made = create(cluster, "Job", job("j"))
    after(cluster, 5)
    (event,) = drive(cluster.api.list("Event", NS, fields=f"involvedObject.uid={made.uid}"))
    assert (event["reason"], event["message"]) == ("FailedCreate", "Error creating: exceeded quota: compute")
    cluster.jobs.refusal = ""
    after(cluster, 30)
    assert len(pods_of(cluster, made)) == 1


def test_the_gpu_is_given_once_and_again_when_its_pod_is_over(cluster: Cluster) -> None:
    first = create(cluster, "Pod", pod("first", **GPU))
    second = create(cluster, "Pod", pod("second", **GPU))
    after(cluster, 60)
    assert (first.node, second.node) == ("gpu-1", "")
    condition = second.obj["status"]["conditions"][0]
    assert (condition["reason"], condition["message"]) == (
        "Unschedulable",
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: 0/1 nodes are available: "
        "1 No preemption victims found for incoming pod.",
    )
    cluster.store.delete(first)
    assert second.node == ""
    after(cluster, 60)
    assert second.node == "gpu-1"


def test_affinity_to_a_node_by_name(cluster: Cluster) -> None:
    cluster.nodes.add("gpu-2", gpus=1)
    body = pod("a", **GPU)
    field = {"key": "metadata.name", "operator": "In", "values": ["gpu-2"]}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    body["spec"]["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    item = create(cluster, "Pod", body)
    after(cluster, 2)
    assert item.node == "gpu-2"


def test_an_image_that_cannot_be_pulled_backs_off(cluster: Cluster) -> None:
    cluster.around.pull_errors["engine"] = "not found"
    item = create(cluster, "Pod", pod("a"))
    seen = set()
    for _ in range(60):
        after(cluster, 1)
        for status in item.obj["status"].get("containerStatuses") or ():
            seen.add(status["state"]["waiting"]["reason"])
    assert seen == {"ContainerCreating", "ErrImagePull", "ImagePullBackOff"}
    cluster.around.pull_errors.clear()
    after(cluster, 300)
    assert item.phase == "Running"


def test_a_missing_secret_and_a_missing_volume_hold_the_container(cluster: Cluster) -> None:
    secret = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "token", "key": "t"}}}
    first = create(cluster, "Pod", pod("first", env=[secret]))
    body = pod("second", volumeMounts=[{"name": "plan", "mountPath": "/plan"}])
    body["spec"]["volumes"] = [{"name": "plan", "configMap": {"name": "plan"}}]
    second = create(cluster, "Pod", body)
    after(cluster, 60)
    waiting = first.obj["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting == {"reason": "CreateContainerConfigError", "message": 'secret "token" not found'}
    (event,) = drive(cluster.api.list("Event", NS, fields=f"involvedObject.uid={second.uid}"))
    assert event["reason"] == "FailedMount"
    assert 'configmap "plan" not found' in event["message"]
    assert event["count"] > 1


def test_a_container_that_is_killed_for_memory_says_so(cluster: Cluster) -> None:
    item = create(cluster, "Pod", pod("a", terminationMessagePolicy="FallbackToLogsOnError"))
    after(cluster, 60)
    cluster.kubelets.kill(cluster.kubelets.lives[item.uid], 137, "OOMKilled")
    after(cluster, 5)
    ended = item.obj["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (item.phase, ended["exitCode"], ended["reason"]) == ("Failed", 137, "OOMKilled")
    assert "starting" in ended["message"]


def test_a_pod_that_ignores_sigterm_is_killed_after_its_grace(cluster: Cluster) -> None:
    cluster.engines[""] = EngineBehaviour(stop_seconds=1000.0)
    body = pod("a")
    body["spec"]["terminationGracePeriodSeconds"] = 10
    item = create(cluster, "Pod", body)
    after(cluster, 60)
    cluster.store.delete(item)
    after(cluster, 9.9)
    assert (item.phase, cluster.store.of_uid(item.uid)) == ("Running", item)
    after(cluster, 5)
    assert cluster.store.of_uid(item.uid) is None


def test_a_lost_node_keeps_its_pods_until_it_is_back(cluster: Cluster) -> None:
    item = create(cluster, "Pod", pod("a"))
    after(cluster, 60)
    node = cluster.store.find("Node", "", "gpu-1")
    assert node is not None
    cluster.nodes.lose(node)
    after(cluster, 60)
    assert node.obj["status"]["conditions"][0]["status"] == "Unknown"
    after(cluster, 300)
    assert item.deleting
    assert item.obj["status"]["conditions"][-1]["reason"] == "DeletionByTaintManager"
    after(cluster, 3600)
    assert cluster.store.of_uid(item.uid) is item
    cluster.nodes.bring_back(node, rebooted=False)
    after(cluster, 60)
    assert cluster.store.of_uid(item.uid) is None


def test_a_log_is_there_once_the_container_runs(cluster: Cluster) -> None:
    item = create(cluster, "Pod", pod("a"))
    with pytest.raises(ApiError, match="is waiting to start") as refused:
        drive(cluster.api.pod_log(NS, "a", limit_bytes=100))
    assert refused.value.status == 400
    after(cluster, 60)
    assert drive(cluster.api.pod_log(NS, "a", limit_bytes=4)) == "time"
    assert item.phase == "Running"


def test_a_url_leads_through_the_services_selector_and_port(cluster: Cluster) -> None:
    create(cluster, "Pod", pod("a", labels={"app": "engine"}, ports=[{"name": "http", "containerPort": 8000}]))
    service = {"selector": {"app": "engine"}, "ports": [{"port": 80, "targetPort": "http"}]}
    create(cluster, "Service", {"metadata": {"name": "s"}, "spec": service})
    url = f"http://s.{NS}.svc:80"
    assert cluster.dial(url) is None
    after(cluster, 90)
    assert cluster.dial(url) is not None
    assert cluster.dial(f"http://s.{NS}.svc:8000") is None
    assert cluster.dial("http://other.bench.svc:80") is None


def test_the_transcript_tells_what_changed() -> None:
    cluster = Cluster()
    transcript = Transcript(cluster.timeline)
    before, after = (
        {"phase": "Running", "targets": [{"name": "a", "phase": phase}]} for phase in ("Waiting", "Loading")
    )
    transcript.status(before, after)
    assert transcript.lines() == ["     0.000  status    targets.a.phase: 'Waiting' → 'Loading';"]


def test_binary_data_is_bounded_too(cluster: Cluster) -> None:
    data = {"x": base64.b64encode(bytes(800 * 1024)).decode()}
    with pytest.raises(ApiError, match="Too long"):
        drive(cluster.api.create("ConfigMap", NS, {"metadata": {"name": "c"}, "binaryData": data}))
