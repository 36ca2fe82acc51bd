"""How the run itself is carried out: the load generator, where engines go, how long to wait for what."""

from typing import Annotated, Literal

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.generators import GuideLlm, NativeGenerator
from enginebench.api.resources import Resources
from enginebench.api.rules import Rule
from enginebench.api.types import Name, NodeSelector

Patience = Annotated[int, Field(ge=1, le=604800)]


class LoadGenerator(SpecObject):
    """Where the load comes from."""

    rules = (
        Rule(
            sentence="native and guidellm exclude each other: remove one of them. To load an engine by both, make it two "
            "targets, and set loadGenerator in one of them",
            cel="!(has(self.native) && has(self.guidellm))",
            holds=lambda self: self.native is None or self.guidellm is None,
            field=".guidellm",
        ),
    )

    pods: Annotated[int, Field(ge=1, le=32)] = 1
    """How many load pods: for loads that one node's CPU or network cannot carry. Each load point is dealt out to them,
    measured over their common time, and its results are merged exactly. At most as many as the lowest level has
    users. Each mounts what the first one mounts: a claim must allow as many nodes. The first one leads the others,
    which reach it at its port 8002."""
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes of a load pod, each with its share of the users and a loop of its own: for loads that one core cannot
    carry (loadGenerator.calibrate tells what they carry together). At most one a core of the pod."""
    native: NativeGenerator | None = None
    """EngineBench's own load generator; used where neither is set."""
    guidellm: GuideLlm | None = None
    """GuideLLM instead, for every target that does not say otherwise in its own loadGenerator."""
    calibrate: bool = False
    """While the engine starts, the first load pod measures how many tokens/s its processes can receive without distorting
    them, against a simulated engine beside them: status.targets[].loadGenerator. Takes about a minute."""
    resources: Resources | None = None
    """CPU and memory of the load pod. Where nothing is said: requests of 500m for each process, of 512Mi for the first
    one and 256Mi for each further one; of 1 CPU and 2Gi for GuideLLM, whose container they are meant for then."""
    node_selector: NodeSelector | None = None
    """Labels of the node that the load pod goes to."""


class Placement(SpecObject):
    """How the engines' nodes relate to each other; the load pod is free."""

    topology: Literal["SameNode", "SameProduct", "Any"] = "SameNode"
    """SameNode: the first engine goes where the scheduler puts it, the others to the same node. SameProduct:
    nodes with the same GPU product (label nvidia.com/gpu.product). Any: each where the scheduler puts it."""


class ResultsClaim(SpecObject):
    """A claim in the run's namespace."""

    claim_name: Name
    """Name of the PersistentVolumeClaim. The load pods write to it, one after another."""


class KeptResults(SpecObject):
    """What is kept beside the figures, their distributions and series."""

    rules = (
        Rule(
            sentence="is true, but persistentVolumeClaim does not say where the requests are to be kept: name a claim",
            cel="!self.requests || has(self.persistentVolumeClaim)",
            holds=lambda self: not self.requests or self.persistent_volume_claim is not None,
            field=".requests",
        ),
        Rule(
            sentence="is for the requests, which requests: true asks for: set it, or remove the claim",
            cel="!has(self.persistentVolumeClaim) || self.requests",
            holds=lambda self: self.persistent_volume_claim is None or self.requests,
            field=".persistentVolumeClaim",
        ),
    )

    requests: bool = False
    """Every request, as a line of JSON in a compressed file a load point."""
    persistent_volume_claim: ResultsClaim | None = None
    """Where these files are kept. They outlive the run."""


class Timeouts(SpecObject):
    """How long to wait before a target has failed."""

    scheduling_seconds: Patience = 3600
    """For a node to take the engine."""
    image_pull_seconds: Patience = 1800
    """For the engine's image."""
    model_download_seconds: Patience = 7200
    """For the model's download onto a claim, or by Ollama. vLLM without a claim, and llama.cpp, download as they start:
    startupSeconds counts."""
    model_download_stall_seconds: Patience = 180
    """For the next byte of that download. Ollama itself asks anew for the rest when none has come for 30 s."""
    startup_seconds: Patience = 1800
    """For the engine to serve, its model loaded. Ollama's download is not counted."""
    verification_seconds: Patience = 600
    """From then on until a real completion has come back."""
    point_grace_seconds: Patience = 120
    """How much longer than a minute a load pod may say nothing before it is given up."""
