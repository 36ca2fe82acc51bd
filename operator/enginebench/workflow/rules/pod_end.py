"""A container that ended by itself: what killed it, in words, with its last lines."""

import re

from enginebench.workflow.observed import PodView
from enginebench.workflow.problem import Problem

GPU_OUT_OF_MEMORY = re.compile(
    r"CUDA out of memory|torch\.(cuda\.)?OutOfMemoryError|CUDA error: out of memory|cudaMalloc failed: out of memory|"
    r"HIP out of memory|No available memory for the cache blocks",
    re.IGNORECASE,
)
"""How vLLM, PyTorch and llama.cpp say that the GPU's memory is full."""

OUT_OF_DISK = re.compile(
    r"EmptyDir volume \"\S+\" exceeds the limit|exceeds the total limit of containers|exceeded its local ephemeral"
)
"""How the kubelet says that a pod has written more than it may: the same would happen to the next one."""

KILLED = 137
LAST_LINES = 8
LAST_CHARACTERS = 600


def engine_died(pod: PodView) -> Problem:
    """Why the engine's pod is over though nobody ended it."""
    ended = pod.terminated
    said = last_lines(ended.message) if ended is not None else ""
    if ended is None:
        return Problem(
            "EngineExited",
            f"Engine pod {pod.name} is over ({pod.reason or pod.phase}): {pod.message or 'no more is known'}",
        )
    if GPU_OUT_OF_MEMORY.search(ended.message):
        return Problem(
            "GPUOutOfMemory",
            f"The engine in pod {pod.name} ran out of GPU memory. Use a smaller model, context or number of parallel "
            f"requests, or more GPUs. Its last lines: {said}",
        )
    if ended.reason == "OOMKilled" or ended.exit_code == KILLED:
        return Problem(
            "OutOfMemory",
            f"The engine in pod {pod.name} was killed for lack of memory on the host (exit code {ended.exit_code}, "
            f"{ended.reason or 'killed'}). Raise resources.limits.memory of the target. Its last lines: {said}",
        )
    return Problem(
        "EngineExited",
        f"The engine in pod {pod.name} exited with code {ended.exit_code} ({ended.reason or 'no reason given'}). "
        f"Its last lines: {said}",
    )


def disk_filled(pod: PodView) -> Problem | None:
    """The engine's pod was ended for what it wrote, which is mostly the model."""
    if not OUT_OF_DISK.search(pod.message):
        return None
    return Problem(
        "ModelCacheFull",
        f"Engine pod {pod.name} was taken from node {pod.node} since it had filled its disk: "
        f"{pod.message.strip().rstrip('.')}. Raise modelCache.emptyDir.sizeLimit of the target, or give it a volume "
        "(modelCache.persistentVolumeClaim).",
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


def last_lines(text: str) -> str:
    """The end of a log in one line of at most 600 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip(" ^~") and not line.startswith("EB1 ")]
    joined = " | ".join(lines[-LAST_LINES:])
    return ("…" + joined[-LAST_CHARACTERS:]) if len(joined) > LAST_CHARACTERS else joined or "(none)"
