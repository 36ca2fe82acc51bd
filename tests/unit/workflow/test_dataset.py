"""The data set is read before any engine exists; a run whose data set is bad, or never read, ends without one."""

from typing import Any

import pytest
from msgspec.structs import replace

from enginebench.api import conditions as c
from enginebench.api.v1alpha1 import ResolvedDataset
from enginebench.results.messages import DatasetReport, Failure, Progress
from enginebench.workflow.decide import decide
from enginebench.workflow.observed import Heard, Role, Trouble
from enginebench.workflow.plan import Create
from tests.unit.workflow.build import at, child, created, deleted, heard, load, observed, reasons, spec, step

CONFIG_MAP = spec().workload.model_dump(by_alias=True, exclude_none=True) | {
    "dataset": {"configMap": {"name": "prompts", "key": "p.jsonl"}}
}
CLAIM = CONFIG_MAP | {"dataset": {"persistentVolumeClaim": {"claimName": "prompts", "path": "a/p.jsonl"}}}
URL = CONFIG_MAP | {"dataset": {"url": {"url": "https://files.example.com/p.jsonl?key=hush", "sha256": "0" * 64}}}


@pytest.mark.parametrize("workload", [CONFIG_MAP, CLAIM, URL])
def test_a_data_set_is_checked_before_any_engine_exists(workload: dict[str, Any]) -> None:
    seen, plan = step(observed(spec=spec(workload=workload)), 0)
    assert created(plan) == [("LOAD_PLAN", ""), ("LOAD", "")]
    report = DatasetReport(rows=7, digest="sha256:7", skipped=2)
    good = replace(seen, heard={load("").uid: heard(verified=False, dataset=report)})
    seen, plan = step(good, 3)
    assert {a.dataset_digest for a in plan.actions if isinstance(a, Create)} == {"sha256:7"}
    assert ("LOAD", "") in deleted(plan)
    assert seen.status.resolved is not None
    assert seen.status.resolved.dataset == ResolvedDataset(rows=7, digest="sha256:7", skipped=2)


@pytest.mark.parametrize(
    ("said", "want_reason", "want_words"),
    [
        (
            {"dataset": DatasetReport(rows=0, digest="", errors=("line 3: not JSON",))},
            "DatasetInvalid",
            "line 3: not JSON",
        ),
        ({"failure": Failure(reason="DatasetInvalid", message="empty")}, "DatasetInvalid", "empty"),
        ({"failure": Failure(reason="DatasetDigestMismatch", message="abc")}, "DatasetDigestMismatch", "abc"),
    ],
)
def test_a_bad_data_set_ends_the_run_and_no_gpu_was_taken(said: Any, want_reason: str, want_words: str) -> None:
    seen, _ = step(observed(spec=spec(workload=CONFIG_MAP)), 0)
    seen, plan = step(replace(seen, heard={load("").uid: heard(verified=False, **said)}), 3)
    assert reasons(seen.status)[c.STALLED] == ("True", want_reason)
    assert want_words in (seen.status.message or "")
    assert created(plan) == []
    assert [t.phase for t in seen.status.targets or ()] == ["Skipped", "Skipped"]


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (CONFIG_MAP, "ConfigMap prompts, key p.jsonl"),
        (CLAIM, "PersistentVolumeClaim prompts, path a/p.jsonl"),
        (URL, "https://files.example.com/p.jsonl"),
    ],
)
def test_the_file_is_named_and_no_key_with_it(workload: dict[str, Any], words: str) -> None:
    seen, _ = step(observed(spec=spec(workload=workload)), 0)
    report = DatasetReport(rows=0, digest="", errors=("line 3: not JSON",))
    seen, _ = step(replace(seen, heard={load("").uid: heard(verified=False, dataset=report)}), 3)
    assert f"The data set ({words}) is refused: line 3" in (seen.status.message or "")


