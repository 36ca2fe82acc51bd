"""What a spec says of all its targets, its defaults filled in: read once, for a spec that is in work does not change."""

from collections.abc import Mapping
from dataclasses import dataclass

from enginebench.api import resolve
from enginebench.api.fetching import Source, claim_of, source_of
from enginebench.api.loadplan import PointPlan, StopPlan
from enginebench.api.pod_resolve import ResolvedPod, resolve_pod
from enginebench.api.resolve import ResolvedTimeouts
from enginebench.api.v1alpha1 import BenchmarkRunSpec

DETAILED_POINTS = 200
"""The status must stay under 256 KiB: a run of more points tells TTFT and ITL there, the rest in the data alone.
With repeats, or where saturation is judged, it tells P50 and P99 of each, and makes room for what else there is."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the rules go by."""

    timeouts: ResolvedTimeouts
    planned: tuple[PointPlan, ...]
    """The load points of each target, in all its turns."""
    longest_point: int | None
    longest_step: int
    load_pods: int
    repeated: bool
    """Each load is measured more than once."""
    stop_when: StopPlan | None
    goes_on: bool
    """What is measured next depends on what was measured."""
    detailed: bool
    """The run is small enough to be told at length in the status."""
    pods: Mapping[str, ResolvedPod]
    """By target."""
    sources: Mapping[str, Source]
    """By target, of those whose model is fetched onto a claim."""


def terms(spec: BenchmarkRunSpec) -> Terms:
    """As the run has them."""
    planned, stop_when = resolve.points(spec), resolve.stop_when(spec)
    return Terms(
        timeouts=resolve.timeouts(spec),
        planned=planned,
        longest_point=resolve.longest_point_seconds(spec),
        longest_step=resolve.longest_step_seconds(spec),
        load_pods=resolve.load_pods(spec),
        repeated=resolve.repeats(spec).count > 1,
        stop_when=stop_when,
        goes_on=stop_when is not None or resolve.sweep(spec) is not None,
        detailed=len(spec.targets) * len(planned) <= DETAILED_POINTS,
        pods={target.name: resolve_pod(spec, target) for target in spec.targets},
        sources={target.name: source_of(spec, target) for target in spec.targets if claim_of(spec, target)},
    )
