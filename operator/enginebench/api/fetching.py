"""Whose model a Job brings onto a claim before the engine asks for a GPU, and what it brings."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from enginebench.api.engines import Target, Vllm
from enginebench.api.loadplan import FetchPlan
from enginebench.api.pod_resolve import model_cache, resolve_pod
from enginebench.api.spec import BenchmarkRunSpec
from enginebench.api.target_status import TargetStatus

OWN_FORMATS = ("auto", "safetensors")
"""Values of vLLM's --load-format with which it takes the weights that a fetch takes, too."""
MODELSCOPE = "VLLM_USE_MODELSCOPE"
"""The variable that has vLLM look elsewhere than on Hugging Face."""
HUB_NAME_PARTS = 2
"""`organization/name`."""

COMMIT = re.compile(r"[0-9a-f]{40}")
DIGEST_OF_COMMIT = "commit:"

Source = tuple[str, str, str, FetchPlan]
"""(claim, kind of engine, model, plan): equal ones are one download."""


def claim_of(spec: BenchmarkRunSpec, target: Target) -> str:
    """The claim that the target's model is fetched onto; empty: nothing is."""
    if target.ollama is None and (target.vllm is None or not _from_hub(target.vllm)):
        return ""
    cache = model_cache(spec, target)
    claim = cache.persistent_volume_claim if cache is not None else None
    if claim is None or any(variable.name == MODELSCOPE for variable in resolve_pod(spec, target).env):
        return ""
    return claim.claim_name


def source_of(spec: BenchmarkRunSpec, target: Target) -> Source:
    """What is fetched, and where to. The token is no part of it: the model is the same."""
    plan = replace(fetch_plan(target), token_from="")
    return claim_of(spec, target), target.engine_kind, target.model, plan


def fetched_digest(spec: BenchmarkRunSpec, told: Sequence[TargetStatus], target: Target) -> str:
    """Of the target's model as it was fetched onto the claim, for this target or for another one with the same model;
    empty: none is known."""
    if not claim_of(spec, target):
        return ""
    same = {one.name for one in spec.targets if source_of(spec, one) == source_of(spec, target)}
    digests = (one.model_fetch.digest for one in told if one.name in same and one.model_fetch is not None)
    return next(filter(None, digests), "")


def commit_of(digest: str) -> str:
    """The commit that a digest names; empty: it names none, or more than one."""
    commit = digest.removeprefix(DIGEST_OF_COMMIT)
    return commit if COMMIT.fullmatch(commit) and commit != digest else ""


def fetch_plan(target: Target) -> FetchPlan:
    """What vLLM's arguments say of where its model lies; nothing for Ollama, which is asked by the model's name."""
    if target.vllm is None:
        return FetchPlan()
    args, token = target.vllm.args or (), target.vllm.token_secret_ref
    return FetchPlan(
        revision=_option(args, "--revision"),
        weights_folder=_option(args, "--download-dir"),
        all_weights=_option(args, "--load-format") not in ("", *OWN_FORMATS),
        token_from=f"key {token.key} of Secret {token.name}" if token is not None else "",
    )


def _from_hub(said: Vllm) -> bool:
    """A folder, or a name on Hugging Face. What else vLLM knows (s3://…, a file in a repository) is left to it."""
    model = said.model
    if _option(said.args or (), "--load-format") == "dummy":
        return False
    return model.startswith("/") or (":" not in model and model.count("/") < HUB_NAME_PARTS)


def _option(args: Sequence[str], name: str) -> str:
    """The value of an option, as `--name=value` or `--name value`; the last one counts."""
    found = ""
    for place, arg in enumerate(args):
        word, equals, value = arg.partition("=")
        if word.replace("_", "-") == name:
            found = value if equals else args[place + 1] if place + 1 < len(args) else ""
    return found
