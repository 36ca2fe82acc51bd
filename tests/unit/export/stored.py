"""A stored run of two load points, as the API server holds it."""

from typing import Any

from enginebench.cluster import labels
from enginebench.cluster.payload import KEY, digest, packed
from enginebench.export.run import Run, read
from enginebench.results import messages, series
from enginebench.results.histogram import Histogram
from enginebench.results.point_report import Censored, Evidence, Figure, PointReport, RequestCounts
from enginebench.results.series import Second
from enginebench.workflow.observed import ReceivedPoint

UID = "8f1c"
MS = 1_000_000


def histogram(*milliseconds: float) -> Histogram:
    made = Histogram()
    for value in milliseconds:
        made.record(round(value * MS))
    return made


def report(index: int, **changes: Any) -> PointReport:
    figure = Figure(count=3, p50=10.0, p90=20.0, p95=20.0, p99=20.0, mean=13.0)
    members: dict[str, Any] = {
        "index": index,
        "concurrency": 4,
        "started_at": 60.0,
        "opened_at": 100.0,
        "ended_at": 190.0,
        "window_seconds": 60.0,
        "requests": RequestCounts(succeeded=3, incomplete=1),
        "requests_per_second": 0.05,
        "output_tokens_per_second": 1.5,
        "ttft": Figure(count=4, p50=10.0, p90=Censored(at_least=60000.0), p99=Censored(at_least=60000.0), censored=1),
        "itl": figure,
        "tpot": figure,
        "inter_event_gap": figure,
        "request_latency": figure,
        "evidence": Evidence(),
        "histograms": {"itl": histogram(10, 10, 20).to_bytes()},
        "series": series.encode(series.coarsen([Second(in_flight=4, events=7)], 1, 2.0)),
    }
    return PointReport(**{**members, **changes})


def config_map(
    point: PointReport, target: str = "vllm", attempt: int = 1, payload: bytes | None = None
) -> dict[str, Any]:
    """`payload`: what another version has written instead."""
    received = ReceivedPoint(report=point, payload=payload or messages.encode(point))
    return {
        "metadata": {
            "name": f"{target}-{point.index}",
            "labels": {
                labels.TARGET: target,
                labels.ATTEMPT: str(attempt),
                labels.POINT: str(point.index),
                labels.RUN_UID: UID,
            },
            "annotations": {labels.SHA256: digest(received)},
        },
        "binaryData": {KEY: packed(received)},
    }


ROWS = [
    {"target": "vllm", "attempt": 1, "index": 0, "validity": "Limited", "reasons": ["Censored", "TooFewSamples"]},
    {"target": "vllm", "attempt": 1, "index": 1, "validity": "Valid", "message": 'said "no"\nthen, yes'},
    {"target": "vllm", "attempt": 1, "index": 2, "validity": "Skipped"},
]


class Server:
    """What the API server holds: the run, and its data."""

    def __init__(self, *data: dict[str, Any]) -> None:
        self.run = {
            "metadata": {"name": "r", "namespace": "n", "uid": UID, "managedFields": [{}]},
            "spec": {"workload": {"load": {"requestRate": {"rates": ["2.5"]}}}},
            "status": {"points": ROWS},
        }
        self.data = {item["metadata"]["name"]: item for item in data}

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        if kind == "BenchmarkRun":
            return self.run if (namespace, name) == ("n", "r") else None
        return self.data.get(name)

    async def list(self, kind: str, namespace: str, *, labels: str = "", fields: str = "") -> list[dict[str, Any]]:
        assert (kind, namespace) == ("ConfigMap", "n")
        assert f"run-uid={UID}" in labels
        return [{"metadata": item["metadata"]} for item in self.data.values()]


async def exported(*data: dict[str, Any]) -> Run:
    run = await read(Server(*data), "n", "r")  # type: ignore[arg-type]  # of the API only what is read
    assert run is not None
    return run
