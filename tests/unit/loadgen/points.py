"""Load points as the program measures them, against an engine in the same process."""

import asyncio
from collections.abc import Callable
from typing import Any

from enginebench.api.loadplan import LoadPlan, PointPlan
from enginebench.loadgen.address import parse
from enginebench.loadgen.asking import ProcessStart
from enginebench.loadgen.bodies import Bodies
from enginebench.loadgen.dataset import read
from enginebench.loadgen.point import Say, Site, measure
from enginebench.loadgen.verify import resolved
from enginebench.results.point_report import PointReport
from tests.support.engine import Behaviour, Engine, serving
from tests.unit.loadgen.plans import plan


def steady(**changes: Any) -> Callable[[int], Behaviour]:
    """Every request is answered alike."""
    return lambda _: Behaviour(**changes)


async def site_of(what: LoadPlan, say: Say = lambda _stage, _message: None) -> Site:
    rows, _ = read(what.dataset, chat=True)
    address = parse(what.url)
    return Site(
        plan=what,
        address=await resolved(address),
        bodies=Bodies(what, address, rows),
        engine_start=ProcessStart(address),
        interrupt=asyncio.Event(),
        say=say,
    )


async def measured(engine: Engine, users: int = 2, **changes: Any) -> PointReport:
    """One point against the engine."""
    async with serving(engine):
        report = await measure(await site_of(plan(engine.url, **changes)), PointPlan(index=0, concurrency=users))
    assert report is not None
    return report
