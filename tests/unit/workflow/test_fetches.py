"""Models come onto their claims before any engine asks for a GPU."""

from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

from enginebench.api.v1alpha1 import EngineStatus
from enginebench.results.messages import Failure, ModelReport, Progress
from enginebench.workflow.observed import Heard, Observed, Role, Trouble, Waiting
from enginebench.workflow.plan import Create, Plan
from tests.unit.workflow.build import (
    at,
    created,
    deleted,
    engine,
    heard,
    load,
    observed,
    received,
    spec,
    step,
    terminated,
)

CACHE = {"modelCache": {"persistentVolumeClaim": {"claimName": "models"}}}
TARGETS = [
    {"name": "v", "vllm": {"model": "org/tiny"}, "pod": CACHE},
    {"name": "o", "ollama": {"model": "tiny"}, "pod": CACHE},
    {"name": "w", "vllm": {"model": "org/tiny", "tokenSecretRef": {"name": "hf", "key": "token"}}, "pod": CACHE},
    {"name": "c", "ollama": {"model": "tiny"}},
    {"name": "s-sim", "simulated": {"api": "Ollama", "model": "m"}},
]
FETCH = [("FETCH_PLAN", "v"), ("FETCH", "v")]
THERE = Heard(model=ModelReport(seconds=60.0, bytes=16_000, message="it is there"), ended=True, since=at(2))
ENGINE = ["SERVICE", "LOAD_PLAN", "ENGINE", "LOAD"]


def begun(**changes: Any) -> Observed:
    """The first fetch runs."""
    return step(observed(spec=spec(targets=TARGETS) if "spec" not in changes else changes["spec"]), 0)[0]


def with_pod(seen: Observed, **changes: Any) -> Observed:
    return replace(seen, pods=tuple(replace(p, **changes) if p.role is Role.FETCH else p for p in seen.pods))


def saying(seen: Observed, heard: Heard) -> Observed:
    return replace(seen, heard={p.uid: heard for p in seen.pods if p.role is Role.FETCH})


def fetched(plan: Plan, place: int = 0) -> Any:
    assert plan.status is not None
    assert plan.status.targets is not None
    return plan.status.targets[place].model_fetch


def test_every_model_comes_before_the_first_engine_and_each_once() -> None:
    seen, plan = step(observed(spec=spec(targets=TARGETS)), 0)
    assert created(plan) == FETCH
    assert plan.status is not None
    assert (plan.status.phase, (plan.status.targets or [])[0].phase) == ("Running", "DownloadingModel")
    seen, plan = step(saying(seen, THERE), 70)
    assert (created(plan), deleted(plan)) == ([], set(FETCH))  # the pod is not gone yet
    assert (fetched(plan).reason, fetched(plan).seconds, fetched(plan).bytes) == ("Completed", 60.0, 16_000)
    assert [event.reason for event in plan.events] == ["ModelFetched"]
    seen, plan = step(seen, 72)
    assert created(plan) == [("FETCH_PLAN", "o"), ("FETCH", "o")]
    seen, plan = step(saying(seen, THERE), 80)
    seen, plan = step(seen, 82)
    assert created(plan) == [(role, "v") for role in ENGINE]
    assert plan.status is not None
    assert [t.model_fetch is not None for t in plan.status.targets or ()] == [True, True, False, False, False]
    assert (plan.status.targets or [])[0].timings is not None


def revision(plan: Plan) -> str:
    """That the engine is to take."""
    (found,) = (a.revision for a in plan.actions if isinstance(a, Create) and a.role is Role.ENGINE)
    return found


