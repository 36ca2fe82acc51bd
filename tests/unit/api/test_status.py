"""The status as a document, its conditions, and the quantities that specs hold."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from enginebench.api.conditions import FINISHED, SUCCEEDED, get_condition, set_conditions
from enginebench.api.quantity import amount, exceeds
from enginebench.api.v1alpha1 import AtLeast, BenchmarkRunStatus, EngineStatus, PercentileStatus

NOW = datetime(2026, 11, 23, 12, 0, 0, 987654, tzinfo=UTC)


def test_times_are_written_as_kubernetes_does() -> None:
    east = NOW.astimezone(timezone(timedelta(hours=2)))
    status = BenchmarkRunStatus(start_time=NOW, completion_time=east)
    assert status.document() == {"startTime": "2026-11-23T12:00:00Z", "completionTime": "2026-11-23T12:00:00Z"}


def test_acronyms_and_absence() -> None:
    engine = EngineStatus(image_id="x@sha256:1", effective={"numParallel": 4, "flashAttention": True, "a": 0.5})
    assert engine.document() == {
        "imageID": "x@sha256:1",
        "effective": {"numParallel": 4, "flashAttention": True, "a": 0.5},
    }


def test_censored_figures_go_out_and_come_back() -> None:
    figure = PercentileStatus(count=9, p50=1.5, p99=AtLeast(at_least=30000.0), censored=3)
    document = figure.document()
    assert document == {"count": 9, "p50": 1.5, "p99": {"atLeast": 30000.0}, "censored": 3}
    assert PercentileStatus.model_validate(document) == figure


def test_what_a_newer_operator_wrote_is_ignored() -> None:
    assert BenchmarkRunStatus.model_validate({"phase": "Running", "weather": "fine"}).phase == "Running"


def test_transition_time_moves_with_the_status_only() -> None:
    later = NOW + timedelta(seconds=10)
    said = [(FINISHED, "False", "Running", ""), (SUCCEEDED, "Unknown", "Running", "")]
    first = set_conditions(None, said, now=NOW, generation=1)
    same = set_conditions(first, [(FINISHED, "False", "Suspended", "waits")], now=later, generation=2)
    done = set_conditions(same, [(FINISHED, "True", "Completed", "")], now=later, generation=2)
    assert [c.type for c in done] == [FINISHED, SUCCEEDED]
    kept, moved = get_condition(same, FINISHED), get_condition(done, FINISHED)
    assert kept is not None
    assert (kept.reason, kept.observed_generation, kept.last_transition_time) == ("Suspended", 2, NOW)
    assert moved is not None
    assert moved.last_transition_time == later
    assert get_condition(done, "Stalled") is None


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("4", "4"),
        ("500m", "0.5"),
        ("32Gi", str(32 * 2**30)),
        ("16G", "16000000000"),
        ("1.5k", "1500"),
        ("1e3", "1000"),
        ("12E-1", "1.2"),
        ("2E", "2000000000000000000"),
        ("5.", "5"),
        (".5", "0.5"),
        ("7n", "0.000000007"),
        ("3u", "0.000003"),
    ],
)
def test_quantities(quantity: str, number: str) -> None:
    assert amount(quantity) == Decimal(number)


@pytest.mark.parametrize("text", ["", "32GB", "x", "-1", "1.2.3"])
def test_no_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        amount(text)


def test_comparison_across_units() -> None:
    assert exceeds("17Gi", "17G")
    assert not exceeds("1000m", "1")
