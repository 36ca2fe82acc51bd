"""What is particular to each engine: its arguments, and what its log says."""

import json

import pytest

from enginebench.engines.base import Platform
from enginebench.engines.manifest import engine_pod
from enginebench.engines.registry import engine_of
from tests.unit.engines.specs import target


@pytest.mark.parametrize(
    ("image", "args", "given"),
    [
        ("docker.io/vllm/vllm-openai:v0.9.1", [], True),
        ("docker.io/vllm/vllm-openai:v0.7.3", [], False),
        ("docker.io/vllm/vllm-openai:v0.10.0", [], True),
        ("registry:5000/vllm@sha256:" + "0" * 64, [], True),
        ("docker.io/vllm/vllm-openai:v0.9.1", ["--generation-config=auto"], False),
        ("docker.io/vllm/vllm-openai:v0.9.1", ["--generation_config", "auto"], False),
    ],
)
def test_vllm_keeps_its_own_sampling_defaults(image: str, args: list[str], given: bool) -> None:
    spec, one = target(f"vllm: {{model: m, image: '{image}', args: {args}}}")
    _, values = engine_of(one).template(spec, one, Platform(image="i"))
    assert values["own_sampling_defaults"] is given


@pytest.mark.parametrize(
    ("gpus", "args", "given"),
    [
        (0, [], []),
        (1, [], []),
        (2, [], ["--tensor-parallel-size=2"]),
        (8, ["--max-model-len=8192"], ["--tensor-parallel-size=8"]),
        (8, ["--tensor-parallel-size=4"], []),
        (8, ["--tensor_parallel_size", "4"], []),
        (8, ["-tp", "4"], []),
        (8, ["-tp=4", "-pp=2"], []),
        (4, ["--pipeline-parallel-size=4"], []),
        (4, ["--data-parallel-size", "4"], []),
        (4, ["-dp=4"], []),
        (4, ["--data-parallel-size-local=2"], []),
        (2, ["--tensor-parallel-sizes-are-no-option"], ["--tensor-parallel-size=2"]),
    ],
)
def test_vllm_spreads_its_model_over_the_gpus(gpus: int, args: list[str], given: list[str]) -> None:
    spec, one = target(f"{{vllm: {{model: m, args: {json.dumps(args)}}}, pod: {{gpu: {{count: {gpus}}}}}}}")
    said = engine_pod(spec, one, Platform(image="i"))["spec"]["containers"][0]["args"]
    own = said[: len(said) - len(args)]
    assert [arg for arg in own if "parallel" in arg] == given
    assert said[len(own) :] == args


@pytest.mark.parametrize(
    ("args", "pinned"),
    [
        ([], True),
        (["--max-model-len=8192", "--tokenizer-mode=mistral"], True),
        (["--revision=v2"], False),
        (["--tokenizer", "other/repository"], False),
        (["--hf_config_path=other/repository"], False),
    ],
)
def test_vllm_takes_the_commit_that_was_fetched_unless_told_otherwise(args: list[str], pinned: bool) -> None:
    spec, one = target(f"vllm: {{model: o/m, args: {json.dumps(args)}}}")
    commit = f"--revision={'e' * 40}"
    said = engine_pod(spec, one, Platform(image="i"), revision="e" * 40)["spec"]["containers"][0]["args"]
    assert (commit in said) is pinned
    assert said[len(said) - len(args) :] == args
    assert not any(
        "--revision=e" in arg for arg in engine_pod(spec, one, Platform(image="i"))["spec"]["containers"][0]["args"]
    )


@pytest.mark.parametrize(
    ("args", "gpus", "all_layers"),
    [([], 1, True), ([], 0, False), (["-ngl", "20"], 1, False), (["--n_gpu_layers", "20"], 2, False)],
)
def test_llama_cpp_puts_the_whole_model_on_gpus_unless_told_otherwise(
    args: list[str], gpus: int, all_layers: bool
) -> None:
    member = f"llamaCpp: {{model: a/b, image: i, args: {json.dumps(args)}}}"
    spec, one = target(f"{{{member}, pod: {{gpu: {{count: {gpus}}}}}}}")
    said = engine_pod(spec, one, Platform(image="i"))["spec"]["containers"][0]["args"]
    own = said[: len(said) - len(args)]
    assert ("--n-gpu-layers" in own) is all_layers
    assert said[len(own) :] == args
    assert engine_of(one).asked(spec, one).get("gpuOffloadPercent") == (100 if all_layers else None)


@pytest.mark.parametrize(
    ("member", "deployed", "pulls", "ignores_eos"),
    [
        ("vllm: {model: m}", True, False, True),
        ("ollama: {model: m}", True, True, False),
        ("llamaCpp: {model: /models/m.gguf, image: i}", True, False, True),
        ("endpoint: {model: m, url: 'http://h'}", False, False, False),
        ("simulated: {model: m, api: vLLM}", True, False, True),
        ("simulated: {model: m, api: Ollama}", True, True, False),
    ],
)
def test_what_engines_can(member: str, deployed: bool, pulls: bool, ignores_eos: bool) -> None:
    _, one = target(member)
    engine = engine_of(one)
    assert (engine.deployed, engine.pulls_model, engine.ignores_eos) == (deployed, pulls, ignores_eos)


def test_an_endpoint_has_neither_port_nor_pod() -> None:
    spec, one = target("endpoint: {model: m, url: 'http://h'}")
    with pytest.raises(LookupError, match="URL"):
        engine_of(one).port(one)
    with pytest.raises(LookupError, match="no pod"):
        engine_of(one).template(spec, one, Platform(image="i"))
