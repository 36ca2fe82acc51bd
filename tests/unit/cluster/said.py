"""What a load pod says, framed as it frames it."""

from enginebench.results import messages
from enginebench.results.frames import Encoder
from enginebench.results.messages import DatasetReport, End, EngineReport, Progress
from enginebench.results.point_report import Evidence, Figure, PointReport, RequestCounts
from enginebench.workflow.observed import ReceivedPoint

ENGINE = EngineReport(served_model="m", version="0.9.1", at=1.0)
DATASET = DatasetReport(rows=10, digest="sha256:ab")


def point(index: int, *, succeeded: int = 400) -> PointReport:
    """A plausible load point."""
    figure = Figure(count=succeeded, p50=10.0, p90=11.0, p95=12.0, p99=13.0, mean=10.1)
    return PointReport(
        index=index,
        concurrency=2**index,
        started_at=100.0 + index,
        opened_at=100.0 + index,
        ended_at=101.0 + index,
        window_seconds=10.0,
        requests=RequestCounts(succeeded=succeeded),
        requests_per_second=4.0,
        output_tokens_per_second=40.0,
        ttft=figure,
        itl=figure,
        tpot=figure,
        inter_event_gap=figure,
        request_latency=figure,
        evidence=Evidence(),
    )


def received(index: int, *, succeeded: int = 400) -> ReceivedPoint:
    """The point as it came off the wire."""
    report = point(index, succeeded=succeeded)
    return ReceivedPoint(report=report, payload=messages.encode(report))


def progress(stage: str = "Loading", point_index: int | None = 0, message: str = "", at: float = 0.0) -> Progress:
    return Progress(stage=stage, message=message, point=point_index, at=at)


def lines(*said: messages.SpokenMessage) -> list[list[bytes]]:
    """Per message its lines, without newlines, numbered from the first on."""
    encoder = Encoder()
    return [[line.rstrip(b"\n") for line in encoder.message(message)] for message in said]


def end(points: int) -> End:
    return End(points=points)
