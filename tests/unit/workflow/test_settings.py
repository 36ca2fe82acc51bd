"""Asked and in force: what is a difference, and what follows from one."""

import json
from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

from enginebench.api import conditions as c
from enginebench.api.v1alpha1 import Attempt, BenchmarkRunStatus, EngineStatus, ModelFetch, TargetStatus
from enginebench.results.messages import EngineReport
from enginebench.results.point_report import Censored, Figure, RequestCounts
from enginebench.workflow.observed import NodeView, Observed
from enginebench.workflow.readback import ARGUMENTS_CHARACTERS, ARGUMENTS_OF_ALL
from enginebench.workflow.settings import compared
from enginebench.workflow.terms import terms
from tests.unit.workflow.build import at, engine, heard, load, observed, received, spec, step

ASKED = {"numParallel": 8, "contextLength": 4096}
OLLAMA: dict[str, Any] = {"flashAttention": False, "kvCacheType": "f16", "arguments": "--ctx-size 4096 --parallel 1"}


@pytest.mark.parametrize(
    ("asked", "effective", "words", "unknown"),
    [
        ({}, {"numParallel": 2, "gpuOffloadPercent": 0}, "", ()),
        ({"numParallel": 8}, {"numParallel": 8}, "", ()),
        ({"numParallel": 8}, {"numParallel": 1}, "numParallel: 8 asked for, 1 in force", ()),
        ({"numParallel": 8}, {}, "", ("numParallel",)),
        ({"numParallel": 8}, {"requestsAtOnce": 8, "requestsProbed": 9}, "", ()),
        (
            {"numParallel": 8},
            {"requestsAtOnce": 1, "requestsProbed": 9},
            "numParallel: 8 asked for, 1 (of 9 requests sent at once) in force",
            (),
        ),
        (
            {"numParallel": 8},
            {"numParallel": 8, "requestsAtOnce": 2, "requestsProbed": 9},
            "",
            ("numParallel: its log says 8, the probe 2 (of 9 requests sent at once)",),
        ),
        (
            {"numParallel": 8},
            {"requestsAtOnce": 9, "requestsProbed": 9},
            "numParallel: 8 asked for, 9 or more in force",
            (),
        ),
        ({"numParallel": 500}, {"requestsAtOnce": 257, "requestsProbed": 257}, "", ()),
        (
            {"contextLength": 4096, "gpuOffloadPercent": 100},
            {"contextLength": 2048, "gpuOffloadPercent": 99},
            "contextLength: 4096 asked for, 2048 in force, gpuOffloadPercent: 100 asked for, 99 in force",
            (),
        ),
        ({"flashAttention": True}, {"flashAttention": False}, "flashAttention: true asked for, false in force", ()),
        ({"flashAttention": False}, {"flashAttention": False}, "", ()),
        ({"kvCacheType": "q8_0"}, {"kvCacheType": "f16"}, "kvCacheType: q8_0 asked for, f16 in force", ()),
    ],
)
def test_differences(asked: dict[str, Any], effective: dict[str, Any], words: str, unknown: tuple[str, ...]) -> None:
    found = compared(asked, effective)
    assert (found.words, found.unknown) == (words, unknown)


def serving(effective: dict[str, Any], facts: dict[str, Any] | None, *, points: int = 1, attempt: int = 1) -> Observed:
    """The first target's attempt with an engine that has answered, and `points` load points."""
    seen, _ = step(observed(asked={"a-sim": ASKED}), 0)
    said = heard(*(received(i) for i in range(points)), ended=points > 1)
    assert said.engine is not None
    said = structs.replace(said, engine=EngineReport(served_model="m", effective=effective, at=at(3).timestamp()))
    pod, mine = engine(attempt=attempt), load(attempt=attempt)
    known = {} if facts is None else {pod.uid: facts}
    return replace(seen, pods=(pod, mine), heard={mine.uid: said}, engine_facts=known)


def in_force(seen: Observed) -> tuple[str, str, str]:
    target = (seen.status.targets or [])[0]
    found = c.get_condition(target.conditions, c.SETTINGS_IN_FORCE)
    assert found is not None
    return found.status, found.reason, found.message


def rows(seen: Observed) -> list[tuple[int, str, list[str]]]:
    return [(row.index, row.validity, row.reasons or []) for row in seen.status.points or ()]


def test_as_asked() -> None:
    seen, _ = step(serving({}, {**OLLAMA, **ASKED}), 10)
    assert in_force(seen) == ("True", "AsAsked", "Every setting that was asked for is in force.")
    assert rows(seen) == [(0, "Valid", [])]


