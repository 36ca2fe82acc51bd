"""What holds where a run says nothing, and what only the operator can refuse."""

from typing import Any

import pytest

from enginebench.api import resolve
from enginebench.api.invalid import invalid_reasons
from enginebench.api.loadplan import PointPlan, StopPlan, SweepPlan
from enginebench.api.pod_resolve import ResolvedPod, resolve_pod
from enginebench.api.v1alpha1 import BenchmarkRunSpec
from tests.support.badspecs import base
from tests.support.documents import path_of, put

VLLM, OLLAMA = 0, 1


def spec(**changes: Any) -> BenchmarkRunSpec:
    """The good run's spec; keywords: path with `__` for dots and brackets gone into numbers, value."""
    run = base()
    for path, value in changes.items():
        put(run["spec"], tuple(int(s) if s.isdigit() else s for s in path.split("__")), value)
    return BenchmarkRunSpec.model_validate(run["spec"])


def pod(said: BenchmarkRunSpec, target: int = OLLAMA) -> ResolvedPod:
    return resolve_pod(said, said.targets[target])


def test_gpus_where_nothing_is_said() -> None:
    run = base()["spec"]
    del run["engineDefaults"]
    run["targets"].append({"name": "a-sim", "simulated": {"api": "vLLM", "model": "m"}})
    said = BenchmarkRunSpec.model_validate(run)
    assert [(pod(said, i).gpu_count, pod(said, i).gpu_resource) for i in range(3)] == [
        (1, "nvidia.com/gpu"),
        (1, "nvidia.com/gpu"),
        (0, "nvidia.com/gpu"),
    ]


def test_defaults_apply_to_simulated_targets_too() -> None:
    said = spec(targets=[{"name": "a-sim", "simulated": {"api": "vLLM", "model": "m"}}])
    assert pod(said, 0).gpu_count == 1


def test_gpu_is_merged_field_by_field() -> None:
    said = spec(
        engineDefaults__gpu={"count": 2, "resource": "nvidia.com/mig-3g.20gb"}, targets__1__pod__gpu={"count": 0}
    )
    assert (pod(said).gpu_count, pod(said).gpu_resource) == (0, "nvidia.com/mig-3g.20gb")