def test_how_far_a_download_is_stands_in_the_message() -> None:
    seen, _ = step(observed(spec=spec(workload=URL)), 0)
    assert seen.status.message == "reading and checking the data set"
    progress = Progress(stage="Waiting", message="downloading the data set: 8 of 300 MiB")
    seen, _ = step(replace(seen, heard={load("").uid: heard(verified=False, progress=progress)}), 3)
    assert seen.status.message == "downloading the data set: 8 of 300 MiB"


def test_a_claim_that_is_not_there_is_a_data_set_that_is_not_there() -> None:
    seen, _ = step(observed(spec=spec(workload=CLAIM)), 0)
    said = '0/2 nodes are available: persistentvolumeclaim "prompts" not found.'
    pod = replace(load(""), scheduled_at=None, started_at=None, unschedulable=said)
    seen = replace(seen, pods=(pod,))
    plan = decide(seen, at(119))
    assert plan.status is None or reasons(plan.status)[c.FINISHED][0] == "False"
    plan = decide(seen, at(125))
    assert plan.status is not None
    assert reasons(plan.status)[c.STALLED] == ("True", "DatasetNotFound")
    for words in ("PersistentVolumeClaim prompts, path a/p.jsonl is not there", said):
        assert words in (plan.status.message or "")


def test_a_volume_that_is_attached_elsewhere_is_told_in_the_words_of_the_cluster() -> None:
    seen, _ = step(observed(spec=spec(workload=CLAIM)), 0)
    said = 'Multi-Attach error for volume "pvc-1": Volume is already used by pod(s) writer'
    held = Trouble(reason="FailedAttachVolume", message=said, first=at(3), last=at(100))
    seen = replace(seen, pods=(replace(load(""), started_at=None, phase="Pending", troubles=(held,)),))
    plan = decide(seen, at(122))
    assert plan.status is None or reasons(plan.status)[c.FINISHED][0] == "False"
    plan = decide(seen, at(123))
    assert plan.status is not None
    assert reasons(plan.status)[c.STALLED] == ("True", "VolumeNotAttachable")
    assert said in (plan.status.message or "")


@pytest.mark.parametrize(("workload", "seconds"), [(CONFIG_MAP, 180), (CLAIM, 600), (URL, 1200)])
def test_a_larger_file_may_take_longer(workload: dict[str, Any], seconds: int) -> None:
    seen, _ = step(observed(spec=spec(workload=workload)), 0)
    seen = replace(seen, heard={load("").uid: Heard(since=at(2))})
    plan = decide(seen, at(1 + seconds))
    assert plan.status is None or reasons(plan.status)[c.FINISHED][0] == "False"
    plan = decide(seen, at(2 + seconds))
    assert plan.status is not None
    assert reasons(plan.status)[c.STALLED] == ("True", "PrepareFailed")


@pytest.mark.parametrize(
    ("changes", "last", "first", "want_reason", "want_words"),
    [
        ({"created_errors": {("", 1, "l"): "exceeded quota: jobs"}, "pods": ()}, 59, 60, "CreationRefused", "jobs"),
        (
            {"pods": (), "children": (child(Role.LOAD, "", trouble="no room for pods"),)},
            119,
            120,
            "LoadPodNotCreated",
            "no room for pods",
        ),
        ({"heard": {load("").uid: Heard(since=at(2))}}, 181, 182, "PrepareFailed", "has not told of the data set"),
        ({"heard": {load("").uid: Heard(deaf_since=at(9))}}, 188, 189, "PrepareFailed", "has not told of the data set"),
    ],
)
def test_a_data_set_that_is_never_read_ends_the_run(
    changes: dict[str, Any], last: float, first: float, want_reason: str, want_words: str
) -> None:
    seen, _ = step(observed(spec=spec(workload=CONFIG_MAP)), 0)
    seen = replace(seen, **changes)
    plan = decide(seen, at(last))
    assert plan.status is None or reasons(plan.status)[c.FINISHED][0] == "False"
    plan = decide(seen, at(first))
    assert plan.status is not None
    assert reasons(plan.status)[c.STALLED] == ("True", want_reason)
    assert want_words in (plan.status.message or "")
