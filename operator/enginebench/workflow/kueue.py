"""Kueue, as a run meets it: a label asks for a queue, a scheduling gate holds the engine's pod back until it is admitted.

pkg/controller/jobs/pod of Kueue's sources: its webhook gives the pods that it takes charge of a label, a gate and a
finalizer as they are created; who is evicted gets the condition TerminationTarget and is deleted, and is not created
again.
"""

from enginebench.workflow.observed import PodView
from enginebench.workflow.problem import Problem
from enginebench.workflow.target import TargetView

QUEUE = "kueue.x-k8s.io/queue-name"
COPIED = (QUEUE, "kueue.x-k8s.io/priority-class")
"""Labels of the run that its engines' pods get, too."""
MANAGED = "kueue.x-k8s.io/managed"
JOB_UID = "kueue.x-k8s.io/job-uid"
"""Of a Workload: the UID of its pod."""
TERMINATED = "TerminationTarget"


def queue_ignored(target: TargetView, _: object) -> Problem | None:
    """The engine was to wait in a queue and runs outside of it: whoever shares the quota would pay for that."""
    pod = target.engine
    if pod is None or not pod.queue or pod.managed or pod.gated:
        return None
    return Problem(
        "KueuePodIntegrationDisabled",
        f"Engine pod {pod.name} asks for queue {pod.queue} by its label {QUEUE}, and Kueue has not taken charge of it: "
        'it would run outside of the quota. Have Kueue\'s integration "pod" enabled for this namespace, or remove the '
        "label.",
    )


def waits(pod: PodView) -> str:
    """Of a pod with scheduling gates: what it waits for, in words."""
    if pod.queue:
        return f"pod {pod.name} waits in queue {pod.queue}{f': {pod.queued}' if pod.queued else ''}"
    return f"pod {pod.name} waits to be admitted (scheduling gates: {', '.join(pod.gates)})"
