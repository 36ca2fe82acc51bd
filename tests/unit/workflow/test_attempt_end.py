"""Has the open attempt come to its end, and why: every rule, and which goes before which."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from enginebench.results.messages import Failure, Progress
from enginebench.results.point_report import RequestCounts
from enginebench.workflow.observed import Heard, PodView, Role, Trouble, Waiting
from enginebench.workflow.rules.attempt_end import end_of_attempt
from tests.unit.workflow.build import at, child, engine, heard, load, moment, received, row, target, terminated

MEASURED = (row(0), row(1))
BOTH = heard(received(0), received(1, ended=12), ended=True)
FAILED = RequestCounts(errored=5)
DEAD_LAST = heard(received(0, ended=8), received(1, ended=12, requests=FAILED), ended=True, now=12)
UNHEARD = heard(verified=False)
DOWNLOADING = heard(verified=False, progress=Progress(stage="DownloadingModel", message="1 of 9 GiB"))
WRONG = heard(verified=False, failure=Failure(reason="WrongModel", message="serves other"), ended=True)
REFUSED = heard(verified=False, failure=Failure(reason="VerificationFailed", message="no"), milestone_at=None)
TOLD_TO_STOP = heard(failure=Failure(reason="Interrupted", message="SIGTERM"), ended=True)
TALKING = heard(heard_at=at(985), milestone_at=at(10))
MOVING = structs.replace(TALKING, heard_at=at(9999), moved_at=at(900))
DRAINING = structs.replace(MOVING, progress=Progress(stage="Draining"))
GATED = load(gates=("kueue.x-k8s.io/admission",), phase="Pending", scheduled_at=None, started_at=None, node="")
GONE = {"load": None, "load_job": None}


def evicted(message: str) -> PodView:
    """By the kubelet, which says why. Where the pod itself wrote too much, it is not told to be disrupted."""
    disrupted = "TerminationByKubelet" if message.startswith("The node") else ""
    return engine(disrupted=disrupted, reason="Evicted", message=message, **terminated(137))


@pytest.mark.parametrize(
    ("changes", "now", "want"),
    [
        ({}, 20, None),
        ({"rows": MEASURED, "heard": BOTH}, 20, "Completed"),
        ({"rows": MEASURED, "heard": heard(received(0), received(1))}, 20, None),
        ({"rows": MEASURED, "heard": Heard(), **GONE}, 20, "Completed"),
        ({"rows": (row(0),), "heard": heard(received(0), ended=True)}, 20, "ResultsMissing"),
        ({"rows": (row(0, "Superseded", attempt=1),), "heard": heard(ended=True)}, 20, "EngineChanged"),
        # the engine dies
        ({"engine": engine(**terminated(1, "boom")), "heard": heard()}, 20, "EngineExited"),
        ({"engine": engine(**terminated(1, ended=20)), "rows": MEASURED, "heard": BOTH}, 21, "Completed"),
        ({"engine": engine(**terminated(1, ended=11)), "rows": MEASURED, "heard": BOTH}, 21, "EngineExited"),
        ({"rows": MEASURED, "heard": DEAD_LAST}, 16, None),
        ({"rows": MEASURED, "heard": DEAD_LAST}, 17, "Completed"),
        ({"heard": WRONG}, 14, None),
        ({"heard": WRONG}, 15, "WrongModel"),
        ({"heard": WRONG, "engine": engine(**terminated(137))}, 15, "OutOfMemory"),
        # the engine is taken away
        ({"engine": None}, 20, "EngineDeleted"),
        ({"engine": None, "taken": "Preempted to accommodate a workload"}, 20, "EngineEvicted"),
        ({"engine": engine(deleting=at(15))}, 20, "EngineDeleted"),
        ({"engine": engine(disrupted="EvictionByEvictionAPI")}, 20, "EngineEvicted"),
        ({"engine": engine(disrupted="DeletionByTaintManager", **terminated(137))}, 20, "EngineEvicted"),
        ({"engine": evicted("The node was low on resource: ephemeral-storage. ")}, 20, "EngineEvicted"),
        ({"engine": evicted('Usage of EmptyDir volume "models" exceeds the limit "20Gi". ')}, 20, "ModelCacheFull"),
        (
            {"engine": evicted("Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ")},
            20,
            "ModelCacheFull",
        ),
        (
            {"engine": evicted('Container engine exceeded its local ephemeral storage limit "1Gi". ')},
            20,
            "ModelCacheFull",
        ),
        # the engine does not come up
        ({"heard": UNHEARD}, 1801, None),
        ({"heard": UNHEARD}, 1802, "StartupTimeout"),
        ({"heard": DOWNLOADING}, 1802, "StartupTimeout"),
        ({"heard": structs.replace(REFUSED, heard_at=at(1801))}, 1803, None),
        ({"heard": structs.replace(REFUSED, heard_at=at(1801))}, 1806, "VerificationFailed"),
        ({"heard": Heard(), **GONE, "rows": (row(0),)}, 1802, "LoadPodDeleted"),
        # the load pod
        ({"load": load(deleting=at(15))}, 20, "LoadPodDeleted"),
        ({"load": load(disrupted="PreemptionByScheduler")}, 20, "LoadPodEvicted"),
        (
            {"load": None, "load_job": child(Role.LOAD, failed="BackoffLimitExceeded: x"), "heard": Heard()},
            20,
            "LoadPodDeleted",
        ),
        ({"load": None, "heard": Heard()}, 119, None),
        (
            {"load": None, "load_job": child(Role.LOAD, trouble="exceeded quota"), "heard": Heard()},
            120,
            "LoadPodNotCreated",
        ),
        ({"load": load(**terminated(1))}, 20, None),
        ({"load": load(**terminated(1)), "heard": heard(exhausted=True)}, 20, "LoadPodDied"),
        ({"load": load(**terminated(0)), "heard": heard(exhausted=True)}, 20, "ResultsMissing"),
        ({"heard": TOLD_TO_STOP}, 14, None),
        ({"heard": TOLD_TO_STOP}, 15, "LoadPodDied"),
        ({"heard": TOLD_TO_STOP, "load": load(deleting=at(15))}, 15, "LoadPodDeleted"),
        ({"heard": heard(now=10)}, 189, None),
        ({"heard": heard(now=10)}, 190, "LoadPodSilent"),
        ({"heard": TALKING, "longest_point": 800}, 989, None),
        ({"heard": TALKING, "longest_point": 800}, 990, "PointTimeout"),
        ({"heard": MOVING, "longest_step": 200}, 1279, None),
        ({"heard": MOVING, "longest_step": 200}, 1280, "PointTimeout"),
        ({"heard": DRAINING, "longest_step": 200}, 1280 + 2 * 890 - 1, None),
        ({"heard": DRAINING, "longest_step": 200}, 1280 + 2 * 890, "PointTimeout"),
        ({"heard": structs.replace(MOVING, moved_at=None), "longest_step": 200}, 390, "PointTimeout"),
        ({"heard": MOVING, "rows": MEASURED}, 1280, None),
        ({"load": GATED, "heard": Heard()}, 3601, None),
        ({"load": GATED, "heard": Heard()}, 3602, "Unschedulable"),
        ({"rows": MEASURED, "heard": heard(received(0), received(1), now=12)}, 192, "Completed"),
        # nothing follows from what may only not have been heard yet: the operator is new, or a connection broke
        ({"heard": Heard()}, 5000, None),
        ({"heard": heard(verified=False, since=at(1799))}, 1801, None),
        ({"heard": heard(verified=False, since=at(1799))}, 1802, "StartupTimeout"),
        ({"heard": heard(verified=False, since=None, deaf_since=at(4000))}, 4299, None),
        ({"heard": heard(verified=False, since=None, deaf_since=at(4000))}, 4300, "StartupTimeout"),
        ({"heard": heard(now=10, since=at(400))}, 402, None),
        ({"engine": engine(**terminated(1, "boom")), "heard": Heard()}, 20, None),
    ],
)
def test_end_of_attempt(changes: dict[str, Any], now: float, want: str | None) -> None:
    problem = end_of_attempt(target(**changes), moment(now))
    assert (problem.reason if problem else None) == want


SECOND = load(index=1)
LOST = heard(failure=Failure(reason="LoadPodLost", message="load pod 1 is lost"), ended=True)


@pytest.mark.parametrize(
    ("changes", "now", "want"),
    [
        ({}, 20, None),
        ({"followers": (load(index=1, disrupted="PreemptionByScheduler"),)}, 20, "LoadPodEvicted"),
        ({"followers": (load(index=1, deleting=at(15)),)}, 20, "LoadPodDeleted"),
        # the leader says what became of the others, and they are let go once it has ended
        ({"followers": (load(index=1, **terminated(137)),)}, 13, None),
        ({"followers": (load(index=1, **terminated(137)),), "heard": LOST}, 20, "LoadPodLost"),
        ({"followers": (load(index=1, **terminated(0)),)}, 20, None),
        ({"followers": (load(index=1, **terminated(0)),), "rows": MEASURED, "heard": BOTH}, 20, "Completed"),
        ({"followers": (load(index=1, **terminated(1, ended=17)),), "rows": MEASURED, "heard": BOTH}, 20, "Completed"),
        # unless they died before they were led, or it says nothing of it; their Job takes it away with them
        ({"followers": (load(index=1, **terminated(1)),), "heard": UNHEARD}, 13, None),
        ({"followers": (load(index=1, **terminated(1)),), "heard": UNHEARD}, 14, "LoadPodDied"),
        ({"followers": (load(index=1, **terminated(0)),), "heard": UNHEARD}, 14, "ResultsMissing"),
        ({"followers": (load(index=1, **terminated(137)),)}, 14, "LoadPodDied"),
        (
            {"followers": (load(index=1, **terminated(137)),), "heard": TOLD_TO_STOP, "load": load(deleting=at(10))},
            13,
            None,
        ),
        (
            {"followers": (load(index=1, **terminated(137)),), "heard": TOLD_TO_STOP, "load": load(deleting=at(10))},
            15,
            "LoadPodDied",
        ),
        # one that is not there, or does not start
        ({"followers": (), "heard": UNHEARD}, 119, None),
        ({"followers": (), "heard": UNHEARD}, 120, "LoadPodNotCreated"),
        ({"followers": ()}, 120, None),
        ({"load": None, "heard": Heard()}, 120, "LoadPodNotCreated"),
        (
            {"followers": (load(index=1, phase="Pending", scheduled_at=None, started_at=None),), "heard": UNHEARD},
            3600,
            "Unschedulable",
        ),
        ({"followers": (load(index=1, started_at=at(1000)),), "heard": UNHEARD}, 2799, None),
        ({"followers": (load(index=1, started_at=at(1000)),), "heard": UNHEARD}, 2800, "StartupTimeout"),
    ],
)
def test_end_of_an_attempt_with_two_load_pods(changes: dict[str, Any], now: float, want: str | None) -> None:
    changes = {"load_pods": 2, "followers": (SECOND,), **changes}
    if "heard" not in changes:
        changes["heard"] = heard(now=now)
    problem = end_of_attempt(target(**changes), moment(now))
    assert (problem.reason if problem else None) == want


def test_a_download_has_a_time_of_its_own_where_the_load_pod_pulls() -> None:
    ollama = target(heard=DOWNLOADING).spec.model_validate({"name": "o", "ollama": {"model": "m"}})
    assert end_of_attempt(target(spec=ollama, heard=DOWNLOADING), moment(1802)) is None
    problem = end_of_attempt(target(spec=ollama, heard=DOWNLOADING), moment(1802 + 7200))
    assert problem is not None
    assert "1 of 9 GiB" in problem.message


def test_an_endpoint_is_never_missed() -> None:
    endpoint = target().spec.model_validate({"name": "e", "endpoint": {"url": "http://x:1", "model": "m"}})
    assert end_of_attempt(target(spec=endpoint, engine=None), moment(20)) is None


SECURED = {
    "name": "e",
    "endpoint": {
        "url": "https://x",
        "model": "m",
        "tokenSecretRef": {"name": "llm-key", "key": "token"},
        "tls": {"caConfigMapRef": {"name": "llm-ca", "key": "ca.crt"}},
    },
}
PENDING: dict[str, Any] = {"phase": "Pending", "started_at": None}


def not_mounted(volume: str, why: str) -> dict[str, Any]:
    said = f'MountVolume.SetUp failed for volume "{volume}" : {why}'
    return PENDING | {"troubles": (Trouble("FailedMount", said, at(5), at(60)),)}


@pytest.mark.parametrize(
    ("pod", "reason", "words"),
    [
        (
            PENDING | {"waiting": Waiting("CreateContainerConfigError", 'secret "llm-key" not found')},
            "ContainerConfigError",
            'secret "llm-key" not found',
        ),
        (not_mounted("endpoint-ca", 'configmap "llm-ca" not found'), "CANotFound", "ConfigMap llm-ca with key ca.crt"),
        (
            not_mounted("endpoint-ca", "configmap references non-existent config key: ca.crt"),
            "CANotFound",
            "endpoint.tls.caConfigMapRef: ConfigMap llm-ca with key ca.crt is not there",
        ),
        (not_mounted("dataset", 'configmap "prompts" not found'), "VolumeNotFound", '"prompts" not found'),
    ],
)
def test_what_an_endpoint_refers_to_is_named(pod: dict[str, Any], reason: str, words: str) -> None:
    secured = target().spec.model_validate(SECURED)
    waiting = target(spec=secured, engine=None, heard=Heard(), load=load(**pod))
    assert end_of_attempt(waiting, moment(20)) is None
    problem = end_of_attempt(waiting, moment(60))
    assert problem is not None
    assert problem.reason == reason
    assert words in problem.message
    assert "in the run's namespace" in problem.message


def test_a_load_pod_that_never_verifies_an_endpoint_is_given_up() -> None:
    endpoint = target().spec.model_validate({"name": "e", "endpoint": {"url": "http://x:1", "model": "m"}})
    waiting = target(spec=endpoint, engine=None, heard=UNHEARD)
    assert end_of_attempt(waiting, moment(1800 + 61)) is None
    problem = end_of_attempt(waiting, moment(1800 + 62))
    assert problem is not None
    assert problem.reason == "StartupTimeout"


@pytest.mark.parametrize(
    ("read_at", "late"),
    [
        (None, 2402),  # never: the engine is waited for from when it should have been
        (30, 1830),
        (4000, 2402),  # heard of after a restart of the operator
    ],
)
def test_an_engine_is_not_waited_for_while_the_load_pod_still_reads_its_data_set(
    read_at: float | None, late: float
) -> None:
    heard_so_far = structs.replace(UNHEARD, dataset_at=None if read_at is None else at(read_at))
    waits = replace(target().timeouts, dataset_seconds=600)
    endpoint = target().spec.model_validate({"name": "e", "endpoint": {"url": "http://x:1", "model": "m"}})
    for changes, last in (({}, late), ({"spec": endpoint, "engine": None}, late + 60)):
        view = target(heard=heard_so_far, timeouts=waits, **changes)
        assert end_of_attempt(view, moment(last - 1)) is None
        problem = end_of_attempt(view, moment(last))
        assert problem is not None
        assert problem.reason == "StartupTimeout"
