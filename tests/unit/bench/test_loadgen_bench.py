"""The side-by-side bench: what it looks at from outside, what it asks of our own generator, and one short real run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from bench import machine, reference
from bench.loadgen import page
from bench.loadgen.ours import Ours
from bench.loadgen.rows import Load, Mode, Reported, Row, ideal
from bench.loadgen.runner import measure
from bench.loadgen.table import HEAD, table
from bench.loadgen.targets import Check, checks
from bench.loadgen.tool import Task
from bench.loadgen.tree import Tree
from bench.loadgen.watch import Look, steady_part
from bench.reference import Quantiles, Truth
from enginebench.api import loadplan


def truth(ttft_p99: float = 50.1, itl_p99: float = 10.0) -> Truth:
    def figure(p99: float) -> Quantiles:
        return Quantiles(count=1000, p50=p99, p99=p99)

    return Truth(
        started=9, finished=9, stopped_early=0, tokens=9, tokens_ever=9, stalled_writes=0, dropped_samples=0,
        first_arrival_unix=1.0, seconds=9.0, ttft=figure(ttft_p99), gap=figure(10.0), itl=figure(itl_p99),
        latency=figure(1320.0), lateness=figure(0.1),
    )  # fmt: skip


def row(streams: int = 256, **reported: float) -> Row:
    said = {"tokens_per_second": ideal(streams), "ttft_p50": 50.0, "ttft_p99": 51.0, "itl_p99": 10.1, **reported}
    return Row(
        tool="enginebench",
        version="1",
        mode="one core",
        streams=streams,
        reported=msgspec.convert(said, Reported),
        truth=truth(),
        load=Load(start_up_seconds=0.2, tokens_per_second=24000.0, cpu_per_1000_tokens=0.01, memory_bytes=30_000_000),
    )


def test_the_ideal() -> None:
    assert ideal(256) == pytest.approx(24_824, abs=1)  # a request takes 50 ms and 127 times 10 ms


def test_all_bounds_are_looked_at() -> None:
    found = list(checks([row(64), row(256), row(512)]))
    assert len(found) == 13
    assert all(check.kept for check in found)


def test_a_margin_is_told_in_percent_of_the_bound() -> None:
    assert str(Check("CPU", 0.0152, 0.015, "s")) == "MISS  CPU: 0.0152 s, bound 0.015 s, margin -1.3 %"
    assert str(Check("memory", 15.0, 60.0, "MB")) == "PASS  memory: 15 MB, bound 60 MB, margin 75.0 %"


def test_a_reason_against_our_own_point_is_a_miss_and_named() -> None:
    said = msgspec.structs.replace(row().reported or Reported(), reasons=("NotStationary",), why="it drifts")
    [missed] = [check for check in checks([msgspec.structs.replace(row(), reported=said)]) if not check.kept]
    assert (
        str(missed)
        == "MISS  held against the point at 256 streams (NotStationary: it drifts): 1 reasons, bound 0 reasons"
    )


def test_every_start_must_be_quick() -> None:
    slow = msgspec.structs.replace(row(1), load=Load(start_up_seconds=0.6))
    [missed] = [check for check in checks([slow, row(64), row(16)]) if not check.kept]
    assert missed.what == "process start to first request, the slowest of 3"
    assert missed.value == 0.6


@pytest.mark.parametrize(("mode", "cores"), [("one core", 1), ("best", 2)])
def test_our_own_takes_a_process_for_each_core(mode: Mode, cores: int, tmp_path: Path) -> None:
    task = Task(
        url="http://127.0.0.1:1", model="m", streams=8, seconds=20, mode=mode, cores=cores, folder=tmp_path,
        tokenizer=tmp_path,
    )  # fmt: skip
    command = Ours().command(task)
    assert loadplan.decode(Path(command[-1]).read_bytes()).processes == cores


@pytest.mark.parametrize(
    ("streams", "reported", "missed"),
    [
        (256, {"ttft_p99": 53.2}, ["TTFT P99 at 256"]),
        (256, {"itl_p99": 7.9}, ["ITL P99 at 256"]),
        (256, {"tokens_per_second": 24_600}, ["TPS at 256"]),
        (512, {"ttft_p99": 55.2}, ["TTFT P99 at 512"]),
        (512, {"ttft_p99": 70.0}, ["TTFT P99 at 512", "TTFT P99 at 49648 tokens/s"]),
        (512, {"tokens_per_second": 48_600}, ["TPS at 512"]),
    ],
)
def test_a_bound_that_is_missed_is_told(streams: int, reported: dict[str, float], missed: list[str]) -> None:
    found = [check for check in checks([row(streams, **reported)]) if not check.kept]
    assert [check.what.startswith(start) for check, start in zip(found, missed, strict=True)] == [True] * len(missed)
    assert all(str(check).startswith("MISS") for check in found)


def test_without_a_report_nothing_is_kept() -> None:
    without = msgspec.structs.replace(row(), reported=None, problem="it fell over")
    found = next(iter(checks([without])))
    assert not found.kept
    assert "it fell over" in str(found)


def test_the_table_has_a_cell_for_every_head() -> None:
    failed = msgspec.structs.replace(row(), reported=None, problem="it fell | over")
    lines = [line for line in table([row(), failed], "one core") if line.startswith("|")]
    assert {line.count("|") for line in lines} == {HEAD.count("|")}


def test_what_a_tool_does_not_say_is_left_empty_and_what_was_not_seen_says_why() -> None:
    silent = msgspec.structs.replace(row(), reported=Reported())
    unseen = msgspec.structs.replace(row(), load=Load(unknown="3 looks at it, 1 in the steady part: two are wanted"))
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table([silent, unseen], "one core")
        if "256" not in line
    ]
    heads, _, _, first, second = (cells[at] for at in range(-5, 0))
    assert first[heads.index("TTFT P50 / P99, ms")] == ""
    assert second[1] == "not known: 3 looks at it, 1 in the steady part: two are wanted"
    assert second[heads.index("CPU-s per 1k tokens")] == "not known"


def test_the_drawing_and_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "DRAWING", tmp_path / "page.svg")
    page.PAGE.write_text(f"before\n{page.BEGIN}old\n{page.END}after\n")
    failed = msgspec.structs.replace(row(), tool="other", reported=None, problem="it fell")
    for _ in range(2):  # what it writes it can replace
        page.write([row(64), row(256), failed], ["one core"], "a machine, on a day", ["PASS"], {})
    text = page.PAGE.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert text.count("Measured on a machine, on a day.") == text.count("**256 streams**") == 1
    assert "old" not in text
    drawing = ElementTree.parse(page.DRAWING)  # noqa: S314  # our own
    lines = drawing.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 1, 2, 0, 2, 1]


def test_the_settings_of_the_tools_that_were_measured_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(page, "DRAWING", tmp_path / "page.svg")
    page.PAGE.write_text(f"{page.BEGIN}{page.END}")
    best = msgspec.structs.replace(row(), mode="best")
    page.write([best], ["best"], "a machine", [], {"enginebench": "more of it", "absent": "all of it", "bare": ""})
    assert [line for line in page.PAGE.read_text().splitlines() if line.startswith("- ")] == [
        "- enginebench: more of it"
    ]


def test_where_and_when() -> None:
    assert re.search(r", on \d{4}-\d\d-\d\d(, at commit [0-9a-f]{7,}(-dirty)?)?$", machine.here_and_now())


def test_the_steady_part_leaves_out_start_and_end() -> None:
    tokens = [0, 0, 0, 50, 150, 250, 350, 450, 550, 600, 600, 600]
    looks = [Look(float(at), count, 0.0) for at, count in enumerate(tokens)]
    assert [look.at for look in steady_part(looks)] == [6.0, 7.0]
    assert steady_part(looks[:3]) == []


def test_a_tree_counts_children_and_the_dead() -> None:
    burn = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn + 'input()'!r}])\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, start_new_session=True, text=True
    ) as process:
        tree = Tree(process.pid)
        while tree.cpu_seconds() < 0.3:
            assert process.poll() is None
        assert tree.memory_bytes() > 4_000_000
        before = tree.cpu_seconds()
        process.communicate("\n\n", timeout=60)
        assert tree.cpu_seconds() >= before
        assert tree.memory_bytes() == 0


@pytest.mark.skipif(not any(map(shutil.which, reference.COMPILERS)), reason="no C compiler here")
def test_a_short_run_of_our_own(tmp_path: Path) -> None:
    with reference.running(reference.build()) as server:
        found = measure(Ours(), server, tmp_path / "run", tmp_path, streams=4, seconds=3, mode="best")
    assert found.problem == ""
    assert found.reported is not None
    assert found.truth is not None
    assert found.reported.requests >= 8
    assert found.truth.finished >= found.reported.requests - 4
    assert found.reported.ttft_p50 is not None
    assert found.reported.ttft_p50 >= found.truth.ttft.min
    assert found.truth.tokens == pytest.approx(128 * found.truth.finished, abs=8 * 128)
    assert found.load.start_up_seconds is not None
    assert found.load.start_up_seconds > 0
    assert found.load.memory_bytes > 5_000_000
