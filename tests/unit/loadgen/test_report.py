"""A point's message and its budget of bytes: what goes first, and what always stays."""

from random import Random
from typing import Any

import msgspec
import pytest

from enginebench.api.loadplan import PointPlan
from enginebench.cluster.children import LEAST_POINT_BYTES
from enginebench.loadgen.connection import MAX_ERROR_TEXT, MAX_WORD
from enginebench.loadgen.report import MOST_ERROR_TEXTS, MOST_FINISH_REASONS, Course, point_report
from enginebench.results.engine_metrics import COUNTERS, GAUGES, HISTOGRAMS, Scrape, Scraped
from enginebench.results.frames import Encoder
from enginebench.results.gpu_state import NAMES, GpuSeries
from enginebench.results.histogram import Histogram
from enginebench.results.point_report import GuideLlmReport, PointReport, RequestBody, Strained
from enginebench.results.record import RequestRecord, Window
from enginebench.results.records import Records
from enginebench.results.seen import Seen, Strain
from enginebench.results.series import Tick

MS, SECOND = 1_000_000, 1_000_000_000
WINDOW = Window(100 * SECOND, 160 * SECOND)
ODD = "".join(map(chr, range(0x1F300, 0x1F600)))
"""Characters of four bytes, which nothing compresses."""


def words(random: Random, characters: int) -> str:
    return "".join(random.choices(ODD, k=characters))


def requests(random: Random) -> Records:
    """Some 400 that ended well, 80 that failed, 40 that did not end; at most eight texts of each kind."""
    errors = [words(random, MAX_ERROR_TEXT) for _ in range(MOST_ERROR_TEXTS)]
    reasons = [words(random, MAX_WORD) for _ in range(MOST_FINISH_REASONS)]
    made = Records()
    for number in range(520):
        start = WINDOW.open + random.randrange(50 * SECOND)
        first = start + random.randrange(MS, 900 * MS)
        last = first + random.randrange(MS, 9 * SECOND)
        record = RequestRecord(
            start=start,
            sent=start + random.randrange(MS),
            tracked=True,
            first=first,
            first_output=first + random.randrange(MS),
            last=last,
            end=last + MS,
            events=50,
            events_in_window=50,
            prompt_tokens=random.randrange(10, 99),
            known_prompt_tokens=random.randrange(10, 99),
        )
        if number < 400:
            record.outcome, record.finish_reason, record.output_tokens = "succeeded", random.choice(reasons), 77
        elif number < 480:
            record.outcome, record.error = "errored", random.choice(errors)
        made.append(record)
    return made


def histogram(random: Random) -> Histogram:
    made = Histogram()
    made.record_all([random.randrange(SECOND) for _ in range(500)])
    return made


def everything(most_bytes: int) -> PointReport:
    """A report with all that can be in it, every text of others as long as it is ever kept."""
    random = Random(4711)  # noqa: S311  # nothing secret hangs on it
    seen = Seen(
        window=WINDOW,
        records=requests(random),
        gaps=histogram(random),
        ticks=[Tick(random.randrange(99), 430 * second, 400 * second, SECOND * second) for second in range(1, 61)],
        replayed=12345,
        wrong_models={words(random, 900): n for n in range(9)},
        strain=Strain(histogram(random), 99, 55, random.random(), 60.1, random.random(), random.random()),
    )
    counters = [*GAUGES, *COUNTERS, *(f"{name}{part}" for name in HISTOGRAMS for part in ("Sum", "Count"))]
    course = Course(
        started_at=1764360000.123456,
        opened_at=1764360010.654321,
        ended_at=1764360080.5,
        interrupted=True,
        lost_shards=3,
        clock_uncertainty=random.random(),
        warmup_bound_reached=True,
        drain_bound_reached=True,
        engine_start_before=1764350000.25,
        engine_start_after=1764350001.75,
        engine_busy_with="12345 requests running, 12345 waiting",
        prompts_repeated=random.random(),
        request=RequestBody(digest=f"sha256:{random.getrandbits(256):064x}", json=words(random, 1024)),
        scraped=Scraped(
            names={name: f"vllm:{name}_seconds_total" for name in counters},
            scrapes=tuple(
                Scrape(WINDOW.open + n * 5 * SECOND, {name: n * 1000 * random.random() for name in counters})
                for n in range(13)
            ),
        ),
        gpus=[
            GpuSeries(names[0], gpu, [(1764360011.0 + n, 99 * random.random()) for n in range(50)])
            for names in NAMES.values()
            for gpu in ("0", "1")
        ],
        carries=12345.678901234,
    )

    def besides(report: PointReport) -> PointReport:
        strained = Strained(
            cpus=2.5, busiest_percent=70.123456789, processes=9, memory_bytes=1 << 40, concurrency=9.87654321
        )
        return msgspec.structs.replace(
            report,
            evidence=msgspec.structs.replace(report.evidence, strained=strained),
            requests_file=f"run-12345678/{'t' * 40}-a12-p199.jsonl.gz",
            requests_error=words(random, 200),
            generator="guidellm",
            generator_version="0.8.1",
            guidellm_report=GuideLlmReport(**{name: random.random() for name in GuideLlmReport.__struct_fields__}),
        )

    return point_report(PointPlan(index=199, request_rate=8.7), seen, course, most_bytes=most_bytes, besides=besides)


def size(report: PointReport) -> int:
    return sum(map(len, Encoder().message(report)))


def figures(report: PointReport) -> dict[str, Any]:
    """All that is a number, or a number's name."""
    kept = msgspec.structs.replace(report, histograms={}, series=b"", engine_series=b"", gpu_series=b"", request=None)
    kept = msgspec.structs.replace(kept, requests_error="")
    texts: dict[str, Any] = {"errors": {}, "finish_reasons": {}, "wrong_models": (), "engine_busy_with": ""}
    evidence = msgspec.structs.replace(kept.evidence, **texts)
    told: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(kept, evidence=evidence))
    return told


@pytest.mark.parametrize("most_bytes", [LEAST_POINT_BYTES, 8192, 16384, 65536])
def test_a_report_of_everything_is_within_its_bytes_with_all_its_figures(most_bytes: int) -> None:
    whole, report = everything(1 << 30), everything(most_bytes)
    assert size(report) <= most_bytes
    assert figures(report) == figures(whole)
    assert report.request is not None
    assert whole.request is not None
    assert report.request.digest == whole.request.digest
    assert sum(report.evidence.errors.values()) == sum(whole.evidence.errors.values()) == 80


def test_a_report_that_has_room_keeps_every_word() -> None:
    whole = everything(1 << 30)
    assert max(map(len, whole.evidence.errors)) == MAX_ERROR_TEXT
    assert whole.request is not None
    assert len(whole.request.json) == 1024
    assert everything(size(whole) + 100) == whole


def test_the_body_goes_before_the_ends_of_words() -> None:
    bare = msgspec.structs.replace(everything(1 << 30), histograms={}, series=b"", engine_series=b"", gpu_series=b"")
    report = everything(size(bare) - 500)
    assert report.request is not None
    assert report.request.json == ""
    assert max(map(len, report.evidence.errors)) == MAX_ERROR_TEXT
