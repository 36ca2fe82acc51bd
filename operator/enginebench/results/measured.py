"""A measured point as later ones are placed or skipped by it: the status' own rounded figures, which are all that a
later load pod has, and the operator."""

from enginebench.api.loadplan import Measured
from enginebench.results.point_report import Censored, PointReport
from enginebench.results.rounding import short


def as_measured(report: PointReport) -> Measured:
    """What counts of the point."""
    p50 = report.ttft.p50
    return Measured(
        index=report.index,
        load=report.request_rate if report.request_rate is not None else float(report.concurrency or 0),
        output_tokens_per_second=short(report.output_tokens_per_second),
        repeat=report.repeat,
        tps_error=tps_error(report) or 0.0,
        ttft_p50=None if p50 is None else short(p50.at_least if isinstance(p50, Censored) else p50),
        error_share=error_share(report.requests.succeeded, report.requests.errored),
    )


def tps_error(report: PointReport) -> float | None:
    """Standard error of output TPS, by ten batch means, rounded; None: not known."""
    relative = report.evidence.token_rate_error
    return None if relative is None else short(relative * report.output_tokens_per_second)


def error_share(succeeded: int, errored: int) -> float:
    """Failed requests among the finished ones; 0 where none has finished."""
    return errored / (succeeded + errored) if succeeded + errored else 0.0
