"""All that was seen of one load point: plain data, of one process or of several together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from enginebench.results.histogram import Histogram
from enginebench.results.record import RequestRecord, Window
from enginebench.results.series import Tick


@dataclass(slots=True)
class Strain:
    """How hard the load generator itself had it in the window."""

    lag: Histogram = field(default_factory=Histogram)
    """Lateness of a timer, sampled evenly, nanoseconds. Its clock counts in milliseconds."""
    cpu_seconds: float = 0.0
    """Processor time taken, by all processes together."""
    wall_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What the requests of a point did. Times are nanoseconds of one monotonic clock."""

    window: Window
    records: Sequence[RequestRecord]
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
