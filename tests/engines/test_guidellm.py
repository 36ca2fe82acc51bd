"""Agreement, step 3: the same real engine under both load generators, in A/B/A/B order, with A against A.

Ollama 0.9.2 with the tiny model, one process all the time; the same route, and with GuideLLM 0.8.1 the same body.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.results.point_report import Figure, PointReport
from enginebench.workflow.verdicts import judge_point
from images.ollama.binary import ensure_ollama_binary
from images.ollama.models import ensure_tiny_model, serving
from tests.unit.loadgen.guidellm.packages import environment
from tests.unit.loadgen.guidellm.real import by_guidellm, by_ourselves
from tests.unit.loadgen.plans import plan

USERS, TOKENS = 2, 64
SECONDS = 8
SHARE, FLOOR_MILLISECONDS = 0.05, 0.5
SATURATED = "LoadGeneratorSaturated"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ensure_ollama_binary(), ensure_tiny_model().folder, OLLAMA_NUM_PARALLEL=str(USERS)) as url:
        yield url


def load(url: str) -> LoadPlan:
    return plan(
        url,
        dialect="ollama",
        model="tiny:latest",
        dataset=DatasetPlan(synthetic=SyntheticRows(rows=100, prompt_tokens=16, output_tokens=TOKENS)),
        request=RequestPlan(api="Completions", max_output_tokens=TOKENS),
        duration_seconds=SECONDS,
        warmup_max_seconds=60,
        point_bytes=1 << 20,
    )


def median(figure: Figure) -> float:
    assert isinstance(figure.p50, float)
    return figure.p50


def overlap(ones: list[float], others: list[float]) -> bool:
    """The spans of two load generators, each wider by 5 % or 0.5 ms."""
    room = max(FLOOR_MILLISECONDS, SHARE * max(*ones, *others))
    return min(ones) - room <= max(others) + room and min(others) - room <= max(ones) + room


@pytest.mark.parametrize("version", ["0.8.1", "0.2.1"])
async def test_both_load_generators_agree_on_a_real_engine(url: str, tmp_path: Path, version: str) -> None:
    environment(version)  # skipped where it is not installed
    own: list[PointReport] = []
    theirs: list[PointReport] = []
    for turn in range(2):
        own.append(await by_ourselves(load(url), PointPlan(index=2 * turn, concurrency=USERS)))
        point = PointPlan(index=2 * turn + 1, concurrency=USERS)
        theirs.append(await by_guidellm(load(url), version, tmp_path / str(turn), point))
    for report in (*own, *theirs):
        assert report.requests.succeeded > 0, report.evidence
        assert report.requests.errored == 0, report.evidence
        assert report.output_tokens_mean == pytest.approx(TOKENS, rel=0.03)
        assert report.prompt_tokens_mean == pytest.approx(own[0].prompt_tokens_mean, rel=0.02)
    a, b = [median(report.itl) for report in own], [median(report.itl) for report in theirs]
    words = f"ITL P50 of EngineBench {a} (A against A), of GuideLLM {version} {b} ms"
    told = {reason for report in (*own, *theirs) for reason in judge_point(report).reasons}
    assert overlap(a, b) or SATURATED in told, (words, [report.evidence for report in theirs])
