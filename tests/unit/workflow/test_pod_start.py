"""What holds a pod that does not get going, and when that is a failure."""

from typing import Any

import pytest

from enginebench.api.resolve import timeouts
from enginebench.workflow.observed import PodView, Trouble, Waiting
from enginebench.workflow.rules.pod_start import stuck
from tests.unit.workflow.build import at, engine, moment, spec

LIMITS = timeouts(spec(timeouts={"schedulingSeconds": 130, "imagePullSeconds": 200}))
PENDING: dict[str, Any] = {"phase": "Pending", "started_at": None, "image_id": ""}
UNSCHEDULED = PENDING | {"scheduled_at": None, "node": "", "unschedulable": "0/2 nodes: Insufficient nvidia.com/gpu."}
NO_CLAIM = UNSCHEDULED | {"unschedulable": '0/2 nodes are available: persistentvolumeclaim "models" not found.'}
PULL = Waiting("ImagePullBackOff", "Back-off pulling image: not found")
SECRET = Waiting("CreateContainerConfigError", 'secret "hf-token" not found')


def mount(message: str) -> tuple[Trouble, ...]:
    return (Trouble("FailedMount", message, at(5), at(60)),)


MISSING = mount('MountVolume.SetUp failed for volume "x" : configmap "prompts" not found')
NO_DRIVER = mount("kubernetes.io/csi: driver name csi.example.com not found in the list of registered CSI drivers")
BUSY = mount("Multi-Attach error for volume")


@pytest.mark.parametrize(
    ("pod", "now", "want_reason", "want_words"),
    [
        ({}, 9000, None, ""),
        (UNSCHEDULED, 129, None, ""),
        (UNSCHEDULED, 130, "Unschedulable", "0/2 nodes: Insufficient nvidia.com/gpu."),
        (UNSCHEDULED | {"gates": ("kueue.x-k8s.io/admission",)}, 9000, None, ""),
        (NO_CLAIM, 119, None, ""),
        (NO_CLAIM, 120, "VolumeNotFound", "Create the claim"),
        (PENDING, 200, None, ""),
        (PENDING, 201, "ImagePullTimeout", "spec.timeouts.imagePullSeconds"),
        (PENDING | {"waiting": PULL}, 60, None, ""),
        (PENDING | {"waiting": PULL}, 61, "ImagePullFailed", "engine:1 cannot be pulled"),
        (PENDING | {"waiting": PULL, "troubles": (Trouble("Failed", "x", at(100), at(110)),)}, 120, None, ""),
        (PENDING | {"waiting": Waiting("InvalidImageName", "bad")}, 2, "ImagePullFailed", "bad"),
        (PENDING | {"waiting": SECRET}, 30, None, ""),
        (PENDING | {"waiting": SECRET}, 31, "ContainerConfigError", 'secret "hf-token" not found'),
        (
            PENDING | {"waiting": Waiting("RunContainerError", "no such file")},
            31,
            "ContainerStartFailed",
            "no such file",
        ),
        (PENDING | {"troubles": MISSING}, 34, None, ""),
        (PENDING | {"troubles": MISSING}, 35, "VolumeNotFound", 'configmap "prompts" not found'),
        (PENDING | {"troubles": BUSY}, 124, None, ""),
        (PENDING | {"troubles": BUSY}, 125, "VolumeNotAttachable", "Multi-Attach"),
        (PENDING | {"troubles": BUSY, "mounted": True}, 150, None, ""),  # it is over; the image is pulled
        (PENDING | {"troubles": NO_DRIVER}, 124, None, ""),
        (PENDING | {"troubles": NO_DRIVER}, 125, "VolumeNotAttachable", "driver name csi.example.com not found"),
    ],
)
def test_stuck(pod: dict[str, Any], now: float, want_reason: str | None, want_words: str) -> None:
    problem = stuck(engine(**pod), moment(now), LIMITS)
    assert (problem.reason if problem else None) == want_reason
    assert want_words in (problem.message if problem else "")


def test_a_flapping_registry_gets_its_grace_from_the_first_complaint() -> None:
    def complained(until: float) -> PodView:
        return engine(**PENDING, waiting=PULL, troubles=(Trouble("BackOff", "x", at(100), at(until)),))

    assert stuck(complained(159), moment(159), LIMITS) is None
    assert stuck(complained(160), moment(160), LIMITS) is not None


def test_a_long_pull_after_a_flap_is_not_a_failed_one() -> None:
    """The kubelet says ImagePullBackOff until the pull has ended, but complains no more."""
    pod = engine(**PENDING, waiting=PULL, troubles=(Trouble("Failed", "x", at(100), at(110)),))
    assert stuck(pod, moment(190), LIMITS) is None


def test_the_time_that_a_pod_was_gated_does_not_count() -> None:
    pod = engine(**UNSCHEDULED)
    assert stuck(pod, moment(629), LIMITS, active_since=at(500)) is None
    assert stuck(pod, moment(630), LIMITS, active_since=at(500)) is not None