def test_a_difference_is_a_condition_an_event_and_the_end_of_every_point_s_worth() -> None:
    seen, plan = step(serving({}, {**OLLAMA, "numParallel": 1, "contextLength": 4096}, points=2), 10)
    status, reason, message = in_force(seen)
    assert (status, reason) == ("False", "SettingsNotInForce")
    assert message.startswith("numParallel: 8 asked for, 1 in force. numParallel: an engine may give some families")
    assert [e.message for e in plan.events if e.reason == "SettingsNotInForce"] == [f"a-sim: {message}"]
    assert rows(seen) == [(0, "Invalid", ["SettingsNotInForce"]), (1, "Invalid", ["SettingsNotInForce"])]
    assert (seen.status.points or [])[0].message == "numParallel: 8 asked for, 1 in force"
    target = (seen.status.targets or [])[0]
    assert target.phase == "Failed"
    assert (target.attempts or [])[-1].reason == "SettingsNotInForce"
    assert "numParallel: 8 asked for, 1 in force" in (target.message or "")
    assert target.peak is None
    _, again = step(seen, 12)
    assert not [e for e in again.events if e.reason == "SettingsNotInForce"]


def test_a_log_that_is_read_late_still_tells() -> None:
    late = serving({}, None)
    seen, _ = step(late, 10)
    assert in_force(seen)[:2] == ("Unknown", "NotTold")
    assert rows(seen) == [(0, "Valid", [])]
    seen = replace(seen, pods=late.pods, engine_facts={engine().uid: {**OLLAMA, "numParallel": 1, "contextLength": 1}})
    seen, _ = step(seen, 12)
    assert rows(seen) == [(0, "Invalid", ["SettingsNotInForce"])]
    deaf = replace(seen, heard={}, engine_facts={})
    seen, _ = step(deaf, 14)
    assert rows(seen) == [(0, "Invalid", ["SettingsNotInForce"])], "a new operator knows it from the status"
    assert in_force(seen)[0] == "False"


def test_nothing_is_said_of_an_engine_that_has_not_answered() -> None:
    seen, _ = step(observed(asked={"a-sim": ASKED}), 0)
    seen, _ = step(replace(seen, pods=(engine(), load())), 3)
    assert in_force(seen)[:2] == ("Unknown", "NotVerified")


def test_what_is_in_force_stands_in_the_status() -> None:
    by_api = {"sizeBytes": 1000, "sizeVramBytes": 999, "requestsAtOnce": 8, "requestsProbed": 9, "quantization": "F16"}
    facts = {**OLLAMA, **ASKED, "arguments": "x" * 5000, "environment": "OLLAMA_MAX_QUEUE=512"}
    seen, _ = step(serving(by_api, facts), 10)
    found = (seen.status.targets or [])[0].engine
    assert found is not None
    assert found.effective == by_api | ASKED | {"flashAttention": False, "kvCacheType": "f16", "gpuOffloadPercent": 99}
    assert len(found.arguments or "") == ARGUMENTS_CHARACTERS
    assert (found.arguments or "").endswith("x…")
    assert found.environment == "OLLAMA_MAX_QUEUE=512"


