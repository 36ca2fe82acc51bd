"""Agreement, step 1: GuideLLM's own formulas and EngineBench's over one recorded trace, to 0.1 %.

The trace is recorded by EngineBench's load generator from a server whose answers differ in length and pace; each
version's formulas run in a Python that has the real package.
"""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from enginebench.api.loadplan import DatasetPlan, PointPlan, RequestPlan, Row
from enginebench.loadgen.point import load_of
from enginebench.results import figures
from enginebench.results.guidellm import guidellm_count
from enginebench.results.record import RequestRecord, Window
from tests.engines.guidellm.packages import environment
from tests.support.engine import Behaviour, Engine, serving
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.points import site_of

HERE = Path(__file__).parent
EPOCH = 1_800_000_000.0
SECONDS = 5
WITHIN = 0.001
LENGTHS = (4, 9, 16, 25, 36)


async def recorded() -> list[RequestRecord]:
    """Successes of some seconds, as the load generator saw them."""
    rows = tuple(Row(prompt=f"prompt {tokens}", output_tokens=tokens) for tokens in LENGTHS)
    engine = Engine(tokens=max(LENGTHS), behave=lambda n: Behaviour(ttft=0.005 * (1 + n % 7), gap=0.001 * (1 + n % 3)))
    async with serving(engine):
        of = plan(engine.url, dataset=DatasetPlan(rows=rows), request=RequestPlan(max_output_tokens=max(LENGTHS)))
        site = await site_of(of)
        load = load_of(of, site.address, PointPlan(index=0, concurrency=8), site.bodies)
        await load.connect()
        load.start(0)
        load.open_window()
        await asyncio.sleep(SECONDS)
        load.close_window()
        load.stop()
    return [record for record in load.seen().records if record.outcome == "succeeded"]


def by_guidellm(version: str, records: list[RequestRecord]) -> dict[str, Any]:
    """Metric → GuideLLM's own distribution of it."""
    trace = [
        {
            "start": EPOCH + record.start / 1e9,
            "first": EPOCH + record.first / 1e9,
            "last": EPOCH + record.last / 1e9,
            "promptTokens": record.prompt_tokens,
            "outputTokens": record.output_tokens,
        }
        for record in records
    ]
    script = HERE / f"formulas_{version[0]}_{version[2]}.py"
    done = subprocess.run(
        [sys.executable, script],
        input=json.dumps(trace),
        env=environment(version),
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def odd(records: list[RequestRecord]) -> list[RequestRecord]:
    """All but the last few: an odd number of them, with an odd number of gaps. No percentile lies between two neighbours
    then, of which a sum of rounded shares, as GuideLLM makes it, may take the one or the other."""
    return next(
        kept
        for n in range(len(records), 0, -1)
        if (kept := records[:n]) and n % 2 and sum((r.output_tokens or 0) - 1 for r in kept) % 2
    )


@pytest.mark.parametrize("version", ["0.2.1", "0.8.1"])
async def test_both_formulas_come_to_the_same(version: str) -> None:
    # GuideLLM's end of a request is its last content here: both count latencies to that.
    records = odd([replace(record, end=record.last) for record in await recorded()])
    assert len(records) > 100
    theirs = await asyncio.to_thread(by_guidellm, version, records)
    counted = figures.tokens(records)
    ours = {
        "ttft": figures.censored_figure(figures.ttft(records)),
        "itl": figures.weighted_figure(figures.itl(records, counted), 0),
        "requestLatency": figures.censored_figure(figures.request_latency(records)),
    }
    for name, figure in ours.items():
        assert figure.mean == pytest.approx(theirs[name]["mean"], rel=WITHIN), name
        assert figure.p50 == pytest.approx(theirs[name]["median"], rel=WITHIN), name
        for percentile in ("p90", "p95", "p99"):
            told = theirs[name]["percentiles"][percentile]
            assert getattr(figure, percentile) == pytest.approx(told, rel=WITHIN), f"{percentile} of {name}"
    window = Window(min(r.start for r in records), max(r.end for r in records) + 1)
    count = guidellm_count(records, window, counted)
    assert count is not None
    # What falls upon the last end GuideLLM leaves out: one request, one token.
    share = 1 / count.requests
    assert count.requests_per_second == pytest.approx(theirs["requestsPerSecond"]["mean"], rel=WITHIN + share)
    assert count.output_tokens_per_second == pytest.approx(theirs["outputTokensPerSecond"]["mean"], rel=WITHIN)
