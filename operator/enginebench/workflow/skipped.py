"""Load points that are not measured because lower loads have shown enough: their rows follow from those of the others.

They are made anew in each pass and kept nowhere else: where a point on which they rest is measured again, they go.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from enginebench.api.loadplan import Measured, PointPlan, StopPlan
from enginebench.api.v1alpha1 import AtLeast, PointLoad, PointStatus
from enginebench.results.measured import error_share
from enginebench.results.stop import ERRORS, SATURATED, why_skipped

SKIPPED = "Skipped"


def measured(rows: Iterable[PointStatus]) -> list[PointStatus]:
    """Those with figures, whether they count or not."""
    return [row for row in rows if row.validity != SKIPPED]


def as_measured(row: PointStatus) -> Measured:
    """What `results.measured.as_measured` makes of the point's report, the row being all that is left of it."""
    ttft = row.ttft_milliseconds.p50 if row.ttft_milliseconds is not None else None
    return Measured(
        index=row.index,
        load=row.load.request_rate if row.load.request_rate is not None else float(row.load.concurrency or 0),
        output_tokens_per_second=row.output_tokens_per_second or 0.0,
        repeat=row.repeat or 0,
        tps_error=row.output_tokens_per_second_error or 0.0,
        ttft_p50=ttft.at_least if isinstance(ttft, AtLeast) else ttft,
        error_share=error_share(row.requests.succeeded, row.requests.errored) if row.requests is not None else 0.0,
    )


def skipped(planned: Iterable[PointPlan], rows: Sequence[PointStatus], stop: StopPlan) -> list[PointStatus]:
    """Rows of the planned points of a target that its measured `rows` make superfluous, as its load pod finds, too.

    A point is not judged while one before it in its repeat is neither measured nor skipped.
    """
    counted = {row.index: row for row in rows if row.validity not in ("Superseded", SKIPPED)}
    found: list[PointStatus] = []
    for _, repeat in groupby(planned, key=lambda point: point.repeat):
        basis: list[PointStatus] = []
        before: list[Measured] = []
        for point in repeat:
            if point.index in counted:
                basis.append(counted[point.index])
                before.append(as_measured(basis[-1]))
            elif why := why_skipped(point, stop, before):
                found.append(_row(point, why, basis, stop))
            else:
                break
    return found


def _row(point: PointPlan, why: str, basis: Sequence[PointStatus], stop: StopPlan) -> PointStatus:
    return PointStatus(
        target=basis[0].target,
        attempt=max(row.attempt for row in basis),
        index=point.index,
        repeat=basis[0].repeat,
        load=PointLoad(concurrency=point.concurrency, request_rate=point.request_rate),
        validity=SKIPPED,
        reasons=[why],
        message=_WORDS[why].format(stop.error_rate_percent),
    )


_WORDS = {
    ERRORS: "not measured: at a lower load {} % of the requests or more failed (stopWhen.errorRatePercent)",
    SATURATED: "not measured: lower loads had saturated the engine (stopWhen.saturated)",
}