@pytest.mark.parametrize(("digest", "pinned"), [(f"commit:{'e' * 40}", "e" * 40), (f"sha256:{'f' * 64}", ""), ("", "")])
def test_engines_take_the_commit_that_was_fetched_and_the_status_names_what_they_took(digest: str, pinned: str) -> None:
    seen = begun(spec=spec(targets=[TARGETS[0], TARGETS[2]]))  # the same model, and so one fetch
    seen, _ = step(saying(seen, structs.replace(THERE, model=ModelReport(digest=digest))), 5)
    for place, target in enumerate(("v", "w")):
        seen, plan = step(seen, 10 + 20 * place)
        assert revision(plan) == pinned
        said = {load(target).uid: heard(received(0), received(1), ended=True, exhausted=True)}
        seen = replace(seen, heard=said, engine_facts={engine(target).uid: {}})
        seen, plan = step(seen, 20 + 20 * place)
        assert plan.status is not None
        told = (plan.status.targets or [])[place]
        assert (told.engine or EngineStatus()).model_digest == (digest or None)
        assert told.phase == "Succeeded"


def test_no_engine_comes_while_a_fetch_pod_may_hold_the_volume() -> None:
    seen = begun(spec=spec(targets=TARGETS[:1]))
    pods = seen.pods
    seen, _ = step(saying(seen, THERE), 70)
    stays = replace(seen, pods=tuple(replace(pod, deleting=at(70)) for pod in pods))
    assert created(step(stays, 75)[1]) == []
    assert created(step(replace(stays, pods=tuple(replace(p, phase="Succeeded") for p in stays.pods)), 75)[1]) == []
    assert created(step(stays, 191)[1]) != []  # its node does not answer: nobody knows more
    assert created(step(seen, 75)[1]) != []


def test_how_far_it_is_is_told_in_steps() -> None:
    seen = begun()
    said = Progress(
        stage="DownloadingModel", message="downloading org/tiny", bytes_done=3_300_000_000, bytes_total=16_000_000_000,
        bytes_per_second=100_000_000, remaining_seconds=127,
    )  # fmt: skip
    seen, plan = step(saying(seen, Heard(progress=said, since=at(2), heard_at=at(30))), 30)
    assert plan.status is not None
    first = (plan.status.targets or [])[0]
    assert first.message == "downloading org/tiny"
    assert first.download is not None
    assert first.download.document() == {
        "bytesDone": 3_200_000_000, "bytesTotal": 16_000_000_000, "bytesPerSecond": 100_000_000, "remainingSeconds": 127,
    }  # fmt: skip
    assert plan.status.message == "v: downloading org/tiny"
    further = structs.replace(
        THERE, model=None, ended=False, progress=replace_bytes(said, 3_301_000_000), heard_at=at(31)
    )
    assert step(saying(seen, further), 31)[1].status is None  # the status is not written for each word


def replace_bytes(said: Progress, done: int) -> Progress:
    return Progress(
        **{f: getattr(said, f) for f in said.__struct_fields__} | {"bytes_done": done, "remaining_seconds": 126}
    )


@pytest.mark.parametrize(
    ("pod", "heard", "seconds", "reason"),
    [
        ({}, Heard(failure=Failure(reason="ModelAccessDenied", message="no")), 5, "ModelAccessDenied"),
        ({}, Heard(ended=True), 5, "ModelFetchFailed"),
        (terminated(137, reason="OOMKilled"), Heard(exhausted=True), 20, "ModelFetchFailed"),
        (terminated(137, reason="OOMKilled"), Heard(), 20, None),
        ({}, Heard(since=at(2), heard_at=at(3)), 182, None),
        ({}, Heard(since=at(2), heard_at=at(3)), 183, "ModelFetchFailed"),
        ({}, Heard(since=at(2), heard_at=at(7380)), 7381, None),
        ({}, Heard(since=at(2), heard_at=at(7380)), 7382, "ModelPullTimeout"),
        ({"started_at": None, "scheduled_at": None, "unschedulable": "0/2"}, Heard(), 3600, "Unschedulable"),
        ({"started_at": None, "waiting": Waiting("ErrImageNeverPull", "")}, Heard(), 5, "ImagePullFailed"),
        ({"started_at": None, "troubles": (Trouble("FailedMount", "Multi-Attach error", at(2), at(3)),)}, Heard(), 123, "VolumeNotAttachable"),
    ],
)  # fmt: skip
def test_one_that_fails_fails_its_target_and_no_other(
    pod: Any, heard: Heard, seconds: float, reason: str | None
) -> None:
    seen = saying(with_pod(begun(), **pod), heard)
    after, plan = step(seen, seconds)
    if reason is None:
        assert plan.status is None or fetched(plan).end_time is None
        return
    assert fetched(plan).reason == reason
    assert plan.status is not None
    assert (plan.status.targets or [])[0].phase == "Failed"
    assert (plan.status.targets or [])[0].message == f"{reason}: {fetched(plan).message}"
    assert deleted(plan) == set(FETCH)
    assert created(step(after, seconds + 2)[1]) == [("FETCH_PLAN", "o"), ("FETCH", "o")]