def test_maps_are_merged_key_by_key() -> None:
    said = spec(
        engineDefaults__nodeSelector={"a": "1", "b": "1"},
        targets__1__pod__nodeSelector={"b": "2"},
        engineDefaults__resources={"requests": {"cpu": "1", "memory": "1Gi"}},
        targets__1__pod__resources={"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}},
    )
    assert pod(said).node_selector == {"a": "1", "b": "2"}
    assert pod(said).requests == {"cpu": "2", "memory": "1Gi"}
    assert pod(said).limits == {"memory": "2Gi"}
    assert pod(said, VLLM).node_selector == {"a": "1", "b": "1"}


def test_env_is_merged_by_name_in_its_place() -> None:
    said = spec(
        engineDefaults__env=[{"name": "A", "value": "1"}, {"name": "B", "value": "1"}],
        targets__1__pod__env=[{"name": "C", "value": "2"}, {"name": "A", "value": "2"}],
    )
    assert [(variable.name, variable.value) for variable in pod(said).env] == [("A", "2"), ("B", "1"), ("C", "2")]


def test_lists_and_the_cache_are_replaced_whole() -> None:
    said = spec(
        engineDefaults__tolerations=[{"key": "a", "operator": "Exists"}],
        engineDefaults__imagePullSecrets=[{"name": "r"}],
        engineDefaults__modelCache={"persistentVolumeClaim": {"claimName": "models"}},
        targets__1__pod={"tolerations": [], "modelCache": {"emptyDir": {"sizeLimit": "1Gi"}}},
    )
    merged = pod(said)
    assert merged.tolerations == ()
    assert merged.image_pull_secrets == ("r",)
    assert merged.model_cache is not None
    assert merged.model_cache.document() == {"emptyDir": {"sizeLimit": "1Gi"}}


def test_workload_where_nothing_is_said() -> None:
    load = resolve.resolve_workload(spec())
    assert load.api == "ChatCompletions"
    assert (load.temperature, load.top_p, load.repetition_penalty, load.seed) == (0.0, 1.0, 1.0, 0)
    assert (load.prompt_reuse, load.ramp_seconds, load.warmup_max_seconds) == ("Unique", 10, 120)
    assert (tuple(point.concurrency for point in load.points), load.duration_seconds, load.max_requests) == (
        (1, 8, 64),
        60,
        None,
    )


def test_throughput_is_one_load_point_of_many_users() -> None:
    load = resolve.resolve_workload(spec(workload__load={"throughput": {}}))
    assert load.points == (PointPlan(index=0, concurrency=512, throughput=True),)


def test_points_are_skipped_only_where_it_is_asked_for() -> None:
    assert resolve.stop_when(spec()) is None
    said = resolve.stop_when(spec(workload__stopWhen={"errorRatePercent": 50}))
    assert said == StopPlan(error_rate_percent=50, saturated=False)
    assert resolve.stop_when(spec(workload__stopWhen={"saturated": True})) == StopPlan(saturated=True)


def test_a_sweep_has_points_without_a_load() -> None:
    said = spec(workload__load={"sweep": {"points": 3, "concurrency": {"max": 64}}})
    assert resolve.points(said) == (PointPlan(index=0), PointPlan(index=1), PointPlan(index=2))
    assert resolve.sweep(said) == SweepPlan(of="concurrency", lowest=1, highest=64)
    rates = spec(workload__load={"sweep": {"requestRate": {"min": "0.5", "max": "64", "arrival": "Constant"}}})
    assert len(resolve.points(rates)) == 8
    assert resolve.sweep(rates) == SweepPlan(of="requestRate", lowest=0.5, highest=64.0, arrival="Constant")
    assert resolve.sweep(spec()) is None


def test_rates_are_load_points() -> None:
    load = resolve.resolve_workload(spec(workload__load={"requestRate": {"rates": ["0.5", "10"]}}))
    assert load.points == (
        PointPlan(index=0, request_rate=0.5, arrival="Poisson", max_concurrency=4096),
        PointPlan(index=1, request_rate=10.0, arrival="Poisson", max_concurrency=4096),
    )


@pytest.mark.parametrize(
    ("reuse", "expected"), [({"asIs": {}}, ("AsIs", 0)), ({"shared": {"prefixTokens": 9}}, ("Shared", 9))]
)
def test_prompt_reuse(reuse: dict[str, Any], expected: tuple[str, int]) -> None:
    load = resolve.resolve_workload(spec(workload__dataset__promptReuse=reuse))
    assert (load.prompt_reuse, load.shared_prefix_tokens) == expected


def test_lengths_are_matched_where_engines_differ() -> None:
    assert resolve.resolve_workload(spec()).length_policy == "Matched"
    alone = spec(targets=[{"name": "vllm", "vllm": {"model": "m"}}])
    assert resolve.resolve_workload(alone).length_policy == "AsPublished"
    said = spec(workload__request={"lengthPolicy": "AsPublished"})
    assert resolve.resolve_workload(said).length_policy == "AsPublished"


def test_timeouts_where_one_is_said() -> None:
    said = resolve.timeouts(spec(timeouts={"startupSeconds": 60}))
    assert (said.startup_seconds, said.scheduling_seconds, said.point_grace_seconds) == (60, 3600, 120)


def test_load_generator() -> None:
    assert resolve.load_generator(spec()).requests == {"cpu": "500m", "memory": "512Mi"}
    said = resolve.load_generator(spec(loadGenerator={"resources": {"limits": {"cpu": "100m"}}}))
    assert said.requests == {"cpu": "100m", "memory": "512Mi"}
    several = spec(loadGenerator={"processes": 4})
    assert resolve.load_generator(several).requests == {"cpu": "2000m", "memory": "1280Mi"}
    assert resolve.load_generator(several, prepares=True) == resolve.load_generator(spec())


def test_dialect_and_image() -> None:
    said = spec(
        targets=[
            {"name": "a", "vllm": {"model": "m"}},
            {"name": "b", "ollama": {"model": "m", "image": "here/ollama:1"}},
            {"name": "c", "endpoint": {"url": "http://c", "model": "m"}},
            {"name": "d-sim", "simulated": {"api": "Ollama", "model": "m"}},
        ]
    )
    assert [resolve.dialect(target) for target in said.targets] == ["vllm", "ollama", "openai", "ollama"]
    assert [resolve.image(target) for target in said.targets] == [
        "docker.io/vllm/vllm-openai:v0.9.1",
        "here/ollama:1",
        "",
        "",
    ]


def test_simulated_zero_is_not_absent() -> None:
    said = spec(targets=[{"name": "a-sim", "simulated": {"api": "vLLM", "model": "m", "maxQueue": 0}}])
    assert said.targets[0].simulated is not None
    resolved = resolve.resolve_simulated(said.targets[0].simulated)
    assert (resolved.max_queue, resolved.slots) == (0, 32)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"a": }', "is not JSON"),
        ('{"a": NaN}', "NaN is no JSON number"),
        ("{}}", "is not JSON"),
        ('{"options": {"num_predict": 5, "seed": 1, "top_k": 1}}', ": options.num_predict, options.seed are set from"),
        ('{"repeat_penalty": 2, "n_predict": 5}', "n_predict, repeat_penalty are set from other fields"),
        ('{"keep_alive": 0}', "keep_alive are set from other fields"),
        ('{"options": 5}', "options must be an object"),
        ('{"model": "other", "stream": false}', "model, stream are set from other fields of the run: remove them."),
    ],
)
def test_extra_body_that_the_api_server_cannot_see_through(body: str, words: str) -> None:
    (said,) = invalid_reasons(spec(workload__request={"extraBodyJSON": body}))
    assert said.startswith("spec.workload.request.extraBodyJSON: ")
    assert words in said


def test_inline_rows_that_no_config_map_holds() -> None:
    rows = [{"prompt": "ä" * 32_000} for _ in range(12)]  # two bytes each
    dataset = "workload__dataset"
    assert invalid_reasons(spec(**{dataset: {"inline": {"rows": rows}}})) == []
    (said,) = invalid_reasons(spec(**{dataset: {"inline": {"rows": [*rows, *rows[:1]]}}}))
    assert said == (
        "spec.workload.dataset.inline: the rows take 832,183 bytes, and a run holds 786,432 of them: put them into a "
        "file, packed with gzip in a ConfigMap (dataset.configMap), or on a volume (dataset.persistentVolumeClaim)."
    )


def test_request_above_a_limit_from_elsewhere() -> None:
    said = spec(
        engineDefaults__resources={"limits": {"memory": "16Gi"}},
        targets__1__pod__resources={"requests": {"memory": "32Gi"}},
    )
    assert invalid_reasons(said) == [
        "spec.targets[1].pod.resources: merged with engineDefaults, the request of memory (32Gi) "
        "is above its limit (16Gi): set both in the same place."
    ]


def test_a_good_run_has_no_reasons() -> None:
    body = '{"min_p": 0.1, "options": {"top_k": 1}}'
    assert invalid_reasons(spec(workload__request={"extraBodyJSON": body})) == []


def test_paths_are_read_as_they_are_written() -> None:
    assert path_of("spec.targets[1].pod") == ("spec", "targets", 1, "pod")
