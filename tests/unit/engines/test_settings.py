"""What each engine is asked for, and what its log says is in force, under the same names."""

from typing import Any

import pytest

from enginebench.engines.registry import engine_of
from tests.unit.engines.specs import target

OLLAMA_0_9_2 = """\
time=2026-11-23T12:00:00.000Z level=INFO source=routes.go:1235 msg="server config" env="map[CUDA_VISIBLE_DEVICES:0,1 \
HSA_OVERRIDE_GFX_VERSION: HTTPS_PROXY:http://me:secret@proxy:3128 NO_PROXY: OLLAMA_CONTEXT_LENGTH:4096 OLLAMA_DEBUG:INFO \
OLLAMA_FLASH_ATTENTION:false OLLAMA_HOST:http://0.0.0.0:11434 OLLAMA_KEEP_ALIVE:5m0s OLLAMA_MAX_QUEUE:64 \
OLLAMA_MODELS:/models OLLAMA_ORIGINS:[http://localhost https://localhost app://*] OLLAMA_SCHED_SPREAD:false http_proxy:]"
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
INFO 06-20 09:36:28 [cli_args.py:309] non-default args: {'host': '0.0.0.0', 'model': 'm', 'hf_token': 'hf_x', \
'max_model_len': 131072, 'max_num_seqs': 64, 'served_model_name': ['m']}
INFO 06-20 09:36:40 [config.py:2195] Chunked prefill is enabled with max_num_batched_tokens=8192.
INFO 06-20 09:36:47 [core.py:70] Initializing a V1 LLM engine (v0.9.1) with config: model='m', speculative_config=None, \
revision=None, tokenizer_revision=v2, dtype=torch.bfloat16, max_seq_len=131072, tensor_parallel_size=2, quantization=None, enforce_eager=False, \
kv_cache_dtype=auto,  device_config=cuda, served_model_name=m, enable_prefix_caching=True, chunked_prefill_enabled=True
INFO 06-20 09:37:10 [gpu_worker.py:227] Available KV cache memory: 52.94 GiB
INFO 06-20 09:37:12 [kv_cache_utils.py:715] GPU KV cache size: 433,664 tokens
INFO 06-20 09:37:12 [kv_cache_utils.py:719] Maximum concurrency for 131,072 tokens per request: 3.31x
"""
VLLM_0_32 = """\
(APIServer pid=1) INFO 11-23 12:00:01 [api_utils.py:286] non-default args: {'host': '0.0.0.0', 'api_key': ['sk-1'], \
'model': '/models/tiny', 'max_model_len': 2048, 'enforce_eager': True}
(EngineCore pid=9) INFO 11-23 12:00:09 [core.py:134] Initializing a V1 LLM engine (v0.32.0) with config: \
model='/models/tiny', tokenizer_mode=auto, revision=0123456789012345678901234567890123456789, \
tokenizer_revision=v2, dtype=torch.float32, max_seq_len=2048, tensor_parallel_size=1, quantization=None, \
enforce_eager=True, kv_cache_dtype=auto, device_config=cpu, served_model_name=tiny, enable_prefix_caching=True, \
enable_chunked_prefill=True
(EngineCore pid=9) INFO 11-23 12:00:12 [kv_cache_utils.py:2327] CPU KV cache size: 262,144 tokens, Maximum concurrency \
for 2,048 tokens per request: 128.00x
"""


LLAMA_CPP = """\
0.00.004.094 I srv    load_model: loading model '/models/tiny.gguf'
0.00.022.979 I srv    load_model: initializing, n_slots = 4, n_ctx_slot = 512, kv_unified = 'false'
0.00.024.383 I srv          init: listening on http://0.0.0.0:8080
"""
"""b11549; with --verbosity 4 it says more."""


