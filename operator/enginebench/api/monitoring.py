"""Where the state of the engine's node is told, beside what the engine tells itself."""

from typing import Annotated

from pydantic import Field

from enginebench.api.access import TLS_IS_FOR_HTTPS, TOKEN_IS_SAFE, URL, Secured
from enginebench.api.base import SpecObject
from enginebench.api.rules import matches


class Prometheus(Secured):
    """A Prometheus that scrapes NVIDIA's DCGM exporter. The load pod asks it after each load point."""

    rules = (TLS_IS_FOR_HTTPS, TOKEN_IS_SAFE)

    url: Annotated[
        str,
        Field(min_length=1, max_length=512),
        matches(URL, "must be http://host[:port][/path] or https://…: no user, no query and no slash at the end"),
    ]
    """Where it answers, seen from the run's namespace, without /api/v1: http://prometheus.monitoring.svc:9090."""


class Monitoring(SpecObject):
    """Who tells of the engine's GPUs."""

    prometheus: Prometheus
    """The one to ask."""
