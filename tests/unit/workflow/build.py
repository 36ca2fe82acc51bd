"""Builders of what the rules look at: a run, its children, and what they said. Times are seconds after START."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from enginebench.api.resolve import points, timeouts
from enginebench.api.v1alpha1 import Attempt, BenchmarkRunSpec, BenchmarkRunStatus, PointStatus, TargetStatus
from enginebench.results.messages import EngineReport, Progress, encode
from enginebench.results.point_report import Evidence, Figure, PointReport, RequestCounts
from enginebench.workflow.decide import decide
from enginebench.workflow.moment import Moment
from enginebench.workflow.names import child_name
from enginebench.workflow.observed import Child, Heard, Observed, PodView, ReceivedPoint, Role, Terminated
from enginebench.workflow.plan import Create, Delete, Plan
from enginebench.workflow.target import TargetView
from enginebench.workflow.terms import terms

START = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
RUN, UID = "run", "run-uid"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def moment(seconds: float) -> Moment:
    """The time of a pass."""
    return Moment(at(seconds))


def spec(**changes: Any) -> BenchmarkRunSpec:
    """Two simulated targets, two load points of one second; `changes` are fields as they stand in YAML."""
    document: dict[str, Any] = {
        "targets": [{"name": name, "simulated": {"api": "vLLM", "model": "m"}} for name in ("a-sim", "b-sim")],
        "workload": {
            "dataset": {"synthetic": {"promptTokens": 16, "outputTokens": 16}},
            "load": {"concurrency": {"levels": [1, 2]}},
            "durationSeconds": 1,
        },
    }
    return BenchmarkRunSpec.model_validate(document | changes)


def figure(count: int = 400, p99: float = 3.0, censored: int = 0) -> Figure:
    return Figure(count=count, p50=1.0, p90=2.0, p95=2.5, p99=p99, mean=1.2, censored=censored)


def report(index: int = 0, *, ended: float = 10, **changes: Any) -> PointReport:
    """A flawless point that ended `ended` seconds after START; output TPS grows with the concurrency."""
    values: dict[str, Any] = {
        "index": index,
        "concurrency": index + 1,
        "started_at": at(ended - 1).timestamp(),
        "opened_at": at(ended - 1).timestamp(),
        "ended_at": at(ended).timestamp(),
        "window_seconds": 1.0,
        "requests": RequestCounts(succeeded=400),
        "requests_per_second": 400.0,
        "output_tokens_per_second": 1000.0 * (index + 1),
        "evidence": Evidence(),
    } | {name: figure() for name in ("ttft", "itl", "tpot", "inter_event_gap", "request_latency")}
    return PointReport(**values | changes)


def received(index: int = 0, **changes: Any) -> ReceivedPoint:
    point = report(index, **changes)
    return ReceivedPoint(point, encode(point))


def heard(*points: ReceivedPoint, verified: bool = True, now: float = 10, **changes: Any) -> Heard:
    """A load pod that has verified its engine and sent `points`."""
    values: dict[str, Any] = {
        "engine": EngineReport(served_model="m", at=at(3).timestamp()) if verified else None,
        "progress": Progress(stage="Loading" if verified else "Waiting", message="1 user, load point 1 of 2"),
        "points": points,
        "heard_at": at(now),
        "since": at(0),
        "milestone_at": at(now),
    }
    return Heard(**values | changes)


def engine(target: str = "a-sim", attempt: int = 1, **changes: Any) -> PodView:
    """An engine pod that runs since second 2."""
    name = child_name(RUN, UID, Role.ENGINE, target, attempt)
    values: dict[str, Any] = {
        "phase": "Running",
        "node": "gpu-1",
        "scheduled_at": at(1),
        "started_at": at(2),
        "image": "engine:1",
        "image_id": "engine@sha256:1",
    }
    return PodView(Role.ENGINE, name, f"uid-{name}", target, attempt, START, **values | changes)


def load(target: str = "a-sim", attempt: int = 1, **changes: Any) -> PodView:
    """A load pod that runs since second 2."""
    name = f"{child_name(RUN, UID, Role.LOAD, target, attempt)}-{changes.get('index', 0)}-abcde"
    values: dict[str, Any] = {"phase": "Running", "node": "cpu-1", "scheduled_at": at(1), "started_at": at(2)}
    return PodView(Role.LOAD, name, f"uid-{name}", target, attempt, START, **values | changes)


def fetch(target: str, number: int = 1, **changes: Any) -> PodView:
    """A fetch pod that runs since second 2."""
    name = f"{child_name(RUN, UID, Role.FETCH, target, number)}-0-abcde"
    values: dict[str, Any] = {"phase": "Running", "node": "gpu-1", "scheduled_at": at(1), "started_at": at(2)}
    return PodView(Role.FETCH, name, f"uid-{name}", target, number, START, **values | changes)


def terminated(code: int, message: str = "", *, reason: str = "Error", ended: float = 9) -> dict[str, Any]:
    """What changes on a pod whose container ended."""
    phase = "Succeeded" if code == 0 else "Failed"
    return {"phase": phase, "terminated": Terminated(code, reason, message, at(ended))}


def child(role: Role, target: str = "a-sim", attempt: int = 1, **changes: Any) -> Child:
    name = child_name(RUN, UID, role, target, attempt)
    values: dict[str, Any] = {"created": START} | changes
    return Child(role=role, name=name, uid=f"uid-{name}", target=target, attempt=attempt, **values)


def target(**changes: Any) -> TargetView:
    """The first target with an open first attempt, its engine and load pod running and verified, no point yet."""
    run = spec()
    values: dict[str, Any] = {
        "spec": run.targets[0],
        "status": TargetStatus(name="a-sim"),
        "timeouts": timeouts(run),
        "planned": points(run),
        "rows": (),
        "attempt": Attempt(number=1, start_time=START, pod_uid=engine().uid),
        "engine": engine(),
        "load": load(),
        "load_job": child(Role.LOAD),
        "heard": heard(),
    }
    return TargetView(**values | changes)


def row(index: int, validity: str = "Valid", *, attempt: int = 1, target: str = "a-sim", **changes: Any) -> PointStatus:
    values: dict[str, Any] = {
        "load": {"concurrency": index + 1},
        "requests": {"succeeded": 400},
        "outputTokensPerSecond": 1000.0 * (index + 1),
    }
    return PointStatus.model_validate(
        {"target": target, "attempt": attempt, "index": index, "validity": validity} | values | changes
    )


def observed(**changes: Any) -> Observed:
    """A run that nobody has looked at yet."""
    values: dict[str, Any] = {
        "namespace": "ns",
        "name": RUN,
        "uid": UID,
        "generation": 1,
        "created": START,
        "deleting": None,
        "spec": spec(),
        "spec_error": "",
        "status": BenchmarkRunStatus(observed_generation=-1),
    }
    values |= changes
    return Observed(**{"terms": terms(values["spec"]) if values["spec"] is not None else None} | values)


def carried_out(seen: Observed, plan: Plan, now: datetime) -> Observed:
    """What the next pass sees: the status as it was written, children created and gone, engines running at once."""
    status = seen.status
    if plan.status is not None:
        status = BenchmarkRunStatus.model_validate(plan.status.document())
    children, pods = list(seen.children), list(seen.pods)
    for action in plan.actions:
        if isinstance(action, Create):
            made = child(action.role, action.target, action.attempt, created=now)
            children.append(made)
            if action.role is Role.ENGINE:
                pods.append(engine(action.target, action.attempt))
            elif action.role is Role.LOAD:
                pods.append(load(action.target, action.attempt))
            elif action.role is Role.FETCH:
                pods.append(fetch(action.target, action.attempt))
        elif isinstance(action, Delete):
            children = [c for c in children if c.name != action.child.name]
            pods = [p for p in pods if not p.name.startswith(action.child.name)]
    return replace(seen, status=status, children=tuple(children), pods=tuple(pods))


def step(seen: Observed, seconds: float) -> tuple[Observed, Plan]:
    """What the next pass sees, and what this one decided."""
    plan = decide(seen, at(seconds))
    return carried_out(seen, plan, at(seconds)), plan


def created(plan: Plan) -> list[tuple[str, str]]:
    """(role, target) of what is created."""
    return [(a.role.name, a.target) for a in plan.actions if isinstance(a, Create)]


def deleted(plan: Plan) -> set[tuple[str, str]]:
    """(role, target) of what is deleted."""
    return {(a.child.role.name, a.child.target) for a in plan.actions if isinstance(a, Delete)}


def reasons(status: BenchmarkRunStatus) -> dict[str, tuple[str, str]]:
    """Condition → (status, reason)."""
    return {condition.type: (condition.status, condition.reason) for condition in status.conditions or ()}
