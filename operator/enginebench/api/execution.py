"""How the run itself is carried out: the load generator, where engines go, how long to wait for what."""

from typing import Annotated, Literal

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.resources import Resources
from enginebench.api.rules import Rule
from enginebench.api.types import NodeSelector

Patience = Annotated[int, Field(ge=1, le=604800)]


class NativeGenerator(SpecObject):
    """EngineBench's own load generator."""


class LoadGenerator(SpecObject):
    """Where the load comes from."""

    pods: Annotated[
        int,
        Rule(
            sentence="must be 1: one load pod carries up to 4096 users",
            cel="self == 1",
            holds=lambda pods: pods == 1,
        ),
    ] = 1
    """How many load pods; one carries up to 4096 users."""
    native: NativeGenerator | None = None
    """EngineBench's own load generator; used where absent, too."""
    calibrate: bool = False
    """While the engine starts, each load pod measures how many tokens/s it can receive without distorting them,
    against a simulated engine beside it: status.targets[].loadGenerator. Takes about a minute."""
    resources: Resources | None = None
    """CPU and memory of the load pod. Requests of 500m and 512Mi where nothing is said."""
    node_selector: NodeSelector | None = None
    """Labels of the node that the load pod goes to."""


class Placement(SpecObject):
    """How the engines' nodes relate to each other; the load pod is free."""

    topology: Literal["SameNode", "SameProduct", "Any"] = "SameNode"
    """SameNode: the first engine goes where the scheduler puts it, the others to the same node. SameProduct:
    nodes with the same GPU product (label nvidia.com/gpu.product). Any: each where the scheduler puts it."""


class Timeouts(SpecObject):
    """How long to wait before a target has failed."""

    scheduling_seconds: Patience = 3600
    """For a node to take the engine."""
    image_pull_seconds: Patience = 1800
    """For the engine's image."""
    model_download_seconds: Patience = 7200
    """For Ollama to download the model. vLLM downloads as it starts: startupSeconds counts."""
    startup_seconds: Patience = 1800
    """For the engine to serve the model. Ollama's download is not counted, vLLM's is."""
    point_grace_seconds: Patience = 120
    """How much longer than a minute a load pod may say nothing before it is given up."""
