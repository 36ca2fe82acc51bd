"""vLLM's settings: what its arguments ask for, and what its log says is in force (read in the sources of 0.9.1 and 0.32).

The lines: `non-default args: {…}` (log_non_default_args), `Initializing a V1 LLM engine (v…) with config: …`
(VllmConfig.__str__), `… KV cache size: … tokens` (kv_cache_utils.py). vLLM tells how many sequences it runs at once
where the arguments say it; its own default it tells at the log level DEBUG alone.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from enginebench.workflow.observed import Fact
from enginebench.workflow.readback import ARGUMENTS

_ENGINE = r"LLM engine \(v.*\b"
_ARGUMENTS = re.compile(r"non-default args: (\{.*\})")
_SECRET = re.compile(r"('(?:api_key|hf_token|[a-z_]*password[a-z_]*)': )(?:\[[^]]*\]|'[^']*')")
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
"""human_readable_int of vllm/engine/arg_utils.py."""
_DTYPES = {"half": "float16", "float": "float32"}


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _flag(text: str) -> bool:
    return text == "True"


_FACTS: dict[str, tuple[re.Pattern[str], Callable[[str], Fact]]] = {
    "maxModelLen": (re.compile(_ENGINE + r"max_seq_len=(\d+)"), _number),
    "dtype": (re.compile(_ENGINE + r"dtype=torch\.(\w+)"), str),
    "quantization": (re.compile(_ENGINE + r"quantization=(?!None)([\w-]+)"), str),
    "kvCacheDtype": (re.compile(_ENGINE + r"kv_cache_dtype=(\w+)"), str),
    "tensorParallelSize": (re.compile(_ENGINE + r"tensor_parallel_size=(\d+)"), _number),
    "enforceEager": (re.compile(_ENGINE + r"enforce_eager=(\w+)"), _flag),
    "device": (re.compile(_ENGINE + r"device_config=(\w+)"), str),
    "revision": (re.compile(_ENGINE + r"revision=(?!None)([^\s,]+)"), str),
    "prefixCaching": (re.compile(_ENGINE + r"enable_prefix_caching=(\w+)"), _flag),
    "maxNumSeqs": (
        re.compile(r"(?:non-default args: \{.*'max_num_seqs': |(?:Sett|Default)ing max_num_seqs to )(\d+)"),
        _number,
    ),
    "maxNumBatchedTokens": (re.compile(r"Chunked prefill is enabled with max_num_batched_tokens=(\d+)"), _number),
    "kvCacheTokens": (re.compile(r"KV cache size: ([\d,]+) tokens"), _number),
    "kvCacheGiB": (re.compile(r"Available KV cache memory: ([\d.]+) GiB"), float),
}


def facts(log: str) -> dict[str, Fact]:
    """What is in force; of several workers the first one's words."""
    found: dict[str, Fact] = {}
    for name, (pattern, read) in _FACTS.items():
        if match := pattern.search(log):
            found[name] = read(match[1])
    if arguments := _ARGUMENTS.search(log):
        found[ARGUMENTS] = _SECRET.sub(r"\1'***'", arguments[1])
    return found


def asked(args: Iterable[str]) -> dict[str, Fact]:
    """What arguments of `vllm serve` ask for, as far as `facts` would tell it; the last of several counts."""
    found: dict[str, Fact] = {}
    for option, value in _options(args):
        if option in _NUMBERS and (number := _human(value)) is not None:
            found[_NUMBERS[option]] = number
        elif option in _TEXTS and value != "auto":
            found[_TEXTS[option]] = _DTYPES.get(value, value)
        elif option in _FLAGS:
            name, on = _FLAGS[option]
            found[name] = on
    return found


_NUMBERS = {
    "--max-model-len": "maxModelLen",
    "--max-num-seqs": "maxNumSeqs",
    "--max-num-batched-tokens": "maxNumBatchedTokens",
    "--tensor-parallel-size": "tensorParallelSize",
    "-tp": "tensorParallelSize",
    "--block-size": "blockSize",
}
_TEXTS = {"--dtype": "dtype", "--kv-cache-dtype": "kvCacheDtype"}
_FLAGS = {
    "--enable-prefix-caching": ("prefixCaching", True),
    "--no-enable-prefix-caching": ("prefixCaching", False),
    "--enforce-eager": ("enforceEager", True),
}


def _options(args: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(option, value), written in one argument or in two; a flag has no value."""
    option = ""
    for arg in args:
        if not arg.startswith("-"):
            if option:
                yield option, arg
            option = ""
            continue
        if option:
            yield option, ""
        option, sign, value = arg.partition("=")
        option = option.replace("_", "-")
        if sign:
            yield option, value
            option = ""
    if option:
        yield option, ""


def _human(text: str) -> int | None:
    """`8192`, `8k` (8,000) or `8K` (8,192); None for what is no such number (`auto`, `-1`)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgKMG]?)", text)
    return int(float(match[1]) * _UNITS[match[2]]) if match else None
