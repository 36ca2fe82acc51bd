"""Every request of a point as a line of JSON in a compressed file, on a volume that outlives the pod."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from enginebench.api.loadplan import LoadPlan, PointPlan, Wire
from enginebench.loadgen.errors import in_words
from enginebench.results.point_report import PointReport
from enginebench.results.record import RequestRecord
from enginebench.results.seen import Seen

if TYPE_CHECKING:
    from gzip import GzipFile


FORMAT = 1
"""Of a line: another where a field comes to mean something else."""


class Line(Wire, frozen=True, kw_only=True, omit_defaults=False, tag_field="format", tag=FORMAT):
    """One request that overlapped the window, in the order in which they ended. Null: it has not happened. Each names
    its `format`: lines of several files can be put together."""

    start_seconds: float
    """Just before its first byte was sent (at a request rate: when it was due), from the opening of the window on;
    negative before."""
    tracked: bool
    """Started in the window: it belongs to the population of latencies."""
    sent_milliseconds: float | None
    """From its start to its first byte."""
    ttft_milliseconds: float | None
    """From its start to its first content, as the next two."""
    first_output_milliseconds: float | None
    """To its first content that is not reasoning."""
    last_milliseconds: float | None
    """To its last content."""
    end_milliseconds: float
    """To the end of its response, its failure, or the moment at which it was cut off."""
    events: int
    """With content."""
    output_tokens: int | None
    """By the engine's count, as the next; None where it did not come, as of most requests that did not end."""
    prompt_tokens: int | None
    outcome: str
    """`succeeded`, `errored` or `open`."""
    finish_reason: str
    error: str


class Kept(msgspec.Struct, frozen=True):
    """Where the requests lie, or why they do not."""

    file: str = ""
    """Below the volume's root."""
    error: str = ""

    def told_in(self, report: PointReport) -> PointReport:
        """The report, with this."""
        return msgspec.structs.replace(report, requests_file=self.file, requests_error=self.error)


def keep(plan: LoadPlan, point: PointPlan, seen: Seen) -> Kept:
    """Write `<target>-a<attempt>-p<index>.jsonl.gz` into the run's folder; whole, or not at all under that name."""
    from gzip import GzipFile  # few runs keep their requests: the others start without it

    path = Path(plan.requests_folder) / f"{plan.target}-a{plan.attempt}-p{point.index}.jsonl.gz"
    unfinished = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as raw:
            with GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as file:
                _write(file, seen)
            raw.flush()
            os.fsync(raw.fileno())
        unfinished.replace(path)
    except OSError as error:
        return Kept(error=f"{path}: {in_words(error)}")
    return Kept(file=str(path.relative_to(path.parents[1])))


def _write(file: "GzipFile", seen: Seen) -> None:
    encode = msgspec.json.Encoder().encode
    for record in seen.records:
        file.write(encode(_line(record, seen.window.open)) + b"\n")


def _line(record: RequestRecord, opened: int) -> Line:
    def since(instant: int) -> float | None:
        return (instant - record.start) / 1e6 if instant else None

    return Line(
        start_seconds=(record.start - opened) / 1e9,
        tracked=record.tracked,
        sent_milliseconds=since(record.sent),
        ttft_milliseconds=since(record.first),
        first_output_milliseconds=since(record.first_output),
        last_milliseconds=since(record.last),
        end_milliseconds=(record.end - record.start) / 1e6,
        events=record.events,
        output_tokens=record.output_tokens,
        prompt_tokens=record.prompt_tokens,
        outcome=record.outcome,
        finish_reason=record.finish_reason,
        error=record.error,
    )
