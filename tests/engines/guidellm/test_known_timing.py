"""Agreement, step 2: the real GuideLLM against a server of known timing. What it says is right, or the point says that
it is not: within 1 % or 0.5 ms of the server's own record, or LoadGeneratorSaturated, or as far off as the reason
GeneratorOverhead tells.

The server is bench/refserver, which keeps its time whatever else the machine does. GuideLLM does not: with many users, or
on a busy machine, the second half of the sentence is what is tested. With few users there are up to three
measurings, until one is not saturated; none may be wrong without saying so.
"""

import asyncio
import shutil
from pathlib import Path

import pytest

from bench import reference
from enginebench.api.loadplan import DatasetPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.results.point_report import Figure, PointReport
from enginebench.workflow.reasons import OWN_TTFT_MILLISECONDS
from enginebench.workflow.verdicts import judge_point
from tests.engines.conftest import tell
from tests.engines.guidellm.real import by_guidellm
from tests.support.cluster import MEASURINGS, SATURATED
from tests.unit.loadgen.plans import plan

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, reference.COMPILERS)), reason="no C compiler here to build the reference server with"
)
TTFT, ITL, TOKENS = 100.0, 20.0, 32
"""Milliseconds; tokens of each answer."""
FEW = 2
"""Users with which it keeps up on two cores that are its own."""


def median(figure: Figure) -> float:
    assert isinstance(figure.p50, float)
    return figure.p50


def off(said: float, true: float, overhead: float) -> bool:
    """By more than 1 % and 0.5 ms, and by more than what is told to be the load generator's own."""
    room = max(0.5, 0.01 * true)
    return not -room <= said - true <= max(room, overhead)


async def measured(folder: Path, version: str, users: int) -> tuple[PointReport, reference.Truth]:
    """What GuideLLM says of a point, and what the server did."""
    with reference.running(reference.build(), options=("--ttft-ms", str(TTFT), "--itl-ms", str(ITL))) as server:
        of = plan(
            server.url,
            model=reference.MODEL,
            dataset=DatasetPlan(synthetic=SyntheticRows(rows=50, prompt_tokens=8, output_tokens=TOKENS)),
            request=RequestPlan(max_output_tokens=TOKENS),
            duration_seconds=6,
            warmup_max_seconds=30,
            point_bytes=1 << 20,
        )
        report = await by_guidellm(of, version, folder, PointPlan(index=0, concurrency=users))
        return report, await asyncio.to_thread(server.truth)


@pytest.mark.flaky(reruns=0)
@pytest.mark.parametrize(("version", "users"), [("0.2.1", FEW), ("0.8.1", FEW), ("0.8.1", 64)])
async def test_it_is_right_or_says_that_it_is_not(
    tmp_path: Path, version: str, users: int, request: pytest.FixtureRequest
) -> None:
    saturated = []
    for number in range(MEASURINGS if users == FEW else 1):
        report, truth = await measured(tmp_path / str(number), version, users)
        assert report.requests.succeeded > 0
        assert report.output_tokens_mean == TOKENS
        verdict = judge_point(report)
        assert "GeneratorOverhead" in verdict.reasons or users > FEW
        own = OWN_TTFT_MILLISECONDS[report.generator, version]
        figures = (
            ("TTFT", median(report.ttft), truth.ttft.p50, own),
            ("ITL", median(report.itl), truth.itl.p50, 0.0),
        )
        said = ", ".join(f"{name} {p50:.5g} of {true:.5g} ms" for name, p50, true, _ in figures)
        right = not any(off(p50, true, overhead) for _, p50, true, overhead in figures)
        kept_up = SATURATED not in verdict.reasons
        tell(
            request.config,
            f"GuideLLM {version} with {users} users against a server of known timing, P50: {said} "
            f"({'it kept up' if kept_up else 'saturated, as the point says'})",
        )
        assert right or not kept_up, (said, report.evidence)
        if kept_up:
            return
        saturated.append(verdict.message)
    if users == FEW:
        pytest.skip(f"this machine was too busy to tell whether it is right: {saturated}")