@pytest.mark.parametrize(
    ("line", "offload"),
    [
        ("", None),
        ("0.00.9 I load_tensors: offloaded 33/33 layers to GPU", 100),
        ("load_tensors: offloaded 20/33 layers to GPU", 60),
        ("warning: no usable GPU found, --gpu-layers option will be ignored", 0),
    ],
)
def test_llama_cpp_tells_its_slots_and_what_is_on_the_gpu(line: str, offload: int | None) -> None:
    _, llama_cpp = target("llamaCpp: {model: /models/tiny.gguf, image: i}")
    told = {} if offload is None else {"gpuOffloadPercent": offload}
    assert engine_of(llama_cpp).facts(f"{line}\n{LLAMA_CPP}") == {"numParallel": 4, "contextLength": 512, **told}


def test_llama_cpp_is_asked_for_what_is_said() -> None:
    spec, one = target("llamaCpp: {model: a/b, image: i, parallel: 8, contextLength: 1024}")
    assert engine_of(one).asked(spec, one) == {"numParallel": 8, "contextLength": 1024, "gpuOffloadPercent": 100}


@pytest.mark.parametrize(
    ("log", "facts"),
    [
        (
            OLLAMA_0_9_2,
            {
                "arguments": "--model /models/blobs/sha256-66 --ctx-size 8192 --batch-size 512 --n-gpu-layers 33 --threads 8 "
                "--parallel 2",
                "environment": "CUDA_VISIBLE_DEVICES=0,1 OLLAMA_CONTEXT_LENGTH=4096 OLLAMA_FLASH_ATTENTION=false "
                "OLLAMA_KEEP_ALIVE=5m0s OLLAMA_MAX_QUEUE=64 OLLAMA_SCHED_SPREAD=false",
                "numParallel": 2,
                "contextLength": 4096,
                "batchSize": 512,
                "gpuLayers": 33,
                "threads": 8,
                "maxQueue": 64,
                "flashAttention": False,
                "kvCacheType": "f16",
            },
        ),
        (
            OLLAMA_ENGINE,
            {
                "arguments": "--ollama-engine --model /models/blobs/sha256-66 --ctx-size 32768 --batch-size 512 --flash-attn "
                "--kv-cache-type q8_0 --parallel 4",
                "numParallel": 4,
                "contextLength": 8192,
                "batchSize": 512,
                "flashAttention": True,
                "kvCacheType": "q8_0",
            },
        ),
        (
            OLLAMA_LATER,
            {
                "arguments": "LoraPath:[] Parallel:1 BatchSize:512 FlashAttention:Enabled KvSize:4096 KvCacheType:q8_0 "
                "NumThreads:4 GPULayers:29[ID:GPU-d3 Layers:29(0..28)] MultiUserCache:false",
                "numParallel": 1,
                "contextLength": 4096,
                "batchSize": 512,
                "gpuLayers": 29,
                "threads": 4,
                "flashAttention": True,
                "kvCacheType": "q8_0",
            },
        ),
        ("nothing of the kind", {}),
    ],
    ids=["0.9.2", "its own engine", "later versions", "no runner"],
)
def test_ollama_tells_what_it_chose(log: str, facts: dict[str, object]) -> None:
    _, ollama = target("ollama: {model: m}")
    assert engine_of(ollama).facts(log) == facts


def test_the_last_runner_counts() -> None:
    _, ollama = target("ollama: {model: m}")
    facts = engine_of(ollama).facts(OLLAMA_ENGINE + OLLAMA_0_9_2)
    assert (facts["numParallel"], facts["flashAttention"]) == (2, False)


def test_vllm_0_9_1_tells_what_it_chose() -> None:
    _, vllm = target("vllm: {model: m}")
    assert engine_of(vllm).facts(VLLM_0_9_1) == {
        "arguments": "{'host': '0.0.0.0', 'model': 'm', 'hf_token': '***', 'max_model_len': 131072, 'max_num_seqs': 64, "
        "'served_model_name': ['m']}",
        "maxModelLen": 131072,
        "maxNumSeqs": 64,
        "maxNumBatchedTokens": 8192,
        "tensorParallelSize": 2,
        "dtype": "bfloat16",
        "enforceEager": False,
        "kvCacheDtype": "auto",
        "device": "cuda",
        "gpuOffloadPercent": 100,
        "prefixCaching": True,
        "kvCacheTokens": 433664,
        "kvCacheGiB": 52.94,
    }
    assert engine_of(vllm).facts("") == {}