@pytest.mark.parametrize(
    ("pod", "reason"),
    [({"deleting": at(9)}, "FetchPodDeleted"), ({"disrupted": "EvictionByEvictionAPI"}, "FetchPodEvicted")],
)
def test_one_that_is_taken_away_begins_again_but_not_for_ever(pod: Any, reason: str) -> None:
    seen, now = begun(), 10
    for number in range(1, 5):
        seen, plan = step(with_pod(seen, **pod), now)
        assert (fetched(plan).reason, fetched(plan).number, fetched(plan).disruptions) == (reason, number, number)
        seen, plan = step(seen, now + 2)
        assert [(a.attempt, a.role.name) for a in plan.actions if isinstance(a, Create)][-1] == (number + 1, "FETCH")
        now += 10
    _, plan = step(with_pod(seen, **pod), now)
    assert fetched(plan).reason == "TooManyDisruptions"


def test_suspended_it_is_cut_off_and_begins_again() -> None:
    seen = begun()
    assert seen.spec is not None
    seen, plan = step(replace(seen, spec=seen.spec.model_copy(update={"suspend": True})), 10)
    assert (fetched(plan).reason, deleted(plan)) == ("Suspended", set(FETCH))
    assert created(step(seen, 20)[1]) == []
    assert seen.spec is not None
    seen, plan = step(replace(seen, spec=seen.spec.model_copy(update={"suspend": False})), 30)
    assert (fetched(plan).number, created(plan)) == (2, FETCH)


def test_cancelled_nothing_of_it_stays() -> None:
    seen = begun()
    assert seen.spec is not None
    seen, plan = step(replace(seen, spec=seen.spec.model_copy(update={"cancel": True})), 10)
    assert plan.status is not None
    assert (plan.status.phase, deleted(plan)) == ("Cancelled", set(FETCH))


def test_what_is_refused_or_never_gets_a_pod_is_told() -> None:
    seen = begun()
    refused = replace(seen, pods=(), children=(), created_errors={("v", 1, "f"): "exceeded quota"})
    assert fetched(step(refused, 60)[1]).reason == "CreationRefused"
    assert "exceeded quota" in fetched(step(refused, 60)[1]).message
    job = tuple(replace(c, trouble="no room for pods") for c in seen.children)
    assert fetched(step(replace(seen, pods=(), children=job), 120)[1]).reason == "LoadPodNotCreated"
    gone = tuple(replace(c, failed="BackoffLimitExceeded: x") for c in seen.children)
    again = fetched(step(replace(seen, pods=(), children=gone), 20)[1])  # nothing holds its volume: at once
    assert (again.number, again.disruptions) == (2, 1)
    name = next(c.name for c in seen.children if c.role is Role.FETCH)
    assert fetched(step(replace(seen, name_conflicts=(f"Job/{name}",)), 20)[1]).reason == "NameConflict"


def test_while_it_waits_for_admission_no_clock_ticks() -> None:
    seen = with_pod(begun(), gates=("kueue",), started_at=None, scheduled_at=None, unschedulable="")
    _, plan = step(seen, 4000)
    assert plan.status is not None
    assert plan.status.active is not None
    assert plan.status.active.since is None
    assert (plan.status.targets or [])[0].phase == "Queued"
