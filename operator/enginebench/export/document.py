"""The whole run as one JSON document: the object, and of each point all figures, distributions and series."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from enginebench import __version__
from enginebench.export.run import Point, Run
from enginebench.results import engine_metrics, series
from enginebench.results.grid import Grid
from enginebench.results.histogram import Histogram
from enginebench.results.point_report import PointReport

FORMAT = "enginebench.dev/export/v1"
"""Named in the document; another layout gets another name."""

JsonObject = dict[str, Any]


def document(run: Run) -> JsonObject:
    """`{format, enginebenchVersion, run: {metadata, spec, status}, points: [{row, report, distributions, series,
    engineSeries, gpuSeries}]}`."""
    metadata = run.object["metadata"]
    kept = ("name", "namespace", "uid", "generation", "creationTimestamp", "labels", "annotations")
    return {
        "format": FORMAT,
        "enginebenchVersion": __version__,
        "run": {
            "metadata": {key: metadata[key] for key in kept if key in metadata},
            "spec": run.object["spec"],
            "status": run.object.get("status") or {},
        },
        "points": [_point(point) for point in run.points],
    }


def as_json(run: Run) -> bytes:
    """The document, indented."""
    return msgspec.json.format(msgspec.json.encode(document(run)), indent=2) + b"\n"


def _point(point: Point) -> JsonObject:
    if point.report is None:
        return {"row": point.row}
    report = msgspec.to_builtins(
        msgspec.structs.replace(point.report, histograms={}, series=b"", engine_series=b"", gpu_series=b"")
    )
    return {
        "row": point.row,
        "report": report,
        "distributions": {name: _distribution(data) for name, data in sorted(point.report.histograms.items())},
        "series": _series(point.report),
        "engineSeries": _columns(point.report.engine_series),
        "gpuSeries": _columns(point.report.gpu_series),
    }


def _distribution(data: bytes) -> Mapping[str, Any]:
    """Durations with their weights: `buckets` are [from, below, weight] in nanoseconds; of TTFT against TPOT `cells`:
    [[from, below] of the one, of the other, requests]. What is neither is handed on as it is stored."""
    with suppress(ValueError):
        grid = Grid.from_bytes(data)
        return {"samples": grid.samples, "cells": [[list(ttft), list(tpot), n] for ttft, tpot, n in grid.cells()]}
    try:
        histogram = Histogram.from_bytes(data)
    except ValueError:
        return {"encoded": base64.b64encode(data).decode()}
    return {
        "samples": histogram.samples,
        "weight": histogram.weight,
        "totalNanoseconds": histogram.total,
        "minimumNanoseconds": histogram.minimum,
        "maximumNanoseconds": histogram.maximum,
        "buckets": [list(bucket) for bucket in histogram.buckets()],
    }


def _series(report: PointReport) -> JsonObject | None:
    """The columns, and `tokens`: those that arrived, as far as events tell."""
    if not report.series:
        return None
    decoded = series.decode(report.series)
    columns: JsonObject = msgspec.to_builtins(decoded)
    return columns | {"tokens": [round(events * decoded.tokens_per_event) for events in decoded.events]}


def _columns(data: bytes) -> JsonObject | None:
    """The engine's own metrics, or its GPUs'."""
    return msgspec.to_builtins(engine_metrics.decode(data)) if data else None
