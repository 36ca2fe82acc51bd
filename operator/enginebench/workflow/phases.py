"""What a target is doing, in one word and one sentence, read off its children. Nothing is decided from it."""

from enginebench.workflow.kueue import waits
from enginebench.workflow.observed import PodView
from enginebench.workflow.target import TargetView

Phase = tuple[str, str]
"""(phase, message)"""


def phase_of_open(target: TargetView, points_total: int) -> Phase:
    """The step at which the open attempt stands, its message made for people who wait."""
    if target.refused:
        return target.status.phase or "Scheduling", f"the API server refuses to create an object: {target.refused}"
    if target.waits_for_reference:
        known = target.reference
        return "Starting", known.words if known is not None and known.words else "looking where the endpoint answers"
    if target.has_engine and (early := before_it_runs(target.engine)) is not None:
        return early
    heard = target.heard
    if heard.engine is None and target.verified:  # a new operator has not read the load pod's log yet
        return target.status.phase or "Loading", target.status.message or ""
    if heard.engine is None:
        return _before_it_answers(target)
    if heard.ended:
        return "Collecting", "all load points are measured"
    progress = heard.progress
    if progress is not None and progress.stage in ("WarmingUp", "Loading", "Draining"):
        phase = "WarmingUp" if progress.stage == "WarmingUp" else "Loading"
        return phase, progress.message or f"load point of {points_total}"
    return "WarmingUp", "the engine serves the right model"


def before_it_runs(pod: PodView | None) -> Phase | None:
    """Until its main container runs; None from then on."""
    if pod is None:
        return "Scheduling", "creating the engine's pod"
    if pod.gated:
        return "Queued", waits(pod)
    if pod.scheduled_at is None:
        said = f": {pod.unschedulable}" if pod.unschedulable else ""
        return "Scheduling", f"pod {pod.name} waits for a node{said}"
    if pod.started_at is None and pod.terminated is None:
        waiting = pod.waiting
        if waiting is not None and waiting.reason not in ("ContainerCreating", "PodInitializing"):
            return "PullingImage", f"{waiting.reason}: {waiting.message or pod.image}"
        trouble = next((t for t in pod.troubles if t.reason.startswith("Failed")), None)
        return (
            "PullingImage",
            trouble.message if trouble is not None else f"node {pod.node} gets {pod.image} ready",
        )
    return None


def _before_it_answers(target: TargetView) -> Phase:
    progress = target.heard.progress
    if progress is None:
        load = target.load
        if load is not None and load.waiting is not None and load.waiting.reason != "ContainerCreating":
            return "Starting", f"load pod {load.name}: {load.waiting.reason}: {load.waiting.message}"
        return "Starting", "the engine starts"
    if progress.stage == "DownloadingModel":
        return "DownloadingModel", progress.message or "downloading the model"
    if progress.stage == "LoadingModel":
        return "Starting", progress.message or "the engine loads the model"
    if progress.stage == "Verifying":
        return "Verifying", progress.message or "asking the engine what it serves"
    return "Starting", progress.message or "waiting for the engine to answer"
