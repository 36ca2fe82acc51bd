"""Every request of a point, on a volume."""

import gzip
import json
from pathlib import Path

import pytest

from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan, RequestPlan
from enginebench.loadgen.keep import keep
from enginebench.results.histogram import Histogram
from enginebench.results.record import RequestRecord, Window
from enginebench.results.records import Records
from enginebench.results.seen import Seen

S = 1_000_000_000
MS = 1_000_000


def plan(folder: Path) -> LoadPlan:
    request, dataset = RequestPlan(max_output_tokens=1), DatasetPlan()
    return LoadPlan(
        run_uid="u", target="v", attempt=2, request=request, dataset=dataset, requests_folder=str(folder / "run-1")
    )


def seen(*records: RequestRecord) -> Seen:
    return Seen(window=Window(100 * S, 160 * S), records=Records(records), gaps=Histogram(), ticks=())


def test_a_line_a_request_with_times_from_its_own_start(tmp_path: Path) -> None:
    whole = RequestRecord(
        start=101 * S,
        sent=101 * S + 2 * MS,
        tracked=True,
        first=101 * S + 50 * MS,
        first_output=101 * S + 60 * MS,
        last=102 * S,
        end=102 * S + MS,
        events=9,
        output_tokens=10,
        prompt_tokens=7,
        outcome="succeeded",
        finish_reason="length",
    )
    cut = RequestRecord(start=99 * S, end=161 * S, error='said "no"')
    kept = keep(plan(tmp_path), PointPlan(index=3, concurrency=1), seen(whole, cut))
    assert (kept.file, kept.error) == ("run-1/v-a2-p3.jsonl.gz", "")
    assert [path.name for path in (tmp_path / "run-1").iterdir()] == ["v-a2-p3.jsonl.gz"]
    first, second = map(json.loads, gzip.decompress((tmp_path / kept.file).read_bytes()).splitlines())
    assert first == {
        "format": 1,
        "startSeconds": 1.0,
        "tracked": True,
        "sentMilliseconds": 2.0,
        "ttftMilliseconds": 50.0,
        "firstOutputMilliseconds": 60.0,
        "lastMilliseconds": 1000.0,
        "endMilliseconds": 1001.0,
        "events": 9,
        "outputTokens": 10,
        "promptTokens": 7,
        "outcome": "succeeded",
        "finishReason": "length",
        "error": "",
    }
    assert (second["startSeconds"], second["ttftMilliseconds"], second["outcome"]) == (-1.0, None, "open")
    assert second["error"] == 'said "no"'


def test_what_cannot_be_written_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "run-1").write_text("a file where the folder should be")
    kept = keep(plan(tmp_path), PointPlan(index=0, concurrency=1), seen())
    assert kept.file == ""
    assert "v-a2-p0.jsonl.gz" in kept.error
    assert "File exists" in kept.error or "Not a directory" in kept.error


def test_a_full_volume_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = PointPlan(index=0, concurrency=1)
    kept = keep(plan(tmp_path), point, seen())
    before = (tmp_path / kept.file).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    again = keep(plan(tmp_path), point, seen(RequestRecord(start=1, end=2)))
    assert "No space left on device" in again.error
    assert (tmp_path / kept.file).read_bytes() == before
