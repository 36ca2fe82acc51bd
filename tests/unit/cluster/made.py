"""Children of a run, as they are created, from the text of its spec."""

from typing import Any

from enginebench.api import loadplan
from enginebench.api.loadplan import LoadPlan
from enginebench.api.v1alpha1 import BenchmarkRunSpec, BenchmarkRunStatus
from enginebench.cluster import children
from enginebench.engines.base import Platform
from enginebench.workflow.observed import Observed, Role
from enginebench.workflow.plan import Create
from enginebench.workflow.terms import terms
from tests.unit.cluster.fake import NOW, RUN_UID, run

PLATFORM = Platform(image="registry.example/enginebench:0.1.0", image_pull_policy="Never")


def seen(text: str = "") -> Observed:
    spec = BenchmarkRunSpec.model_validate(run(text)["spec"])
    return Observed(
        namespace="ns",
        name="r",
        uid=RUN_UID,
        generation=1,
        created=NOW,
        deleting=None,
        spec=spec,
        spec_error="",
        status=BenchmarkRunStatus(),
        terms=terms(spec),
    )


def made(role: Role, text: str = "", **create: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"target": "a-sim", "attempt": 1, **create}
    return children.child(seen(text), Create(role=role, **settings), PLATFORM)


def plan(text: str = "", **create: Any) -> LoadPlan:
    body = made(Role.LOAD_PLAN, text, **create)
    return loadplan.decode(body["data"][loadplan.PLAN_FILE].encode())