def test_vllm_0_32_tells_what_it_chose() -> None:
    _, vllm = target("vllm: {model: m}")
    facts = engine_of(vllm).facts(VLLM_0_32)
    assert facts.pop("arguments") == (
        "{'host': '0.0.0.0', 'api_key': '***', 'model': '/models/tiny', 'max_model_len': 2048, 'enforce_eager': True}"
    )
    assert facts == {
        "revision": "0123456789" * 4,
        "maxModelLen": 2048,
        "tensorParallelSize": 1,
        "dtype": "float32",
        "enforceEager": True,
        "kvCacheDtype": "auto",
        "device": "cpu",
        "gpuOffloadPercent": 0,
        "prefixCaching": True,
        "kvCacheTokens": 262144,
    }


DEBUG = (
    "Setting max_num_seqs to 256 for OPENAI_API_SERVER usage context.",
    "Defaulting max_num_seqs to 256 for UsageContext",
)


@pytest.mark.parametrize("line", DEBUG)
def test_vllm_tells_its_own_number_of_sequences_at_the_level_debug(line: str) -> None:
    _, vllm = target("vllm: {model: m}")
    assert engine_of(vllm).facts(f"DEBUG 06-20 [arg_utils.py:1607] {line}") == {"maxNumSeqs": 256}


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        ([], {}),
        (["--max-model-len=8192", "--max_num_seqs", "8"], {"maxModelLen": 8192, "maxNumSeqs": 8}),
        (["--max-model-len", "8k", "--max-model-len", "8K"], {"maxModelLen": 8192}),
        (["--max-model-len=25.6k"], {"maxModelLen": 25600}),
        (["--max-model-len=auto", "--max-num-seqs=-1"], {}),
        (["--dtype=half", "--kv-cache-dtype", "fp8"], {"dtype": "float16", "kvCacheDtype": "fp8"}),
        (["--dtype=auto", "--kv-cache-dtype=auto"], {}),
        (["--enforce-eager", "--enable-prefix-caching"], {"enforceEager": True, "prefixCaching": True}),
        (["--no-enable-prefix-caching", "--block-size", "32"], {"prefixCaching": False, "blockSize": 32}),
        (["-tp", "2", "--trust-remote-code", "--seed=1"], {"tensorParallelSize": 2}),
        (["--max-num-batched-tokens=4096", "--max-num-seqs"], {"maxNumBatchedTokens": 4096}),
    ],
)
def test_what_vllm_is_asked_for(args: list[str], asked: dict[str, object]) -> None:
    spec, vllm = target(f"{{vllm: {{model: m, args: {args}}}, pod: {{gpu: {{count: 0}}}}}}")
    assert engine_of(vllm).asked(spec, vllm) == asked


@pytest.mark.parametrize(
    ("member", "asked"),
    [
        ("vllm: {model: m}", {"gpuOffloadPercent": 100}),
        ("vllm: {model: m}, pod: {gpu: {count: 2}}", {"gpuOffloadPercent": 100, "tensorParallelSize": 2}),
        ("ollama: {model: m}", {"gpuOffloadPercent": 100}),
        ("ollama: {model: m}, pod: {gpu: {count: 0}}", {}),
        (
            "ollama: {model: m, numParallel: 8, contextLength: 512, maxQueue: 9, flashAttention: false, kvCacheType: q8_0}",
            {
                "numParallel": 8,
                "contextLength": 512,
                "maxQueue": 9,
                "flashAttention": False,
                "kvCacheType": "q8_0",
                "gpuOffloadPercent": 100,
            },
        ),
        ("endpoint: {model: m, url: 'http://h'}", {}),
        ("simulated: {model: m, api: vLLM, slots: 3}, pod: {gpu: {count: 1}}", {}),
        ("simulated: {model: m, api: Ollama, slots: 3}, pod: {gpu: {count: 1}}", {"numParallel": 3}),
    ],
)
def test_what_each_engine_is_asked_for(member: str, asked: dict[str, Any]) -> None:
    spec, one = target(f"{{{member}}}")
    assert engine_of(one).asked(spec, one) == asked
