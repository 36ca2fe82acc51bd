"""What is particular to each engine: its arguments, and what its log says."""

import json

import pytest

from enginebench.engines.base import Platform
from enginebench.engines.manifest import engine_pod
from enginebench.engines.registry import engine_of
from tests.unit.engines.specs import target

OLLAMA_0_9_2 = """\
time=2026-11-23T12:00:00.000Z level=INFO source=routes.go:1288 msg="Listening on [::]:11434 (version 0.9.2)"
time=2026-11-23T12:00:05.000Z level=INFO source=server.go:431 msg="starting llama server" cmd="/usr/bin/ollama runner \
--model /models/blobs/sha256-66 --ctx-size 8192 --batch-size 512 --n-gpu-layers 33 --threads 8 --parallel 2 --port 40001"
"""
OLLAMA_ENGINE = """\
time=2026-11-23T12:00:05.000Z level=INFO source=server.go:431 msg="starting llama server" cmd="/usr/bin/ollama runner \
--ollama-engine --model /models/blobs/sha256-66 --ctx-size 32768 --batch-size 512 --flash-attn --kv-cache-type q8_0 \
--parallel 4 --port 40001"
"""
OLLAMA_LATER = """\
time=2026-11-23T12:00:05.868Z level=INFO source=runner.go:1284 msg=load request="{Operation:fit LoraPath:[] Parallel:8 \
BatchSize:512 FlashAttention:Auto KvSize:65536 KvCacheType: NumThreads:4 GPULayers:[] MultiUserCache:false}"
time=2026-11-23T12:00:05.875Z level=INFO source=runner.go:1284 msg=load request="{Operation:commit LoraPath:[] Parallel:1 \
BatchSize:512 FlashAttention:Enabled KvSize:4096 KvCacheType:q8_0 NumThreads:4 GPULayers:29[ID:GPU-d3 Layers:29(0..28)] \
MultiUserCache:false}"
"""
VLLM_0_9_1 = """\
INFO 06-20 09:36:27 [api_server.py:1287] vLLM API server version 0.9.1
INFO 06-20 09:36:47 [core.py:70] Initializing a V1 LLM engine (v0.9.1) with config: model='m', speculative_config=None, \
dtype=torch.bfloat16, max_seq_len=131072, quantization=None, kv_cache_dtype=auto,  device_config=cuda, \
served_model_name=m, tensor_parallel_size=2, pipeline_parallel_size=1, enable_prefix_caching=True, chunked_prefill_enabled=True
INFO 06-20 09:37:12 [kv_cache_utils.py:715] GPU KV cache size: 433,664 tokens
INFO 06-20 09:37:12 [kv_cache_utils.py:719] Maximum concurrency for 131,072 tokens per request: 3.31x
"""


@pytest.mark.parametrize(
    ("log", "facts"),
    [
        (OLLAMA_0_9_2, {"flashAttention": False, "numParallel": 2, "contextLength": 4096}),
        (
            OLLAMA_ENGINE,
            {"flashAttention": True, "numParallel": 4, "contextLength": 8192, "kvCacheType": "q8_0"},
        ),
        (
            OLLAMA_LATER,
            {"flashAttention": True, "numParallel": 1, "contextLength": 4096, "kvCacheType": "q8_0"},
        ),
        (OLLAMA_ENGINE + OLLAMA_0_9_2, {"flashAttention": False, "numParallel": 2, "contextLength": 4096}),
        ("nothing of the kind", {}),
    ],
    ids=["0.9.2", "its own engine", "later versions", "the last runner counts", "no runner"],
)
def test_ollama_tells_what_it_chose(log: str, facts: dict[str, object]) -> None:
    _, ollama = target("ollama: {model: m}")
    assert engine_of(ollama).facts(log) == facts


def test_vllm_tells_what_it_chose() -> None:
    _, vllm = target("vllm: {model: m}")
    assert engine_of(vllm).facts(VLLM_0_9_1) == {
        "maxModelLen": 131072,
        "tensorParallelSize": 2,
        "dtype": "bfloat16",
        "kvCacheDtype": "auto",
        "prefixCaching": True,
        "kvCacheTokens": 433664,
    }
    assert engine_of(vllm).facts("") == {}


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
    ("member", "deployed", "pulls", "ignores_eos"),
    [
        ("vllm: {model: m}", True, False, True),
        ("ollama: {model: m}", True, True, False),
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
