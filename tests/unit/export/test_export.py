"""A stored run as JSON, CSV and parquet, from the API server to the file."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import polars
import pytest

from enginebench.cluster import labels
from enginebench.export import document, guidellm, main, table
from enginebench.export.run import Point, Run, read
from enginebench.results import messages
from enginebench.results.grid import Grid
from enginebench.results.point_report import GuideLlmCount
from tests.unit.export.stored import MS, ROWS, UID, Server, config_map, exported, report


@pytest.fixture
async def run() -> Run:
    return await exported(config_map(report(1)), config_map(report(0)))


async def test_no_such_run() -> None:
    assert await read(Server(), "n", "other") is None  # type: ignore[arg-type]  # of the API only what is read


async def test_what_cannot_be_read_is_named_and_what_was_skipped_is_not() -> None:
    damaged = config_map(report(1))
    damaged["metadata"]["annotations"][labels.SHA256] = "0" * 64
    run = await exported(config_map(report(0)), damaged)
    assert run.missing == ["vllm, load point 1, attempt 1"]


def written(**changes: Any) -> bytes:
    """Load point 1 as another version might have written it."""
    document = json.loads(messages.encode(report(1)))
    document["evidence"]["smell"] = changes["ttft"] = {**document["ttft"], "colour": "blue"}
    return json.dumps({**document, "taste": [1], **changes}).encode()


async def test_fields_that_a_later_version_has_added_are_passed_over() -> None:
    run = await exported(config_map(report(0)), config_map(report(1), payload=written()))
    assert run.missing == []
    assert run.points[1].report == report(1)


@pytest.mark.parametrize(("other", "said"), [({"format": 2}, "format 2"), ({"format": 0}, "format 0")])
async def test_another_format_is_named_and_not_taken_for_ours(other: dict[str, int], said: str) -> None:
    run = await exported(config_map(report(0)), config_map(report(1), payload=written(**other)))
    assert run.points[1].report is None
    assert run.missing == [f"vllm, load point 1, attempt 1 ({said}; this version reads 1)"]


async def test_a_report_that_names_no_format_is_not_guessed_at() -> None:
    document = json.loads(written())
    assert document.pop("format") == 1
    run = await exported(config_map(report(0)), config_map(report(1), payload=json.dumps(document).encode()))
    assert run.missing == ["vllm, load point 1, attempt 1 (format 0; this version reads 1)"]


async def test_a_row_gets_the_data_of_its_own_attempt() -> None:
    run = await exported(config_map(report(0, output_tokens_per_second=9.0), attempt=2), config_map(report(0)))
    assert run.points[0].report == report(0)


def test_json_has_everything(run: Run) -> None:
    told = json.loads(document.as_json(run))
    assert told["format"] == "enginebench.dev/export/v1"
    assert told["run"]["metadata"] == {"name": "r", "namespace": "n", "uid": UID}
    assert told["run"]["status"]["points"] == ROWS
    first, second, skipped = told["points"]
    assert (first["row"], second["row"], skipped) == (ROWS[0], ROWS[1], {"row": ROWS[2]})
    assert first["report"]["ttft"]["p99"] == {"atLeast": 60000.0}
    assert first["report"]["outputTokensPerSecond"] == 1.5
    assert first["report"]["format"] == 1
    itl = first["distributions"]["itl"]
    assert (itl["samples"], itl["totalNanoseconds"], itl["maximumNanoseconds"]) == (3, 40 * MS, 20 * MS)
    [ten, twenty] = itl["buckets"]
    assert ten[0] <= 10 * MS < ten[1]
    assert twenty[0] <= 20 * MS < twenty[1]
    assert (ten[2], twenty[2]) == (2, 1)
    assert first["series"]["inFlight"] == [4]
    assert first["series"]["events"] == [7]
    assert first["series"]["tokens"] == [14]


def test_what_is_no_histogram_is_handed_on(run: Run) -> None:
    odd = Run(run.object, [type(run.points[0])(ROWS[0], report(0, histograms={"x": b"?"}, series=b""))])
    told = json.loads(document.as_json(odd))
    assert told["points"][0]["distributions"] == {"x": {"encoded": "Pw=="}}
    assert told["points"][0]["series"] is None


def test_ttft_against_tpot_is_told_cell_by_cell(run: Run) -> None:
    grid = Grid()
    grid.record(50, 7)
    made = Run(run.object, [type(run.points[0])(ROWS[0], report(0, histograms={"ttftTpot": grid.to_bytes()}))])
    told = json.loads(document.as_json(made))
    assert told["points"][0]["distributions"] == {"ttftTpot": {"samples": 1, "cells": [[[50, 52], [7, 8], 1]]}}


def test_what_one_point_has_and_another_has_not_is_a_column_of_its_own_only(run: Run) -> None:
    counted = GuideLlmCount(requests=2, seconds=4.0, requests_per_second=0.5, output_tokens_per_second=8.0)
    points = [type(run.points[0])(ROWS[0], report(n, guidellm=g)) for n, g in enumerate((None, counted))]
    first, second = table.rows(Run(run.object, points))
    assert "guidellm" not in first
    assert "time_to_first_output_token" not in first
    assert (first["guidellm_requests"], second["guidellm_requests"]) == (None, 2)
    assert "total_tokens_per_second" in first


def test_csv_has_a_row_a_point_and_says_what_is_a_lower_bound(run: Run) -> None:
    first, second, skipped = csv.DictReader(io.StringIO(table.as_csv(run).decode()))
    assert (first["run"], first["target"], first["index"], first["validity"]) == ("r", "vllm", "0", "Limited")
    assert first["reasons"] == "Censored TooFewSamples"
    assert (first["ttft_p50_ms"], first["ttft_p50_is_lower_bound"]) == ("10.0", "False")
    assert (first["ttft_p99_ms"], first["ttft_p99_is_lower_bound"]) == ("60000.0", "True")
    assert (first["requests_succeeded"], first["requests_incomplete"]) == ("3", "1")
    assert second["message"] == 'said "no"\nthen, yes'
    assert (skipped["validity"], skipped["ttft_p50_ms"]) == ("Skipped", "")


def test_csv_of_a_run_without_points_is_a_header() -> None:
    empty = Run({"metadata": {"name": "r", "namespace": "n", "uid": UID}}, [])
    assert table.as_csv(empty).decode().splitlines() == [",".join(table.FIRST)]


def test_parquet_is_the_same_table_with_types(run: Run) -> None:
    frame = polars.read_parquet(io.BytesIO(table.as_parquet(run)))
    assert frame.rows(named=True) == table.rows(run)
    assert frame.schema["ttft_p99_ms"] == polars.Float64


def test_the_command_writes_the_file_and_fails_in_words(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def found(namespace: str, name: str) -> Run | str:
        return run if name == "r" else f"there is no BenchmarkRun {name} in namespace {namespace}"

    monkeypatch.setattr(main, "_read", found)
    file = tmp_path / "r.csv"
    assert main.main(["r", "--namespace", "n", "--format", "csv", "--output", str(file)]) == 0
    assert file.read_bytes() == table.as_csv(run)
    assert main.main(["x", "--namespace", "n"]) == 1
    assert "no BenchmarkRun x in namespace n" in capsys.readouterr().err


def test_without_a_kubeconfig_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    assert main.main(["r"]) == 1
    assert "no way to a Kubernetes API server" in capsys.readouterr().err


async def test_guidellm_has_what_means_the_same() -> None:
    run = await exported(config_map(report(0)), config_map(report(1, request_rate=2.5, concurrency=None)))
    told = json.loads(guidellm.as_guidellm(run))
    first, second = told["benchmarks"]
    assert first["config"]["strategy"] == {"type_": "concurrent", "streams": 4}
    assert second["config"]["strategy"] == {"type_": "poisson", "rate": 2.5}
    told = first["scheduler_metrics"]
    times = ("request_start_time", "measure_start_time", "measure_end_time", "request_end_time")
    assert [told[name] for name in times] == [60.0, 100.0, 160.0, 190.0]
    assert first["metrics"]["request_totals"] == {"successful": 3, "incomplete": 1, "errored": 0, "total": 4}
    itl = first["metrics"]["inter_token_latency_ms"]["successful"]
    assert (itl["count"], itl["mean"], itl["min"], itl["max"]) == (3, pytest.approx(40 / 3), 10.0, 20.0)
    assert itl["percentiles"]["p50"] == pytest.approx(10, rel=0.004)
    assert itl["percentiles"]["p999"] == pytest.approx(20, rel=0.004)
    assert itl["std_dev"] == pytest.approx(4.714, rel=0.01)
    assert first["metrics"]["time_per_output_token_ms"]["successful"]["count"] == 0  # theirs is another figure
    assert first["metrics"]["output_tokens_per_second"]["successful"]["mean"] == 1.5


@pytest.mark.parametrize("arrival", ["Constant", "Poisson"])
@pytest.mark.parametrize("place", [("requestRate",), ("sweep", "requestRate")])
async def test_guidellm_is_told_how_requests_arrived(arrival: str, place: tuple[str, ...]) -> None:
    run = await exported(config_map(report(0, request_rate=2.5, concurrency=None)))
    load: dict[str, Any] = {"arrival": arrival}
    for name in reversed(place):
        load = {name: load}
    run.object["spec"]["workload"]["load"] = load
    [told] = json.loads(guidellm.as_guidellm(run))["benchmarks"]
    assert told["config"]["strategy"] == {"type_": arrival.lower(), "rate": 2.5}


async def test_guidellm_gets_no_point_that_is_worth_nothing() -> None:
    run = await exported(config_map(report(0)), config_map(report(1)))
    rows = [{**ROWS[0], "validity": "Invalid"}, ROWS[1]]
    judged = Run(run.object, [Point(row, point.report) for row, point in zip(rows, run.points, strict=False)])
    assert len(json.loads(guidellm.as_guidellm(judged))["benchmarks"]) == 1
