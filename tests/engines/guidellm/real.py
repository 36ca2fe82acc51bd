"""Load points by the real GuideLLM and by EngineBench's own load generator, against an engine on this machine."""

import asyncio
from pathlib import Path

from msgspec.structs import replace

from enginebench.api.loadplan import GuideLlmPlan, LoadPlan, PointPlan
from enginebench.loadgen.guidellm.point import ADAPTERS, GuideLlm
from enginebench.loadgen.point import measure
from enginebench.results.point_report import PointReport
from tests.engines.guidellm.packages import environment
from tests.unit.loadgen.guidellm.agents import agent_with
from tests.unit.loadgen.points import site_of


async def by_guidellm(of: LoadPlan, version: str, folder: Path, point: PointPlan) -> PointReport:
    """By the real GuideLLM."""
    variables = environment(version)
    of = replace(of, guidellm=next(GuideLlmPlan(version=known) for known in ("0.2.1", "0.8.1") if known == version))
    await asyncio.to_thread(folder.mkdir)
    async with agent_with(folder, variables=variables):
        guidellm = GuideLlm(of, folder)
        await guidellm.ready([point])
        report = await guidellm.measure(await site_of(of), point)
    assert report is not None
    assert (report.generator, report.generator_version) == ("guidellm", ADAPTERS[version].version)
    return report


async def by_ourselves(of: LoadPlan, point: PointPlan) -> PointReport:
    report = await measure(await site_of(of), point)
    assert report is not None
    return report
