"""What a point, a target and a run are worth: from evidence to Valid, Limited or Invalid, and to the best target.

The reasons are stable words; `workflow.reasons` has them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from enginebench.api.v1alpha1 import Peak, PointStatus
from enginebench.results.point_report import PointReport
from enginebench.workflow.problem import COMPLETED, Problem
from enginebench.workflow.reasons import INVALID, LIMITED, NOT_IN_FORCE, REMARKS, Case, Reason
from enginebench.workflow.skipped import measured

PEAK_SLACK = 0.02
"""The peak is the lowest load within this share of the highest output TPS."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`validity` is Valid, Limited or Invalid; `reasons`, the gravest first, say why, and what else is to be known."""

    validity: str
    reasons: tuple[str, ...] = ()
    message: str = ""


def judge_point(
    report: PointReport,
    *,
    engine_ended_at: float | None = None,
    gpu_sharing: str = "",
    context_length: int | None = None,
) -> Verdict:
    """The worth of one point. `engine_ended_at` (Unix seconds): when the engine's container ended, if it did;
    `gpu_sharing`: how others may use its GPU, in words; `context_length`: in force, where longer prompts are cut."""
    case = Case(report, engine_ended_at, gpu_sharing, context_length)
    invalid, limited, remarks = (_holding(table, case) for table in (INVALID, LIMITED, REMARKS))
    validity = "Invalid" if invalid else "Limited" if limited else "Valid"
    said = invalid | limited | remarks
    return Verdict(validity, tuple(said), "; ".join(said.values()))


def _holding(table: Mapping[str, Reason], case: Case) -> dict[str, str]:
    """The reasons of a table that hold, with their words."""
    return {name: words for name, reason in table.items() if (words := reason(case))}


def usable(row: PointStatus) -> bool:
    """It may be shown as a finding: Valid, or Limited with at least one answer, be it to a request that was started
    before the window: an engine with 4 slots under 256 users finishes none of those that began in it."""
    answered = succeeded(row) > 0 or (row.requests_per_second or 0.0) > 0
    return row.validity == "Valid" or (row.validity == "Limited" and answered)


def succeeded(row: PointStatus) -> int:
    """Complete answers to requests that were started in the window."""
    return row.requests.succeeded if row.requests is not None else 0


def outcome_of_points(rows: Sequence[PointStatus]) -> Problem:
    """The end of a target all of whose points were measured or skipped: Completed if one is usable, else what they show."""
    current = [row for row in measured(rows) if row.validity != "Superseded"]
    if any(usable(row) for row in current):
        return Problem(COMPLETED, "")
    said = next((row.message for row in reversed(current) if row.message), "nothing was measured")
    if current and all(succeeded(row) == 0 and row.requests and row.requests.errored for row in current):
        return Problem(
            "EveryRequestFailed", f"Every request failed: {said}. Look at the engine and at spec.workload.request."
        )
    if current and all(NOT_IN_FORCE in (row.reasons or ()) for row in current):
        return Problem(
            "SettingsNotInForce",
            f"The engine ran with other settings than those asked for, so that no load point counts: {said}. Ask for what "
            "it can do; the target's condition SettingsInForce says more.",
        )
    return Problem("NoUsablePoint", f"No load point is usable: {said}. Measure longer, or under less load.")


def peak(rows: Iterable[PointStatus]) -> Peak | None:
    """The lowest load whose output TPS is within 2 % of the highest, among usable points."""
    found = [row for row in rows if usable(row) and row.output_tokens_per_second is not None]
    if not found:
        return None
    highest = max(row.output_tokens_per_second or 0.0 for row in found)
    enough = (1 - PEAK_SLACK) * highest
    row = min(
        (r for r in found if (r.output_tokens_per_second or 0.0) >= enough),
        key=lambda r: r.load.request_rate or r.load.concurrency or 0,
    )
    return Peak(
        concurrency=row.load.concurrency,
        request_rate=row.load.request_rate,
        output_tokens_per_second=row.output_tokens_per_second,
        requests_per_second=row.requests_per_second,
        ttft_p99_milliseconds=row.ttft_milliseconds.p99 if row.ttft_milliseconds else None,
        itl_p99_milliseconds=row.itl_milliseconds.p99 if row.itl_milliseconds else None,
    )
