"""CPU, memory and GPUs of a pod."""

from typing import Annotated

from pydantic import Field

from enginebench.api.base import SpecObject
from enginebench.api.quantity import exceeds
from enginebench.api.rules import Rule, matches
from enginebench.api.types import Quantity

DEFAULT_GPU_RESOURCE = "nvidia.com/gpu"

_PLAIN = ("cpu", "memory", "ephemeral-storage")

_KNOWN_NAMES = Rule(
    sentence="must name resources of a container: cpu, memory, ephemeral-storage, hugepages-<size>, "
    "or an extended resource such as rdma/hca",
    cel=f"self.all(k, k in {list(_PLAIN)} || k.startsWith('hugepages-') || k.contains('/'))",
    holds=lambda amounts: all(k in _PLAIN or k.startswith("hugepages-") or "/" in k for k in amounts),
)

Amounts = Annotated[dict[str, Quantity], Field(max_length=16), _KNOWN_NAMES]


def _fits(asked: str, limit: str | None) -> bool:
    return limit is None or not exceeds(asked, limit)


class Resources(SpecObject):
    """CPU, memory and the like, as in a container."""

    rules = (
        Rule(
            sentence="must not be above limits: lower the request, or raise the limit",
            cel="!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || "
            "!isQuantity(self.requests[k]) || !isQuantity(self.limits[k]) || "
            "!quantity(self.requests[k]).isGreaterThan(quantity(self.limits[k])))",
            holds=lambda self: all(
                _fits(asked, (self.limits or {}).get(name)) for name, asked in (self.requests or {}).items()
            ),
            field=".requests",
        ),
        Rule(
            sentence="must give an extended resource (with / in its name) in limits too, and equally: "
            "it cannot be overcommitted",
            cel="!has(self.requests) || self.requests.all(k, !k.contains('/') || "
            "(has(self.limits) && k in self.limits && self.limits[k] == self.requests[k]))",
            holds=lambda self: all(
                "/" not in name or (self.limits or {}).get(name) == asked
                for name, asked in (self.requests or {}).items()
            ),
            field=".requests",
        ),
    )

    requests: Amounts | None = None
    """What is reserved, by resource: cpu: "4", memory: 32Gi."""
    limits: Amounts | None = None
    """What is never exceeded, by resource."""


class Gpu(SpecObject):
    """GPUs of one engine; requested with requests = limits."""

    count: Annotated[int, Field(ge=0, le=64)] | None = None
    """How many. Where absent, 1, and 0 for simulated. 0 rehearses on the CPU. vLLM spreads its model over
    them (--tensor-parallel-size), unless its args have a parallel size of their own."""
    resource: (
        Annotated[
            str,
            Field(min_length=1, max_length=317),
            matches(
                "[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?",
                "must be an extended resource such as nvidia.com/gpu or nvidia.com/mig-3g.20gb",
            ),
        ]
        | None
    ) = None
    """The extended resource that a device plugin offers. nvidia.com/gpu where absent."""
