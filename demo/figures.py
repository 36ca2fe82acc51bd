"""The points of a run as rows of text: pure, so that every kind of figure has its test.

A figure is never shown as more than it is: a censored one reads "≥ 812", one that rests on too few requests
says on how many, and nothing at all reads "-".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from enginebench.api.v1alpha1 import AtLeast, FigureValue, PercentileStatus, PointLoad, PointStatus

ENOUGH = {50: 30, 90: 100, 95: 200, 99: 300}
"""Percentile → samples from which on it is one (docs/measurement.md)."""

ABSENT = "-"

HEADINGS = ("Load", "RPS", "TPS", "TTFT P50", "TTFT P99", "ITL P50", "ITL P99", "Validity")
"""The load in simultaneous users, or in requests a second (10/s). Rates are per second, latencies milliseconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """One load point as the table shows it."""

    target: str
    cells: tuple[str, ...]
    """One text a heading."""
    validity: str


def number(value: float) -> str:
    """Three significant digits, and never an exponent: 0.0123, 1.23, 12.3, 123, 12345."""
    size = abs(value)
    if size >= 100:  # noqa: PLR2004  # the whole digits alone are three
        return f"{value:.0f}"
    return f"{value:#.3g}".rstrip(".") if size >= 0.001 else f"{value:.0f}"  # noqa: PLR2004  # below: nothing


def bound(value: FigureValue | None) -> str:
    """A figure as it stands: a number, "≥" and a number where it is censored, or "-"."""
    if value is None:
        return ABSENT
    return f"≥ {number(value.at_least)}" if isinstance(value, AtLeast) else number(value)


def tail(figure: PercentileStatus | None) -> str:
    """The P99 in milliseconds; with the number of its samples where they are too few.

    By nearest rank the P99 of fewer than 100 samples is the largest of them, and is called that.
    """
    if figure is None or figure.p99 is None or figure.count >= ENOUGH[99]:
        return bound(figure.p99 if figure else None)
    largest = (99 * figure.count + 99) // 100 == figure.count
    return f"{bound(figure.p99)} ({'max of' if largest else 'of'} {figure.count})"


def median(figure: PercentileStatus | None) -> str:
    """The P50 in milliseconds; with an asterisk where its samples are too few."""
    text = bound(figure.p50 if figure else None)
    return f"{text}*" if figure and figure.p50 is not None and figure.count < ENOUGH[50] else text


def rate(value: float | None) -> str:
    """Something a second."""
    return ABSENT if value is None else number(value)


def validity(point: PointStatus) -> str:
    """Valid, or the level with its reasons."""
    return f"{point.validity}: {', '.join(point.reasons)}" if point.reasons else point.validity


def load(said: PointLoad) -> str:
    """Users, or requests a second."""
    if said.request_rate is not None:
        return f"{said.request_rate:g}/s"
    return ABSENT if said.concurrency is None else str(said.concurrency)


def row(point: PointStatus) -> Row:
    """A load point as text."""
    return Row(
        target=point.target,
        cells=(
            load(point.load),
            rate(point.requests_per_second),
            rate(point.output_tokens_per_second),
            median(point.ttft_milliseconds),
            tail(point.ttft_milliseconds),
            median(point.itl_milliseconds),
            tail(point.itl_milliseconds),
            validity(point),
        ),
        validity=point.validity,
    )


def key(point: PointStatus) -> tuple[str, int, int, int]:
    """What tells a point from all others of its run."""
    return (point.target, point.attempt, point.index, point.repeat or 0)


def arrived(points: Sequence[PointStatus], known: set[tuple[str, int, int, int]]) -> list[PointStatus]:
    """The points that are not among the `known` ones, in their order."""
    return [point for point in points if key(point) not in known]
