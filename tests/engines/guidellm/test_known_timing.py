"""Agreement, step 2: the real GuideLLM against a server of known timing. What it says is right, or the point says that
it is not: within 1 % or 0.5 ms of the server's own record, or LoadGeneratorSaturated, or as far off as the reason
GeneratorOverhead tells.

The server is bench/refserver, which keeps its time whatever else the machine does. GuideLLM does not: on a busy machine
the second half of the sentence is what is tested.
"""

import asyncio
import shutil
from pathlib import Path

import pytest

from bench import reference
from enginebench.api.loadplan import DatasetPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.workflow.reasons import OWN_TTFT_MILLISECONDS
from enginebench.workflow.verdicts import judge_point
from tests.engines.guidellm.real import by_guidellm
from tests.unit.loadgen.plans import plan

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, reference.COMPILERS)), reason="no C compiler here to build the reference server with"
)
TTFT, ITL, TOKENS = 100.0, 20.0, 32
"""Milliseconds; tokens of each answer."""


def off(said: object, true: float, overhead: float) -> bool:
    """By more than 1 % and 0.5 ms, besides what is told to be the load generator's own."""
    assert isinstance(said, float)
    room = max(0.5, 0.01 * true)
    return not -room <= said - true <= room + overhead


@pytest.mark.parametrize(("version", "users"), [("0.2.1", 2), ("0.8.1", 2), ("0.8.1", 64)])
async def test_it_is_right_or_says_that_it_is_not(tmp_path: Path, version: str, users: int) -> None:
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
        report = await by_guidellm(of, version, tmp_path / "shared", PointPlan(index=0, concurrency=users))
        truth = await asyncio.to_thread(server.truth)
    assert report.requests.succeeded > 0
    assert report.output_tokens_mean == TOKENS
    reasons = judge_point(report).reasons
    assert ("GeneratorOverhead" in reasons) is (version == "0.2.1")
    own = OWN_TTFT_MILLISECONDS[report.generator, version] if "GeneratorOverhead" in reasons else 0.0
    wrong = [
        f"{name}: {figure.p50} instead of {true.p50} ms"
        for name, figure, true, overhead in (
            ("TTFT", report.ttft, truth.ttft, own),
            ("ITL", report.itl, truth.itl, 0.0),
        )
        if off(figure.p50, true.p50, overhead)
    ]
    assert "LoadGeneratorSaturated" in reasons or not wrong, (wrong, report.evidence)
