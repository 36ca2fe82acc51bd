"""A run with its stored points, read from the cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from enginebench.cluster import labels
from enginebench.cluster.api import KubeApi, Obj
from enginebench.cluster.payload import strange_format, unpacked
from enginebench.results.point_report import FORMAT, PointReport
from enginebench.workflow.names import data_selector

Key = tuple[str, int, int]
"""(target, attempt, index) of a point."""


@dataclass(frozen=True, slots=True)
class Point:
    """A row of the run's status, and the whole report behind it; None where its ConfigMap is gone or damaged, or
    where the point was not measured."""

    row: Mapping[str, Any]
    report: PointReport | None
    unread: str = ""
    """Why there is none, though the ConfigMap is whole."""


@dataclass(frozen=True, slots=True)
class Run:
    """One BenchmarkRun as the API server has it."""

    object: Obj
    points: Sequence[Point]

    @property
    def missing(self) -> list[str]:
        """Measured points whose data could not be had, in words."""
        return [
            f"{point.row['target']}, load point {point.row['index']}, attempt {point.row['attempt']}{point.unread}"
            for point in self.points
            if point.report is None and point.row.get("validity") != "Skipped"
        ]


async def read(api: KubeApi, namespace: str, name: str) -> Run | None:
    """The run with its points, in the status' order; None where there is no such run. ApiError, Unavailable."""
    found = await api.get("BenchmarkRun", namespace, name)
    if found is None:
        return None
    points: dict[Key, PointReport] = {}
    unread: dict[Key, str] = {}
    for listed in await api.list("ConfigMap", namespace, labels=data_selector(found["metadata"]["uid"])):
        whole = await api.get("ConfigMap", namespace, listed["metadata"]["name"])  # a list has only the metadata
        if whole is None:
            continue
        said = listed["metadata"]["labels"]
        key = (said[labels.TARGET], int(said[labels.ATTEMPT]), int(said[labels.POINT]))
        if (point := unpacked(whole)) is not None:
            points[key] = point.report
        elif (other := strange_format(whole)) is not None:
            unread[key] = f" (format {other}; this version reads {FORMAT})"
    rows = (found.get("status") or {}).get("points") or ()
    keys = [(row["target"], row["attempt"], row["index"]) for row in rows]
    return Run(found, [Point(row, points.get(key), unread.get(key, "")) for row, key in zip(rows, keys, strict=True)])
