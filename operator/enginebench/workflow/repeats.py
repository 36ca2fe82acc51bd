"""What the repeats of a target come to: means and intervals a load, and whether one engine served them all."""

from collections.abc import Callable, Iterable, Sequence

from enginebench.api.v1alpha1 import (
    AtLeast,
    Attempt,
    FigureValue,
    PercentileStatus,
    PointStatus,
    Repeated,
    RepeatedLoad,
    RepeatsStatus,
)
from enginebench.results.intervals import Interval, of_latencies, of_rates
from enginebench.results.rounding import short
from enginebench.workflow.verdicts import usable


def over_repeats(
    rows: Sequence[PointStatus], attempts: Iterable[Attempt], known: RepeatsStatus | None
) -> RepeatsStatus | None:
    """Means and intervals of the usable rows of one target. `known` is what an earlier pass wrote: it remembers the
    engines of repeats whose attempts are no longer told of. None: there is nothing yet."""
    engines = list(known.engines or ()) if known is not None else []
    for attempt in attempts:
        if attempt.repeat is not None and attempt.fingerprint is not None:
            engines += [""] * (attempt.repeat + 1 - len(engines))
            engines[attempt.repeat] = attempt.fingerprint
    loads = [_load(same) for same in _by_load(rows)]
    return RepeatsStatus(engines=engines or None, loads=loads or None) if engines or loads else None


def engines_differ(repeats: RepeatsStatus | None) -> bool:
    """The repeats were not all served by the same image, version, model, settings, GPU and node."""
    return repeats is not None and len({engine for engine in repeats.engines or () if engine}) > 1


def mean_rows(target: str, repeats: RepeatsStatus | None) -> list[PointStatus]:
    """The means as rows, one a load: what picks a peak among points picks it among these."""
    loads = (repeats.loads if repeats is not None else None) or ()
    return [
        PointStatus(
            target=target,
            attempt=0,
            index=index,
            load=one.load,
            validity="Valid",
            output_tokens_per_second=_rate(one.output_tokens_per_second),
            requests_per_second=one.requests_per_second,
            ttft_milliseconds=_p99(one.ttft_p99_milliseconds),
            itl_milliseconds=_p99(one.itl_p99_milliseconds),
        )
        for index, one in enumerate(loads)
    ]


def _by_load(rows: Sequence[PointStatus]) -> Iterable[list[PointStatus]]:
    """Usable rows of equal load."""
    found: dict[str, list[PointStatus]] = {}
    for row in rows:
        if usable(row):
            found.setdefault(row.load.model_dump_json(), []).append(row)
    return found.values()


def _load(rows: Sequence[PointStatus]) -> RepeatedLoad:
    return RepeatedLoad(
        load=rows[0].load,
        count=len(rows),
        output_tokens_per_second=_mean([row.output_tokens_per_second for row in rows], of_rates),
        requests_per_second=_rate(_mean([row.requests_per_second for row in rows], of_rates)),
        ttft_p99_milliseconds=_mean([_p99_of(row.ttft_milliseconds) for row in rows], of_latencies),
        itl_p99_milliseconds=_mean([_p99_of(row.itl_milliseconds) for row in rows], of_latencies),
    )


def _mean(
    values: Sequence[FigureValue | None], interval: Callable[[Sequence[float]], Interval | None]
) -> Repeated | None:
    """Of the figures that there are. A mean only grows with each of its values: over lower bounds it is one itself."""
    bounds = [value.at_least for value in values if isinstance(value, AtLeast)]
    found = interval([*bounds, *(value for value in values if value is not None and not isinstance(value, AtLeast))])
    if found is None:
        return None
    if bounds:
        return Repeated(mean=AtLeast(at_least=short(found.mean)))
    low, high = (None if end is None else short(end) for end in (found.low, found.high))
    return Repeated(mean=short(found.mean), low=low, high=high)


def _rate(figure: Repeated | None) -> float | None:
    return figure.mean if figure is not None and not isinstance(figure.mean, AtLeast) else None


def _p99_of(figure: PercentileStatus | None) -> FigureValue | None:
    return figure.p99 if figure is not None else None


def _p99(figure: Repeated | None) -> PercentileStatus | None:
    return PercentileStatus(p99=figure.mean) if figure is not None else None
