"""What is seen of a run, and what is asked of the API server for it."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import yaml

from enginebench.cluster import children, labels
from enginebench.cluster.api import ApiError, Obj, Unavailable
from enginebench.cluster.feeds import Feeds, LoadPod
from enginebench.cluster.memory import Memory
from enginebench.cluster.observe import UnreadableStatusError, observe
from enginebench.workflow.names import child_name
from enginebench.workflow.observed import Observed, Role
from enginebench.workflow.plan import Keep
from tests.unit.cluster.fake import CREATED, NOW, RUN_UID, FakeApi, run
from tests.unit.cluster.made import seen as seen_for_children
from tests.unit.cluster.said import ENGINE, lines, point, received

KEY = ("ns", "r")
OWNER = [{"uid": RUN_UID, "controller": True, "kind": "BenchmarkRun", "name": "r"}]


def pod(role: Role, name: str, status: str = "", owner: list[dict[str, Any]] | None = None, **spec: Any) -> Obj:
    own = labels.labels(run="r", run_uid=RUN_UID, role=role, target="a-sim", attempt=1)
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "uid": f"uid-of-{name}",
            "creationTimestamp": CREATED,
            "labels": own,
            "ownerReferences": OWNER if owner is None else owner,
        },
        "spec": {"containers": [{"name": labels.LOAD_CONTAINER if role is Role.LOAD else "engine"}], **spec},
        "status": yaml.safe_load(status) or {},
    }


RUNNING_ENGINE = pod(
    Role.ENGINE,
    "e",
    f"{{phase: Running, containerStatuses: [{{name: engine, state: {{running: {{startedAt: '{CREATED}'}}}}}}]}}",
    nodeName="gpu-1",
)
JOB = child_name("r", RUN_UID, Role.LOAD, "a-sim", 1)
OF_JOB = [{"kind": "Job", "name": JOB, "uid": "job", "controller": True}]
LOAD = pod(Role.LOAD, "l", "phase: Running", OF_JOB)
LOAD_POD = LoadPod("ns", "l", "uid-of-l", "r", RUN_UID, "a-sim", 1)


async def look(api: FakeApi, feeds: Feeds | None = None, memory: Memory | None = None) -> Observed:
    sight = await observe(api, feeds or Feeds(), memory or Memory(), KEY, NOW)
    assert sight is not None
    return sight.observed


async def test_a_pod_that_only_bears_a_load_pods_labels_is_not_listened_to() -> None:
    for references in ([], [{**OF_JOB[0], "name": "other"}], [{**OF_JOB[0], "kind": "ReplicaSet"}]):
        assert (await look(FakeApi(run(), pod(Role.LOAD, "l", "phase: Running", references)))).pods == ()


async def test_a_run_that_is_gone() -> None:
    assert await observe(FakeApi(), Feeds(), Memory(), KEY, NOW) is None


async def test_each_kind_is_listed_once_by_the_runs_uid() -> None:
    api = FakeApi(run())
    observed = await look(api)
    selector = f"enginebench.dev/run-uid={RUN_UID}"
    assert api.calls == [
        "get BenchmarkRun r",
        *(f"list {kind} {selector}" for kind in ("Pod", "Job", "Service", "ConfigMap")),
    ]
    assert (observed.uid, observed.generation, observed.children, observed.pods) == (RUN_UID, 1, (), ())
    assert observed.spec is not None


async def test_spec_that_fits_no_model_is_told_not_raised() -> None:
    observed = await look(FakeApi(run("targets: []")))
    assert observed.spec is None
    assert "spec.targets" in observed.spec_error


async def test_status_that_cannot_be_read_is_not_taken_for_an_empty_one() -> None:
    obj = run()
    obj["status"] = {"points": "many"}
    with pytest.raises(UnreadableStatusError, match="ns/r"):
        await look(FakeApi(obj))


async def test_spec_and_status_are_parsed_once_a_version() -> None:
    api, memory = FakeApi(run()), Memory()
    first, second = await look(api, memory=memory), await look(api, memory=memory)
    assert first.spec is second.spec
    assert first.status is second.status
    changed = run("suspend: true", generation=2, resourceVersion="2")
    changed["status"] = {"phase": "Running"}
    api.put(changed)
    third = await look(api, memory=memory)
    assert third.spec is not None
    assert third.spec.suspend
    assert third.status.phase == "Running"


async def test_objects_that_only_bear_our_label_are_not_ours() -> None:
    stranger = pod(Role.ENGINE, "x", owner=[{"uid": "someone", "controller": True}])
    observed = await look(FakeApi(run(), stranger, RUNNING_ENGINE, LOAD))
    assert [p.name for p in observed.pods] == ["e", "l"]
    assert [c.name for c in observed.children] == ["e"]


async def test_events_are_read_only_for_pods_that_are_stuck() -> None:
    starting = "conditions: [{type: PodScheduled, status: 'True', lastTransitionTime: '%s'}]"
    fresh = pod(Role.ENGINE, "e", starting % (NOW - timedelta(seconds=2)).isoformat())
    api = FakeApi(run(), fresh)
    assert (await look(api)).pods[0].troubles == ()
    assert not any("Event" in call for call in api.calls)
    api.put(pod(Role.ENGINE, "e", starting % CREATED))
    api.put(
        {
            "kind": "Event",
            "metadata": {"name": "ev"},
            "involvedObject": {"uid": "uid-of-e"},
            "type": "Warning",
            "reason": "FailedMount",
            "message": "not found",
            "firstTimestamp": CREATED,
            "lastTimestamp": CREATED,
        }
    )
    (stuck,) = (await look(api)).pods
    assert [(t.reason, t.message) for t in stuck.troubles] == [("FailedMount", "not found")]


async def test_why_an_engine_is_gone_is_told_by_its_events() -> None:
    """Of an open attempt only, and of nothing else that happened to the pod."""
    gone = run()
    attempt = {"number": 1, "startTime": CREATED, "podUID": "uid-of-e"}
    gone["status"] = {"targets": [{"name": "a", "attempts": [attempt]}]}
    why = {
        "Scheduled": "Successfully assigned",
        "Stopped": "Preempted to accommodate a workload",
        "Killing": "Stopping",
    }
    events = [
        {
            "kind": "Event",
            "metadata": {"name": reason.lower()},
            "involvedObject": {"uid": "uid-of-e"},
            "type": "Normal",
            "reason": reason,
            "message": message,
        }
        for reason, message in why.items()
    ]
    assert (await look(FakeApi(gone, *events))).taken == {"uid-of-e": why["Stopped"]}
    assert (await look(FakeApi(gone))).taken == {"uid-of-e": ""}
    assert (await look(FakeApi(gone, RUNNING_ENGINE, *events))).taken == {}
    attempt["endTime"] = CREATED
    assert (await look(FakeApi(gone, *events))).taken == {}


async def test_job_without_a_pod_tells_why() -> None:
    job = pod(Role.LOAD, "j")
    job["kind"] = "Job"
    event = {
        "kind": "Event",
        "metadata": {"name": "ev"},
        "involvedObject": {"uid": "uid-of-j"},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": "exceeded quota",
        "firstTimestamp": CREATED,
        "lastTimestamp": CREATED,
    }
    observed = await look(FakeApi(run(), job, event))
    assert [c.trouble for c in observed.children] == ["exceeded quota"]
    observed = await look(FakeApi(run(), job, event, LOAD))
    assert [c.trouble for c in observed.children if c.role is Role.LOAD] == [""]


async def test_points_that_lie_ready_are_found_again() -> None:
    config_map = children.data(seen_for_children(), Keep("a-sim", 1, received(1)))
    config_map["metadata"].update(uid="u", creationTimestamp=CREATED)
    told = run()
    told["status"] = {"points": [{"target": "a-sim", "attempt": 1, "index": 1, "load": {}}]}
    (stored,) = (await look(FakeApi(run(), config_map))).stored
    assert (stored.target, stored.attempt, stored.point) == ("a-sim", 1, received(1))
    api = FakeApi(told, config_map)
    assert (await look(api)).stored == ()
    assert not any(call.startswith("get ConfigMap") for call in api.calls)


async def test_words_of_pods_that_are_gone_are_late() -> None:
    feeds = Feeds()
    for line in lines(point(0))[0]:
        feeds.feed(LOAD_POD).hear(line, NOW)
    assert (await look(FakeApi(run(), LOAD), feeds)).late == ()
    observed = await look(FakeApi(run()), feeds)
    assert [(p.target, p.attempt, p.point.report.index) for p in observed.late] == [("a-sim", 1, 0)]
    assert LOAD_POD.uid in observed.heard


async def test_log_of_the_engine_is_read_once_it_has_answered() -> None:
    text = "targets: [{name: a-sim, simulated: {api: Ollama, model: m}}]"
    api, feeds, memory = FakeApi(run(text), RUNNING_ENGINE, LOAD), Feeds(), Memory()
    api.logs["e"] = 'msg="starting llama server" cmd="ollama runner --ctx-size 4096 --parallel 4"'
    assert (await look(api, feeds, memory)).engine_facts == {}
    feeds.feed(LOAD_POD).hear(lines(ENGINE)[0][0], NOW)
    for _ in range(2):
        facts = (await look(api, feeds, memory)).engine_facts["uid-of-e"]
        assert (facts["numParallel"], facts["contextLength"]) == (4, 1024)
    assert api.calls.count("log Pod e") == 1


async def test_what_is_asked_of_each_engine_comes_with_what_is_seen() -> None:
    text = (
        "targets: [{name: a, ollama: {model: m, numParallel: 8}}, {name: b, vllm: {model: m}, pod: {gpu: {count: 0}}}]"
    )
    assert (await look(FakeApi(run(text)))).asked == {"a": {"numParallel": 8, "gpuOffloadPercent": 100}, "b": {}}


async def test_log_that_cannot_be_read_does_not_stop_the_run() -> None:
    api, feeds, memory = FakeApi(run(), RUNNING_ENGINE, LOAD), Feeds(), Memory()
    feeds.feed(LOAD_POD).hear(lines(ENGINE)[0][0], NOW)
    api.refuse = lambda verb, kind, name: Unavailable("kubelet") if verb == "log" else None
    for _ in range(10):
        await look(api, feeds, memory)
    assert api.calls.count("log Pod e") == 5


ENDED = f"{{exitCode: 1, reason: Error, message: the last lines, finishedAt: '{CREATED}'}}"
DEAD_ENGINE = pod(
    Role.ENGINE,
    "e",
    f"{{phase: Failed, containerStatuses: [{{name: engine, state: {{terminated: {ENDED}}}}}]}}",
    nodeName="gpu-1",
)


async def test_log_of_an_engine_that_ended_with_an_error_is_read_once() -> None:
    api, memory = FakeApi(run(), DEAD_ENGINE), Memory()
    api.logs["e"] = "Traceback (most recent call last)\n  File x\nKeyError: 'root cause'\n"
    api.refuse = lambda verb, kind, name: Unavailable("kubelet") if verb == "log" else None
    assert (await look(api, memory=memory)).pods[0].errors == ()
    api.refuse = lambda verb, kind, name: None
    for _ in range(2):
        assert (await look(api, memory=memory)).pods[0].errors == ("KeyError: 'root cause'",)
    assert api.calls.count("log Pod e") == 2


NODE = {
    "kind": "Node",
    "metadata": {"name": "gpu-1", "labels": {"nvidia.com/gpu.product": "A100"}},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


async def test_nodes_of_engines_are_read_now_and_then() -> None:
    api, memory = FakeApi(run(), RUNNING_ENGINE, NODE), Memory()
    for _ in range(3):
        observed = await look(api, memory=memory)
    assert observed.nodes["gpu-1"].labels == {"nvidia.com/gpu.product": "A100"}
    assert api.calls.count("get Node gpu-1") == 1
    later = await observe(api, Feeds(), memory, KEY, NOW + timedelta(seconds=11))
    assert later is not None
    assert api.calls.count("get Node gpu-1") == 2


async def test_a_node_that_is_gone_does_not_answer() -> None:
    assert not (await look(FakeApi(run(), RUNNING_ENGINE))).nodes["gpu-1"].ready


async def test_without_the_right_to_read_nodes_it_goes_without() -> None:
    api, memory = FakeApi(run(), RUNNING_ENGINE, NODE), Memory()
    api.refuse = lambda verb, kind, name: ApiError(403, "Forbidden", "no") if kind == "Node" else None
    assert (await look(api, memory=memory)).nodes == {}
    assert (await look(api, memory=memory)).nodes == {}
    assert api.calls.count("get Node gpu-1") == 1


async def test_of_the_run_s_labels_those_of_a_queue_are_seen() -> None:
    labelled = run(labels={"kueue.x-k8s.io/queue-name": "q", "kueue.x-k8s.io/priority-class": "p", "team": "a"})
    observed = await look(FakeApi(labelled))
    assert observed.queue_labels == {"kueue.x-k8s.io/queue-name": "q", "kueue.x-k8s.io/priority-class": "p"}


def refuse_workloads(error: Exception, _: str, kind: str, __: str) -> Exception | None:
    return error if kind == "Workload" else None


async def test_why_an_engine_is_not_admitted_is_read_from_its_workload() -> None:
    gated = pod(Role.ENGINE, "e", "phase: Pending", schedulingGates=[{"name": "kueue.x-k8s.io/admission"}])
    gated["metadata"]["labels"] |= {"kueue.x-k8s.io/queue-name": "q", "kueue.x-k8s.io/managed": "true"}
    waiting = [{"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": "no quota"}]
    workload = {
        "kind": "Workload",
        "metadata": {"name": "pod-e", "labels": {"kueue.x-k8s.io/job-uid": "uid-of-e"}},
        "status": {"conditions": waiting},
    }
    api = FakeApi(run(), gated, workload)
    assert (await look(api)).pods[0].queued == "Pending: no quota"
    for error in (ApiError(403, "", "no"), ApiError(404, "", "no")):
        api.refuse = partial(refuse_workloads, error)
        assert (await look(api)).pods[0].queued == ""
