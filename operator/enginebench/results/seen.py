"""All that was seen of one load point: plain data, of one process or of several together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from enginebench.results.histogram import Histogram
from enginebench.results.record import Window
from enginebench.results.records import Records
from enginebench.results.series import Tick


@dataclass(slots=True)
class Strain:
    """How hard the load generator itself had it in the window."""

    lag: Histogram = field(default_factory=Histogram)
    """How long what came at the socket waited to be read, sampled evenly in time, nanoseconds."""
    late_gaps: int = 0
    """Gaps between content events that were seen while that lag was above 1 ms;"""
    late_coalesced: int = 0
    """and of those the ones between events that came in one read."""
    cpu_seconds: float = 0.0
    """Processor time taken, by all processes together."""
    wall_seconds: float = 0.0
    throttled: float | None = None
    """Share of the window in which the process's cgroups were not let run, having used up their CPU limit."""
    stolen: float | None = None
    """Share of the processors' time that the hypervisor gave to others."""

    def merge(self, other: "Strain") -> None:
        """Take in what another process of the same load went through: of the shares the worst one stands."""
        self.lag.merge(other.lag)
        self.late_gaps += other.late_gaps
        self.late_coalesced += other.late_coalesced
        self.cpu_seconds += other.cpu_seconds
        self.wall_seconds = max(self.wall_seconds, other.wall_seconds)
        self.throttled = _worst(self.throttled, other.throttled)
        self.stolen = _worst(self.stolen, other.stolen)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the requests of a point did. Times are nanoseconds of one monotonic clock."""

    window: Window
    records: Records
    """Requests that overlap the window."""
    gaps: Histogram
    """Between content events, those that ended in the window."""
    ticks: Sequence[Tick]
    """One a second of the window, the last one as it closed."""
    replayed: int = 0
    """Requests sent again because a kept connection was reset before any byte of the response."""
    wrong_models: dict[str, int] = field(default_factory=dict)
    """Models that responses named and that were not asked for, with how often."""
    strain: Strain = field(default_factory=Strain)


def _worst(one: float | None, other: float | None) -> float | None:
    return max((share for share in (one, other) if share is not None), default=None)
