"""What the operator remembers between passes. Losing it costs repeated reads, never an outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from enginebench.api.base import StatusObject
from enginebench.api.endpoint import Endpoint
from enginebench.api.v1alpha1 import BenchmarkRunSpec, BenchmarkRunStatus
from enginebench.cluster.api import Obj
from enginebench.cluster.views import Look
from enginebench.workflow.observed import Fact, NodeView, Observed
from enginebench.workflow.plan import Plan
from enginebench.workflow.terms import Terms

Place = tuple[str, int, str]
"""(target, attempt, role letter) of a child."""


@dataclass(slots=True)
class RunMemory:
    """About one run, by its UID."""

    generation: int = -1
    spec: BenchmarkRunSpec | None = None
    spec_error: str = ""
    terms: Terms | None = None
    resource_version: str = ""
    asked: Mapping[str, Mapping[str, Fact]] = field(default_factory=dict)
    """By target: the settings that the spec asks of its engine."""
    referring: list[tuple[str, Endpoint]] = field(default_factory=list)
    """(target, its endpoint) of those whose endpoint is an object's."""
    status: BenchmarkRunStatus | None = None
    plain: dict[int, tuple[StatusObject, Obj]] = field(default_factory=dict)
    """By identity: rows and targets as they were last written, and that as plain data."""
    settled: tuple[Observed, Plan] | None = None
    """What was observed last, and what followed from it, if that was nothing."""
    looks: dict[str, tuple[str | None, Look]] = field(default_factory=dict)
    """By UID of an object: its resourceVersion, and what it looked like then."""
    conflicts: set[str] = field(default_factory=set)
    """`Kind/name` of what stands where a child should."""
    refusals: dict[Place, str] = field(default_factory=dict)
    """What the API server last said when a child was to be created."""
    unanswered: dict[Place, datetime] = field(default_factory=dict)
    """Since when the API server can neither create a child nor refuse it: it answers 5xx."""
    unkept: dict[tuple[str, int, int], datetime] = field(default_factory=dict)
    """(target, attempt, index) of points that the API server does not let us store → since when."""
    given_up: set[tuple[str, int, int]] = field(default_factory=set)
    """Those of them that we have stopped trying to store."""
    status_refused: tuple[str, datetime] | None = None
    """What an Event has told of why the API server does not take the status, and since when."""
    facts: Mapping[str, Mapping[str, Fact]] = field(default_factory=dict)
    """By UID of the engine's pod: what its log says."""
    facts_tried: dict[str, int] = field(default_factory=dict)
    errors: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By UID of an engine's pod that ended with an error: the errors in its log."""


@dataclass(slots=True)
class Memory:
    """About all runs."""

    runs: dict[str, RunMemory] = field(default_factory=dict)
    uids: dict[tuple[str, str], str] = field(default_factory=dict)
    """(namespace, name) → UID of the run that last bore the name."""
    nodes: dict[str, tuple[NodeView, datetime]] = field(default_factory=dict)
    nodes_refused: bool = False
    """The operator may not read nodes; asked once in its life."""

    def of_run(self, run_uid: str) -> RunMemory:
        """The run's part, a new one where there is none."""
        if run_uid not in self.runs:
            self.runs[run_uid] = RunMemory()
        return self.runs[run_uid]

    def has_read(self, key: tuple[str, str], run_uid: str, generation: int) -> bool:
        """A pass has read this spec of the run that bears the name: what else changes in it, passes have written."""
        known = self.runs.get(run_uid)
        return known is not None and self.uids.get(key) == run_uid and known.generation == generation

    def forget_run(self, run_uid: str) -> None:
        """The run is gone, or has come to its end."""
        self.runs.pop(run_uid, None)
