"""What really ran: the engine's own words, its pod and its node, put together for the status."""

import hashlib
from datetime import datetime

from enginebench.api.fetching import COMMIT, DIGEST_OF_COMMIT, fetched_digest
from enginebench.api.generators import GUIDELLM
from enginebench.api.guidellm_rules import guidellm_of
from enginebench.api.v1alpha1 import (
    Attempt,
    BenchmarkRunSpec,
    DownloadStatus,
    EngineStatus,
    GpuStatus,
    LoadGeneratorStatus,
    ModelFetch,
    Timings,
)
from enginebench.results.messages import Progress
from enginebench.workflow import gpus
from enginebench.workflow.observed import RAN, SENT, Fact, Observed
from enginebench.workflow.target import TargetView

MIB = 1024 * 1024
ARGUMENTS, ENVIRONMENT, REVISION = "arguments", "environment", "revision"
ARGUMENTS_CHARACTERS, ENVIRONMENT_CHARACTERS = 4096, 512
"""Kept of them; nothing in a run of more than DETAILED_POINTS, whose status must stay under 256 KiB."""
ARGUMENTS_OF_ALL = 32 * 1024
"""Characters, for the arguments of all targets together."""
BY_CHANCE = frozenset(
    {
        *("kvCacheTokens", "kvCacheBlocks", "kvCacheGiB", "sizeBytes", "sizeVramBytes", RAN, SENT),
        *("tls", "certificate", ARGUMENTS, ENVIRONMENT),
    }
)
"""Facts that are a little different each time, under the same settings, or that are none of the engine's."""


def engine_status(seen: Observed, target: TargetView) -> EngineStatus | None:
    """The engine of the newest attempt; what an earlier pass read stays where nothing newer is known."""
    heard, pod, known = target.heard.engine, target.engine, target.status.engine
    if known is not None and target.attempt is not None and target.attempt.fingerprint is not None:
        return known  # all that makes the fingerprint was known before it
    url = target.url or (known.url if known is not None else None)
    if heard is None and (pod is None or not pod.image_id) and not url:
        return known
    new = EngineStatus() if known is None or not _same_attempt(target) else known.model_copy()
    new.url = url
    if pod is not None:
        new.image_id = pod.image_id or new.image_id
        new.node = pod.node or new.node
        new.gpu = _gpu(seen, target) or new.gpu
    if heard is not None:
        new.version = heard.version or new.version
        new.served_model = heard.served_model
        new.model_digest = heard.model_digest or _digest(seen, target) or new.model_digest
    facts = {**(new.effective or {}), **_told(seen, target)}
    arguments, environment = facts.pop(ARGUMENTS, None), facts.pop(ENVIRONMENT, None)
    if seen.terms is not None and seen.terms.detailed:
        share = ARGUMENTS_OF_ALL // len(seen.spec.targets) if seen.spec is not None else 0
        new.arguments = _text(arguments, min(ARGUMENTS_CHARACTERS, share)) or new.arguments
        new.environment = _text(environment, ENVIRONMENT_CHARACTERS) or new.environment
    new.effective = facts or None
    return new


def _digest(seen: Observed, target: TargetView) -> str:
    """Of an engine whose API tells none: the commit that its log says it took, else what was fetched for it."""
    assert seen.spec is not None  # a target comes from a spec
    revision = str(_told(seen, target).get(REVISION, ""))
    if COMMIT.fullmatch(revision):
        return DIGEST_OF_COMMIT + revision
    return fetched_digest(seen.spec, seen.status.targets or (), target.spec)


def _told(seen: Observed, target: TargetView) -> dict[str, Fact]:
    """By the engine's API, as the load pod asked it, and by its log, which goes before it."""
    heard, pod = target.heard.engine, target.engine
    facts: dict[str, Fact] = dict(heard.effective) if heard is not None else {}
    size, in_gpu = facts.get("sizeBytes"), facts.get("sizeVramBytes")
    if isinstance(size, int) and isinstance(in_gpu, int) and size > 0:
        facts["gpuOffloadPercent"] = 100 * in_gpu // size
    return facts | (dict(seen.engine_facts.get(pod.uid, {})) if pod is not None else {})


def _text(fact: Fact | None, most: int) -> str | None:
    if fact is None:
        return None
    text = str(fact)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def fingerprint(seen: Observed, target: TargetView, engine: EngineStatus | None) -> str | None:
    """A digest of what served: points of two attempts count together only where it is equal. None: not known yet."""
    if engine is None or target.heard.engine is None:
        return None
    facts = seen.engine_facts.get(target.engine.uid) if target.engine is not None else None
    if target.has_engine and (not engine.image_id or facts is None):
        return None
    product = engine.gpu.product if engine.gpu is not None else ""
    settings = [f"{name}={value}" for name, value in sorted(_told(seen, target).items()) if name not in BY_CHANCE]
    parts = (engine.image_id, engine.version, engine.served_model, engine.model_digest, engine.node, product, *settings)
    return hashlib.sha256("\n".join(part or "" for part in parts).encode()).hexdigest()[:16]


