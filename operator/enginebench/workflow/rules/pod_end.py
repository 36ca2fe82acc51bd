"""A container that ended by itself: what killed it, in words, with its last lines."""

import re
from collections.abc import Sequence

from enginebench.workflow.observed import PodView
from enginebench.workflow.problem import Problem
from enginebench.workflow.rules.model_download import download_failure

GPU_OUT_OF_MEMORY = re.compile(
    r"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError|CUDA error: out of memory|cudaMalloc failed: out of memory|"
    r"HIP out of memory|No available memory for the cache blocks",
    re.IGNORECASE,
)
"""How vLLM, PyTorch and llama.cpp say that the GPU's memory is full."""

OUT_OF_DISK = re.compile(
    r"EmptyDir volume \"\S+\" exceeds the limit|exceeds the total limit of containers|exceeded its local ephemeral"
)
"""How the kubelet says that a pod has written more than it may: no disruption, the next one would do the same."""

KILLED = 137
LAST_LINES = 8
LAST_CHARACTERS = 600


def engine_died(pod: PodView) -> Problem:
    """Why the engine's pod is over though nobody ended it."""
    told_by_kubelet = (pod.message, *(trouble.message for trouble in pod.troubles))
    if full := next(filter(OUT_OF_DISK.search, told_by_kubelet), ""):
        return Problem(
            "ModelCacheFull",
            f"Engine pod {pod.name} was taken from node {pod.node} since it had filled its disk: "
            f"{full.strip().rstrip('.')}. Raise modelCache.emptyDir.sizeLimit of the target, or give it a volume "
            "(modelCache.persistentVolumeClaim).",
        )
    ended = pod.terminated
    if ended is None:
        return Problem(
            "EngineExited",
            f"Engine pod {pod.name} is over ({pod.reason or pod.phase}): {pod.message or 'no more is known'}",
        )
    words = "\n".join((*pod.errors, ended.message))
    told = f"Its log says: {in_one_line(pod.errors)}" if pod.errors else f"Its last lines: {last_lines(ended.message)}"
    if GPU_OUT_OF_MEMORY.search(words):
        return Problem(
            "GPUOutOfMemory",
            f"The engine in pod {pod.name} ran out of GPU memory. Use a smaller model, context or number of parallel "
            f"requests, or more GPUs. {told}",
        )
    if ended.reason == "OOMKilled" or ended.exit_code == KILLED:
        return Problem(
            "OutOfMemory",
            f"The engine in pod {pod.name} was killed for lack of memory on the host (exit code {ended.exit_code}, "
            f"{ended.reason or 'killed'}). Raise resources.limits.memory of the target. {told}",
        )
    if (found := download_failure(words)) is not None:
        reason, cure = found
        return Problem(reason, f"The engine in pod {pod.name} could not download its model. {cure} {told}")
    return Problem(
        "EngineExited",
        f"The engine in pod {pod.name} exited with code {ended.exit_code} ({ended.reason or 'no reason given'}). {told}",
    )


def load_pod_died(pod: PodView, last_log_lines: tuple[str, ...]) -> Problem:
    """Why the load pod is over though its work was not done."""
    ended = pod.terminated
    if ended is None:
        return Problem(
            "LoadPodDied",
            f"Load pod {pod.name} is over ({pod.reason or pod.phase}): {pod.message or 'no more is known'}",
        )
    if ended.exit_code == 0:
        return Problem(
            "ResultsMissing",
            f"Load pod {pod.name} exited with code 0 but its results are not complete in its log. Look at the "
            "kubelet's log rotation on its node, and run again.",
        )
    memory = " Raise spec.loadGenerator.resources.limits.memory." if ended.reason == "OOMKilled" else ""
    said = last_lines("\n".join(last_log_lines) or ended.message)
    return Problem(
        "LoadPodDied",
        f"Load pod {pod.name} ended with exit code {ended.exit_code} ({ended.reason or 'no reason given'}) before it "
        f"had measured all points.{memory} Its last lines: {said}",
    )


def in_one_line(errors: Sequence[str]) -> str:
    """The errors that an engine ended with, what failed first before what followed from it."""
    joined = " | ".join(errors)
    return f"{joined[:LAST_CHARACTERS]}…" if len(joined) > LAST_CHARACTERS else joined


def last_lines(text: str) -> str:
    """The end of a log in one line of at most 600 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" ^~") and not line.startswith("EB1 ")]
    joined = " | ".join(lines[-LAST_LINES:])
    return ("…" + joined[-LAST_CHARACTERS:]) if len(joined) > LAST_CHARACTERS else joined or "(none)"
