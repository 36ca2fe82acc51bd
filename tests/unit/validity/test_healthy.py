"""A healthy run at 256 streams of 10 ms a token: no reason holds, or this machine was not left alone and it is said."""

from pathlib import Path

import pytest

from enginebench.api.loadplan import DatasetPlan, PointPlan, RequestPlan, SyntheticRows
from enginebench.workflow.verdicts import judge_point
from tests.unit.loadgen.plans import plan
from tests.unit.validity import pods

STREAMS, TOKENS, PROMPT_TOKENS = 256, 64, 16
PREFILL_MICROSECONDS = 400
"""A token of the prompt; about three prompts join in a step, so that a first token takes some 40 ms."""


def test_no_reason_holds_at_256_streams(tmp_path: Path) -> None:
    prefix = pods.realtime()
    if not prefix:
        pytest.skip("real-time priority is not allowed here: other work of this machine would be told of")
    rows = DatasetPlan(synthetic=SyntheticRows(rows=500, prompt_tokens=PROMPT_TOKENS, output_tokens=TOKENS))
    with pods.engine(prefix=prefix, slots=STREAMS, prefill_microseconds_per_token=PREFILL_MICROSECONDS) as (_, url):
        what = plan(
            url,
            api="Completions",
            dataset=rows,
            request=RequestPlan(api="Completions", max_output_tokens=TOKENS),
            points=(PointPlan(index=0, concurrency=STREAMS),),
            duration_seconds=12,
            ramp_seconds=3,
        )
        report = pods.measured(what, tmp_path, prefix=prefix)
    verdict = judge_point(report)
    assert report.requests.succeeded > 300
    assert report.requests.incomplete == report.requests.errored == 0
    if verdict.reasons == ("LoadGeneratorSaturated",) and (others := pods.others_in_real_time()):
        pytest.skip(f"processes {others} of this machine have real-time priority, too: {verdict.message}")
    assert verdict.reasons == (), verdict.message
