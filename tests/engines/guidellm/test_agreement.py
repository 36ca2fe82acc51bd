"""Agreement, step 3: the same real engine under both load generators, in turn, with A against A.

Ollama 0.9.2, one process all the time, A, B and B, A and A, B; the same route, and with GuideLLM 0.8.1 the same body. The
deep tiny model: of the other one a token takes less than the half millisecond that the two may differ by. Not tried
again where it fails: two that disagree are not to agree by luck.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from enginebench.api.loadplan import DatasetPlan, LoadPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.results.point_report import PointReport
from enginebench.workflow.verdicts import judge_point
from images.ollama.binary import ensure_ollama_binary
from images.ollama.models import ensure_tiny_model, serving
from images.tiny.weights import DEEP
from tests.engines.conftest import tell
from tests.engines.guidellm.real import by_guidellm, by_ourselves
from tests.support.agreement import LEAST, agree, in_words
from tests.support.cluster import SATURATED
from tests.unit.loadgen.plans import plan

USERS, TOKENS = 2, 64
SECONDS = 5
"""A dozen requests and more, which have some thousand gaps."""
ROWS = 2
"""So few, that a dozen requests have them equally often: rows differ in length by the engine's count."""
MOST_TURNS = 4
"""A machine that was too busy for some gets more turns than LEAST."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of an Ollama that lets either load generator go first where both want the same core, as in the cluster examples."""
    behind = tmp_path_factory.mktemp("behind") / "ollama"
    behind.write_text(f'#!/bin/sh\nexec nice -n 10 {ensure_ollama_binary()} "$@"\n')
    behind.chmod(0o755)
    with serving(behind, ensure_tiny_model().folder, OLLAMA_NUM_PARALLEL=str(USERS)) as url:
        yield url


def load(url: str) -> LoadPlan:
    return plan(
        url,
        dialect="ollama",
        model=f"{DEEP}:latest",
        dataset=DatasetPlan(synthetic=SyntheticRows(rows=ROWS, prompt_tokens=16, output_tokens=TOKENS)),
        request=RequestPlan(api="Completions", max_output_tokens=TOKENS),
        duration_seconds=SECONDS,
        warmup_max_seconds=60,
        point_bytes=1 << 20,
    )


def usable(reports: Sequence[PointReport]) -> list[float]:
    """ITL P50 of the points at which the load generator kept up, milliseconds."""
    kept_up = [report.itl.p50 for report in reports if SATURATED not in judge_point(report).reasons]
    return [p50 for p50 in kept_up if isinstance(p50, float)]


@pytest.mark.flaky(reruns=0)
@pytest.mark.parametrize("version", ["0.8.1", "0.2.1"])
async def test_both_load_generators_agree_on_a_real_engine(
    url: str, tmp_path: Path, version: str, request: pytest.FixtureRequest
) -> None:
    own: list[PointReport] = []
    theirs: list[PointReport] = []
    for turn in range(MOST_TURNS):
        first, second = (PointPlan(index=2 * turn + place, concurrency=USERS) for place in range(2))
        if turn % 2 == 0:
            own.append(await by_ourselves(load(url), first))
        theirs.append(await by_guidellm(load(url), version, tmp_path / str(turn), second))
        if turn % 2:
            own.append(await by_ourselves(load(url), first))
        fewest, left = min(len(usable(own)), len(usable(theirs))), MOST_TURNS - 1 - turn
        if fewest >= LEAST or fewest + left < LEAST:  # enough, or never to be enough
            break
    words = in_words(usable(own), usable(theirs), f"GuideLLM {version}")
    tell(request.config, f"ITL P50 of one Ollama with {USERS} users: {words}")
    for report in (*own, *theirs):
        assert report.requests.succeeded > 0, report.evidence
        assert report.requests.errored == 0, report.evidence
        assert report.output_tokens_mean == pytest.approx(TOKENS, rel=0.03)
        assert report.prompt_tokens_mean == pytest.approx(own[0].prompt_tokens_mean, rel=0.02)
    told = [judge_point(report).message for report in (*own, *theirs)]
    a, b = usable(own), usable(theirs)
    if min(len(a), len(b)) < LEAST:
        pytest.skip(f"this machine was too busy to tell whether they agree: {told}")
    assert agree(a, b), (words, told)
