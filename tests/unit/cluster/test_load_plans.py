"""What a load pod is told, for each kind of target."""

import json

import pytest

from enginebench.api.loadplan import RequestPlan, SamplingPlan
from enginebench.workflow.observed import Role
from tests.unit.cluster.made import made, plan


def test_plan_of_a_simulated_vllm() -> None:
    made_plan = plan(points=(1,), dataset_digest="sha256:ab")
    service = made(Role.SERVICE)["metadata"]["name"]
    assert made_plan.url == f"http://{service}.ns.svc:8000"
    assert (made_plan.dialect, made_plan.model, made_plan.pull_model, made_plan.simulated) == ("vllm", "m", False, True)
    assert [(p.index, p.concurrency) for p in made_plan.points] == [(1, 4)]
    assert made_plan.dataset.digest == "sha256:ab"
    assert made_plan.dataset.synthetic is not None
    assert made_plan.request.ignore_eos  # one kind of engine: AsPublished
    assert made_plan.duration_seconds == 10
    assert made_plan.task == "load"


def test_no_engine_ignores_the_end_where_kinds_are_compared() -> None:
    text = """
        targets:
        - {name: a-sim, simulated: {api: vLLM, model: m}}
        - {name: b-sim, simulated: {api: Ollama, model: m}}
        """
    assert not plan(text).request.ignore_eos


def test_what_the_workload_says_stands_in_the_plan() -> None:
    workload = {
        "dataset": {
            "synthetic": {"promptTokens": 1, "outputTokens": 1}, "seed": 3, "promptReuse": {"shared": {"prefixTokens": 9}}
        },
        "load": {"concurrency": {"levels": [2]}},
        "durationSeconds": 7, "maxRequests": 50, "rampSeconds": 4, "warmup": {"maxSeconds": 6},
        "request": {
            "api": "Completions", "maxOutputTokens": 33, "lengthPolicy": "Matched", "extraBodyJSON": '{"min_p": 0.1}',
            "sampling": {"temperature": "0.5", "topP": "0.9", "repetitionPenalty": "1.2", "seed": 8},
        },
    }  # fmt: skip
    told = plan(json.dumps({"workload": workload}))
    assert told.request == RequestPlan(
        api="Completions",
        max_output_tokens=33,
        ignore_eos=False,
        sampling=SamplingPlan(temperature=0.5, top_p=0.9, repetition_penalty=1.2, seed=8),
        extra_body_json='{"min_p": 0.1}',
    )
    assert (told.seed, told.prompt_reuse, told.shared_prefix_tokens) == (3, "Shared", 9)
    bounds = (told.duration_seconds, told.max_requests, told.ramp_seconds, told.warmup_max_seconds)
    assert bounds == (7, 50, 4, 6)


def test_plan_of_an_endpoint() -> None:
    text = "targets: [{name: e, endpoint: {url: 'http://llm.other:80/x', model: m}}]"
    made_plan = plan(text, target="e")
    assert (made_plan.url, made_plan.dialect, made_plan.request.ignore_eos) == (
        "http://llm.other:80/x",
        "openai",
        False,
    )


def test_plan_of_ollama_pulls() -> None:
    made_plan = plan("targets: [{name: o, ollama: {model: llama3.1}}]", target="o")
    assert made_plan.pull_model
    assert made_plan.url.endswith(".ns.svc:11434")


@pytest.mark.parametrize(("targets", "least"), [(1, 1024 * 1024), (32, 32 * 1024)])
def test_points_share_what_a_run_may_store(targets: int, least: int) -> None:
    several = [{"name": f"t{i}-sim", "simulated": {"api": "vLLM", "model": "m"}} for i in range(targets)]
    assert plan(json.dumps({"targets": several}), target="t0-sim").point_bytes == least


def test_a_single_point_fits_into_a_config_map() -> None:
    workload = {
        "dataset": {"synthetic": {"promptTokens": 1, "outputTokens": 1}},
        "load": {"concurrency": {"levels": [1]}},
        "durationSeconds": 1,
    }
    assert plan(json.dumps({"workload": workload})).point_bytes == 1024 * 1024
