"""What a point, a target and a run are worth: from evidence to Valid, Limited or Invalid, and to the best target.

The reasons are stable words; `docs/measurement.md` has a paragraph for each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from enginebench.api.v1alpha1 import Peak, PointStatus
from enginebench.results.messages import PointReport
from enginebench.workflow.problem import COMPLETED, Problem

ERROR_RATE_BOUND = 0.10
"""Above this share of failed requests a point does not say how fast the engine is, but that it fails."""
SAMPLES_FOR_P99 = 300
"""The status always carries a P99; from this many requests on it rests on more than the three slowest."""
RESTART_TOLERANCE_SECONDS = 1.0
"""Two readings of one engine's process start differ by rounding only."""
PEAK_SLACK = 0.02
"""The peak is the lowest concurrency within this share of the highest output TPS."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`validity` is Valid, Limited or Invalid; `reasons` say why it is not Valid, the gravest first."""

    validity: str
    reasons: tuple[str, ...] = ()
    message: str = ""


def judge_point(report: PointReport, *, engine_ended_at: float | None = None) -> Verdict:
    """The worth of one point. `engine_ended_at` (Unix seconds): when the engine's container ended, if it did."""
    invalid, invalid_words = _invalid(report, engine_ended_at)
    limited, limited_words = _limited(report)
    reasons = tuple(invalid + limited)
    validity = "Invalid" if invalid else "Limited" if limited else "Valid"
    return Verdict(validity, reasons, "; ".join(invalid_words + limited_words))


def _invalid(report: PointReport, engine_ended_at: float | None) -> tuple[list[str], list[str]]:
    reasons, words = [], []
    evidence, counts = report.evidence, report.requests
    if evidence.wrong_models:
        reasons.append("WrongModel")
        words.append(f"answers came from model {', '.join(evidence.wrong_models)}")
    before, after = evidence.engine_start_before, evidence.engine_start_after
    restarted = before is not None and after is not None and after - before > RESTART_TOLERANCE_SECONDS
    if restarted or (engine_ended_at is not None and engine_ended_at <= report.ended_at):
        reasons.append("EngineRestarted")
        words.append("the engine's process ended or started anew during the point")
    finished = counts.succeeded + counts.errored
    if finished and counts.errored / finished > ERROR_RATE_BOUND:
        reasons.append("ErrorRate")
        most = max(evidence.errors.items(), key=lambda kv: kv[1], default=("no text", 0))[0]
        words.append(f"{counts.errored} of {finished} finished requests failed, most with: {most}")
    return reasons, words


def _limited(report: PointReport) -> tuple[list[str], list[str]]:
    reasons, words = [], []
    if report.evidence.interrupted:
        reasons.append("Interrupted")
        words.append("the point was closed before its time")
    if report.requests.incomplete:
        reasons.append("Censored")
        words.append(f"{report.requests.incomplete} requests had not finished when the drain ended")
    if report.requests.succeeded < SAMPLES_FOR_P99:
        reasons.append("TooFewSamples")
        words.append(f"{report.requests.succeeded} finished requests; a P99 wants {SAMPLES_FOR_P99}")
    return reasons, words


def usable(row: PointStatus) -> bool:
    """It may be shown as a finding: Valid, or Limited with at least one success."""
    return row.validity == "Valid" or (row.validity == "Limited" and succeeded(row) > 0)


def succeeded(row: PointStatus) -> int:
    """Complete answers of the point."""
    return row.requests.succeeded if row.requests is not None else 0


def outcome_of_points(rows: Sequence[PointStatus]) -> Problem:
    """The end of a target all of whose points were measured: Completed if one is usable, else what they show."""
    current = [row for row in rows if row.validity != "Superseded"]
    if any(usable(row) for row in current):
        return Problem(COMPLETED, "")
    said = next((row.message for row in reversed(current) if row.message), "nothing was measured")
    if current and all(succeeded(row) == 0 and row.requests and row.requests.errored for row in current):
        return Problem(
            "EveryRequestFailed", f"Every request failed: {said}. Look at the engine and at spec.workload.request."
        )
    return Problem("NoUsablePoint", f"No load point is usable: {said}. Measure longer, or with fewer users.")


def peak(rows: Iterable[PointStatus]) -> Peak | None:
    """The lowest concurrency whose output TPS is within 2 % of the highest, among usable points."""
    found = [row for row in rows if usable(row) and row.output_tokens_per_second is not None]
    if not found:
        return None
    highest = max(row.output_tokens_per_second or 0.0 for row in found)
    enough = (1 - PEAK_SLACK) * highest
    row = min(
        (r for r in found if (r.output_tokens_per_second or 0.0) >= enough),
        key=lambda r: r.load.concurrency or 0,
    )
    return Peak(
        concurrency=row.load.concurrency,
        output_tokens_per_second=row.output_tokens_per_second,
        requests_per_second=row.requests_per_second,
        ttft_p99_milliseconds=row.ttft_milliseconds.p99 if row.ttft_milliseconds else None,
        itl_p99_milliseconds=row.itl_milliseconds.p99 if row.itl_milliseconds else None,
    )
