"""A pod that does not get going: what holds it, and for how long that is tolerated.

The words of the scheduler, the kubelet and the registry are passed on as they are; we add the object and the cure.
"""

import re
from datetime import datetime, timedelta

from enginebench.api.resolve import ResolvedTimeouts
from enginebench.workflow.moment import Moment
from enginebench.workflow.observed import PodView
from enginebench.workflow.problem import Problem

PULL_FLAPS = timedelta(seconds=60)
"""Registries flap: a failed pull is tried again this long before it counts."""
CONFIG_GRACE = timedelta(seconds=30)
"""A Secret may be applied just after the run."""
MOUNT_GRACE = timedelta(seconds=120)
"""A volume that is still attached elsewhere gets this long to come free."""

COMPLAINTS = ("Failed", "BackOff", "FailedCreatePodSandBox")
"""Reasons of the kubelet's Events about an image or a container."""
NO_CLAIM = "persistentvolumeclaim"
"""The scheduler's word for a claim; one that is not there is no matter of free nodes."""
MISSING = re.compile(
    r"\b(configmap|secret|persistentvolumeclaim|persistentvolume) \\?\"[^\"]*\" not found|references non-existent",
    re.IGNORECASE,
)
"""The kubelet's words for an object that is not there. A driver that is "not found" is another matter."""
NEVER_PULLED = ("InvalidImageName", "ErrImageNeverPull")
PULL_FAILED = (
    "ErrImagePull",
    "ImagePullBackOff",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "ImageInspectError",
)
NOT_CREATED = (
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PostStartHookError",
)


def stuck(
    pod: PodView, now: Moment, timeouts: ResolvedTimeouts, *, active_since: datetime | None = None
) -> Problem | None:
    """Why a pod that has not started never will, or None while there is hope.

    No clock runs while it is gated; `active_since` is when the run's clock last began to tick.
    """
    if pod.gated or pod.started_at is not None or pod.terminated is not None or pod.over:
        return None
    if pod.scheduled_at is None:
        return _unschedulable(pod, now, timeouts, max(pod.created, active_since or pod.created))
    return _unmountable(pod, now) or _image(pod, now, timeouts) or _not_created(pod, now)


def _unschedulable(pod: PodView, now: Moment, timeouts: ResolvedTimeouts, since: datetime) -> Problem | None:
    patience = timedelta(seconds=timeouts.scheduling_seconds)
    no_claim = NO_CLAIM in pod.unschedulable and "not found" in pod.unschedulable
    if no_claim and now.reached(since + min(MOUNT_GRACE, patience)):
        return Problem(
            "VolumeNotFound",
            f"Pod {pod.name} has no volume: {pod.unschedulable} Create the claim in the run's namespace, and run again.",
        )
    if not now.reached(since + patience):
        return None
    said = pod.unschedulable or "the scheduler said nothing."
    return Problem(
        "Unschedulable",
        f"Pod {pod.name} found no node within {timeouts.scheduling_seconds} s: {said} Free or add such a node, "
        "or change the target's gpu, nodeSelector or tolerations; spec.timeouts.schedulingSeconds sets the wait.",
    )


def _unmountable(pod: PodView, now: Moment) -> Problem | None:
    if pod.mounted:  # Events of a trouble that is over stay for an hour
        return None
    for trouble in pod.troubles:
        if trouble.reason not in ("FailedMount", "FailedAttachVolume"):
            continue
        missing = MISSING.search(trouble.message) is not None
        if now.reached(trouble.first + (CONFIG_GRACE if missing else MOUNT_GRACE)):
            reason = "VolumeNotFound" if missing else "VolumeNotAttachable"
            cure = "Create it in the run's namespace" if missing else "Free the volume or use another"
            return Problem(reason, f"Pod {pod.name} cannot mount a volume: {trouble.message} {cure}, and run again.")
    return None


def _image(pod: PodView, now: Moment, timeouts: ResolvedTimeouts) -> Problem | None:
    waiting = pod.waiting
    assert pod.scheduled_at is not None  # the caller asked
    if waiting is not None and waiting.reason in NEVER_PULLED:
        return _pull_failed(pod, waiting.message or waiting.reason)
    if waiting is not None and waiting.reason in PULL_FAILED and _fails_for_long(pod, now):
        return _pull_failed(pod, waiting.message or waiting.reason)
    limit = timeouts.image_pull_seconds
    if now.reached(pod.scheduled_at + timedelta(seconds=limit)):
        said = f" ({waiting.message or waiting.reason})" if waiting is not None else ""
        return Problem(
            "ImagePullTimeout",
            f"Pod {pod.name} did not start within {limit} s on node {pod.node}: image {pod.image} is not there "
            f"yet{said}. Pull it to the node beforehand or raise spec.timeouts.imagePullSeconds.",
        )
    return None


def _pull_failed(pod: PodView, said: str) -> Problem:
    return Problem(
        "ImagePullFailed",
        f"Image {pod.image} cannot be pulled for pod {pod.name}: {said} Check the image's name and tag, and the "
        "target's imagePullSecrets.",
    )


def _not_created(pod: PodView, now: Moment) -> Problem | None:
    waiting = pod.waiting
    if waiting is None or waiting.reason not in NOT_CREATED or not now.reached(_first_failure(pod) + CONFIG_GRACE):
        return None
    reason = "ContainerConfigError" if waiting.reason == "CreateContainerConfigError" else "ContainerStartFailed"
    return Problem(
        reason,
        f"The container of pod {pod.name} cannot be created: {waiting.message or waiting.reason}. "
        "Create what is missing in the run's namespace, or correct the target, and run again.",
    )


def _fails_for_long(pod: PodView, now: Moment) -> bool:
    """The kubelet has complained for too long. A long pull after a short flap still bears the flap's name, but no new
    complaint comes."""
    due = _first_failure(pod) + PULL_FLAPS
    last = max((t.last for t in pod.troubles if t.reason in COMPLAINTS), default=None)
    return now.reached(due) if last is None else last >= due


def _first_failure(pod: PodView) -> datetime:
    """When the kubelet first complained; the Events know, else the time it got the pod is the best guess."""
    assert pod.scheduled_at is not None  # the callers asked
    complaints = [t.first for t in pod.troubles if t.reason in COMPLAINTS]
    return max(min(complaints), pod.scheduled_at) if complaints else pod.scheduled_at
