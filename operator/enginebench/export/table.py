"""One row a load point, with flat columns: for CSV and parquet."""

import csv
import io
from collections.abc import Sequence
from typing import get_args

import msgspec

from enginebench.export.run import Point, Run
from enginebench.results.point_report import Censored, Figure, PointReport

Value = str | int | float | bool | None
FIRST = ("run", "namespace", "run_uid", "target", "attempt", "index", "repeat", "validity", "reasons", "message")
"""Columns that every row has, at the front. Those of the report follow: durations in milliseconds."""
LEFT_OUT = frozenset({"index", "repeat", "histograms", "series", "engine_series", "gpu_series", "evidence"})
"""Of a report: told by the row, or too large for a cell."""
SEVERAL_COLUMNS = frozenset(
    field.name
    for field in msgspec.structs.fields(PointReport)
    if any(isinstance(kind, type) and issubclass(kind, msgspec.Struct) for kind in get_args(field.type))
)
"""Members of a report that may be absent, and have a column for each of their own where they are there."""
PERCENTILES = ("p50", "p90", "p95", "p99")


def rows(run: Run) -> list[dict[str, Value]]:
    """All points as flat rows with the same columns in the same order; None where there is no value."""
    found = [_row(run, point) for point in run.points]
    columns = dict.fromkeys(name for row in found for name in row)
    return [{name: row.get(name) for name in columns} for row in found]


def as_csv(run: Run) -> bytes:
    """The rows as CSV (RFC 4180, but with bare line feeds), with a header; UTF-8."""
    table = rows(run)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]) if table else list(FIRST), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def as_parquet(run: Run) -> bytes:
    """The rows as parquet. ImportError without polars, which is an extra."""
    import polars

    sink = io.BytesIO()
    polars.DataFrame(rows(run), infer_schema_length=None).write_parquet(sink)
    return sink.getvalue()


def _row(run: Run, point: Point) -> dict[str, Value]:
    metadata, said = run.object["metadata"], point.row
    row: dict[str, Value] = {
        "run": metadata["name"],
        "namespace": metadata["namespace"],
        "run_uid": metadata["uid"],
        "target": said["target"],
        "attempt": said["attempt"],
        "index": said["index"],
        "repeat": said.get("repeat", 0),
        "validity": said.get("validity"),
        "reasons": " ".join(said.get("reasons") or ()),
        "message": said.get("message"),
    }
    if point.report is not None:
        for name in point.report.__struct_fields__:
            value = getattr(point.report, name)
            if name not in LEFT_OUT and not (value is None and name in SEVERAL_COLUMNS):
                row |= _cells(name, value)
    return row


def _cells(name: str, value: object) -> dict[str, Value]:
    if isinstance(value, Figure):
        return _figure(name, value)
    if isinstance(value, msgspec.Struct):
        members = {field: getattr(value, field) for field in value.__struct_fields__}
        return {f"{name}_{field}": _plain(member) for field, member in members.items()}
    return {name: _plain(value)}


def _figure(name: str, figure: Figure) -> dict[str, Value]:
    """`…_is_lower_bound` is true where the percentile was not reached: the true value is at least this."""
    cells: dict[str, Value] = {f"{name}_count": figure.count, f"{name}_censored": figure.censored}
    for percentile in PERCENTILES:
        value: Censored | float | None = getattr(figure, percentile)
        cells[f"{name}_{percentile}_ms"] = value.at_least if isinstance(value, Censored) else value
        cells[f"{name}_{percentile}_is_lower_bound"] = isinstance(value, Censored)
    return cells | {f"{name}_mean_ms": figure.mean}


def _plain(value: object) -> Value:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Sequence):
        return " ".join(map(str, value))
    return msgspec.json.encode(value).decode()