def load_generator(seen: Observed, target: TargetView) -> LoadGeneratorStatus | None:
    """GuideLLM and its version; or what the load pod of the newest attempt that said so carries."""
    said = guidellm_of(seen.spec, target.spec) if seen.spec is not None else None
    if said is not None:
        return LoadGeneratorStatus(generator=GUIDELLM, version=said.version)
    limit = target.heard.engine.generator_limit if target.heard.engine is not None else None
    if limit is None:
        return target.status.load_generator
    return LoadGeneratorStatus(
        tokens_per_second=float(f"{limit.tokens_per_second:.5g}"), streams=limit.streams, bounded=limit.bounded
    )


def timings(target: TargetView, fetch: ModelFetch | None) -> Timings | None:
    """How long each step of the start took, as far as it is known."""
    pod, heard, known = target.engine, target.heard.engine, target.status.timings
    if known is not None and known.warmup_seconds is not None and _same_attempt(target):
        return known  # the last step was the last to come
    fetched = fetch.seconds if fetch is not None else None
    if pod is None and heard is None:
        return known if known is not None or fetched is None else Timings(model_download_seconds=fetched)
    new = known.model_copy() if known is not None and _same_attempt(target) else Timings()
    new.model_download_seconds = fetched
    if pod is not None and pod.scheduled_at is not None:
        new.scheduled_seconds = _seconds(pod.created, pod.scheduled_at)
        if pod.started_at is not None:
            new.image_pull_seconds = _seconds(pod.scheduled_at, pod.started_at)
    if heard is None:
        return new
    pulled, served_at = heard.model_download_seconds, heard.answered_at or heard.at
    if pulled is not None:
        new.model_download_seconds = _rounded(pulled)
    if pod is not None and pod.started_at is not None:
        new.startup_seconds = _rounded(max(0.0, served_at - pod.started_at.timestamp() - (pulled or 0.0)))
    new.verified_seconds = _rounded(heard.at - served_at)
    if target.heard.loading_at is not None:
        new.warmup_seconds = _rounded(max(0.0, target.heard.loading_at - heard.at))
    return new


def download(progress: Progress | None, known: DownloadStatus | None) -> DownloadStatus | None:
    """How far a download is, in steps of a MiB or a percent: the status is not written for each word."""
    if progress is None or progress.stage != "DownloadingModel" or progress.bytes_done is None:
        return None
    step = max(MIB, (progress.bytes_total or 0) // 100)
    done = progress.bytes_done if progress.bytes_done == progress.bytes_total else progress.bytes_done // step * step
    if known is not None and (known.bytes_done, known.bytes_total) == (done, progress.bytes_total):
        return known
    return DownloadStatus(
        bytes_done=done,
        bytes_total=progress.bytes_total,
        bytes_per_second=progress.bytes_per_second,
        remaining_seconds=progress.remaining_seconds,
    )


def attempt_facts(seen: Observed, target: TargetView, attempt: Attempt, engine: EngineStatus | None) -> Attempt:
    """The attempt with what has become known of it: the engine pod's UID and the fingerprint. Set once."""
    update: dict[str, str] = {}
    if attempt.pod_uid is None and target.engine is not None:
        update["pod_uid"] = target.engine.uid
    if attempt.fingerprint is None and (print_ := fingerprint(seen, target, engine)) is not None:
        update["fingerprint"] = print_
    return attempt.model_copy(update=update) if update else attempt


def _same_attempt(target: TargetView) -> bool:
    """What the status says of the engine is of this attempt, or there was only one."""
    return target.attempt is not None and (target.attempt.number == 1 or target.attempt.fingerprint is not None)


def _gpu(seen: Observed, target: TargetView) -> GpuStatus | None:
    """As GPU feature discovery labels the node (https://github.com/NVIDIA/k8s-device-plugin/tree/main/docs/gpu-feature-discovery):
    a MIG profile that is a resource of its own has labels of its own."""
    assert seen.spec is not None  # a target comes from a spec
    assert seen.terms is not None
    asked = seen.terms.pods[target.name]
    if not asked.gpu_count:
        return None
    labels = seen.nodes[target.engine.node].labels if target.engine and target.engine.node in seen.nodes else {}
    return GpuStatus(
        product=gpus.product(labels, asked.gpu_resource),
        count=asked.gpu_count,
        driver=gpus.driver(labels),
        resource=asked.gpu_resource,
        memory_mebibytes=gpus.memory_mebibytes(labels, asked.gpu_resource),
        cuda=labels.get(gpus.CUDA),
        mig_strategy=labels.get(gpus.MIG_STRATEGY),
        sharing=gpus.sharing(labels, asked.gpu_resource),
        replicas=gpus.replicas(labels, asked.gpu_resource),
        state=_gpu_state(seen.spec, target),
    )


def _gpu_state(spec: BenchmarkRunSpec, target: TargetView) -> str | None:
    """Whether anything is known of clocks and heat; None: the first point will tell."""
    if spec.monitoring is None:
        return "Unobserved"
    told = [row.gpu_state for row in target.rows if row.gpu_state is not None]
    if not told:
        return None
    return "Unobserved" if all(one.unobserved for one in told) else "Observed"


def _seconds(start: datetime, end: datetime) -> float:
    return round((end - start).total_seconds(), 1)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