@pytest.mark.parametrize(
    ("targets", "users", "kept"), [(8, 64, 0), (8, 25, ARGUMENTS_CHARACTERS), (32, 6, ARGUMENTS_OF_ALL // 32)]
)
def test_a_run_of_many_points_keeps_its_status_small(targets: int, users: int, kept: int) -> None:
    levels = list(range(1, users + 1))
    names = [f"{'t' * 11}{i}" for i in range(targets)]
    big = spec(
        targets=[{"name": name, "ollama": {"model": "m", "numParallel": 8}} for name in names],
        workload=spec().workload.model_dump(by_alias=True, exclude_none=True)
        | {"load": {"concurrency": {"levels": levels}}},
    )
    facts = {**OLLAMA, **ASKED, "numParallel": 1, "arguments": "x" * 5000, "environment": "y" * 2000}
    by_api: dict[str, Any] = {
        "sizeBytes": 10**10,
        "sizeVramBytes": 10**10,
        "requestsAtOnce": 1,
        "requestsProbed": 9,
        "quantization": "F16",
    }
    value = Censored(at_least=123456.789)
    long = Figure(count=12468, p50=12345.678, p90=value, p95=value, p99=value, censored=123)
    counts = RequestCounts(succeeded=12345, errored=1, incomplete=123)
    points = tuple(received(i, requests=counts, output_tokens_per_second=12345.678, ttft=long) for i in range(users))
    report = EngineReport(
        served_model="m", model_digest="d" * 64, version="0.9.2", effective=by_api, at=at(3).timestamp()
    )
    seen = observed(
        spec=big,
        asked=dict.fromkeys(names, ASKED),
        status=BenchmarkRunStatus(
            observed_generation=1,
            targets=[
                TargetStatus(name=n, attempts=[Attempt(number=1, start_time=at(0), pod_uid="u" * 36)]) for n in names
            ],
        ),
        pods=tuple(pod for n in names for pod in (engine(n, image_id=f"i@sha256:{'1' * 64}"), load(n))),
        heard={load(n).uid: structs.replace(heard(*points), engine=report) for n in names},
        engine_facts={engine(n).uid: facts for n in names},
    )
    seen, _ = step(seen, 10)
    assert len(seen.status.points or ()) == targets * users
    assert {row.reasons[0] for row in seen.status.points or () if row.reasons} == {"SettingsNotInForce"}
    found = (seen.status.targets or [])[0].engine
    assert found is not None
    assert (len(found.arguments or ""), found.environment is not None) == (kept, kept > 0)
    assert len(json.dumps(seen.status.document(), separators=(",", ":"))) < 256 * 1024


def fingerprint(effective: dict[str, Any], facts: dict[str, Any]) -> str:
    seen, _ = step(serving(effective, facts), 10)
    found = ((seen.status.targets or [])[0].attempts or [])[0].fingerprint
    assert found is not None
    return found


def test_the_fingerprint_takes_in_settings_and_nothing_that_varies_by_chance() -> None:
    plain = fingerprint({"quantization": "F16"}, ASKED)
    chance = {
        "sizeVramBytes": 1,
        "requestsAtOnce": 7,
        "requestsProbed": 9,
        "kvCacheBlocks": 9,
        "certificate": "verified",
    }
    assert (
        fingerprint({"quantization": "F16", **chance}, {**ASKED, "kvCacheGiB": 1.5, "arguments": "--tensor-split 3,4"})
        == plain
    )
    assert fingerprint({"quantization": "Q4_0"}, ASKED) != plain
    assert fingerprint({"quantization": "F16"}, {**ASKED, "numParallel": 1}) != plain


def fetched(digest: str, facts: dict[str, Any]) -> tuple[str | None, str | None]:
    """(digest, fingerprint) of a vLLM whose model was fetched with this digest."""
    cache = {"modelCache": {"persistentVolumeClaim": {"claimName": "models"}}}
    fetch = ModelFetch(number=1, end_time=at(0), reason="Completed", digest=digest or None)
    begun = TargetStatus(name="v", attempts=[Attempt(number=1, start_time=at(0))], model_fetch=fetch)
    seen = observed(
        spec=spec(targets=[{"name": "v", "vllm": {"model": "org/m"}, "pod": cache}]),
        status=BenchmarkRunStatus(observed_generation=1, targets=[begun]),
        pods=(engine("v"), load("v")),
        heard={load("v").uid: heard(received(0))},
        engine_facts={engine("v").uid: facts},
    )
    seen, _ = step(seen, 10)
    target = (seen.status.targets or [])[0]
    return (target.engine or EngineStatus()).model_digest, (target.attempts or [])[0].fingerprint


def test_another_commit_of_the_same_name_is_another_model() -> None:
    one, other = f"commit:{'a' * 40}", f"commit:{'b' * 40}"
    assert fetched(one, {})[0] == one
    assert fetched(one, {})[1] == fetched(one, {})[1] is not None
    assert len({fetched(digest, {})[1] for digest in (one, other, "")}) == 3
    assert fetched(one, {"revision": "b" * 40})[0] == other, "what its log says it took goes before what was fetched"
    assert fetched(one, {"revision": "main"})[0] == one


def test_the_gpu_is_read_from_the_node_s_labels() -> None:
    gpu = {"nvidia.com/gpu.product": "A100", "nvidia.com/gpu.memory": "40960", "nvidia.com/mig.strategy": "mixed"}
    labels = gpu | {"nvidia.com/cuda.driver-version.full": "570.1", "nvidia.com/cuda.runtime-version.full": "12.8"}
    run = spec(engineDefaults={"gpu": {"count": 1}})
    seen = replace(
        serving({}, ASKED),
        spec=run,
        terms=terms(run),
        nodes={"gpu-1": NodeView("gpu-1", labels=labels)},
    )
    seen, _ = step(seen, 10)
    found = (seen.status.targets or [])[0].engine or EngineStatus()
    assert found.gpu is not None
    assert found.gpu.document() == {
        "product": "A100",
        "count": 1,
        "driver": "570.1",
        "resource": "nvidia.com/gpu",
        "memoryMebibytes": 40960,
        "cuda": "12.8",
        "migStrategy": "mixed",
        "state": "Unobserved",
    }
