"""A plan is carried out in its order, and what the API server answers is taken as it is meant."""

from datetime import timedelta

import pytest

from enginebench.api.v1alpha1 import BenchmarkRunStatus
from enginebench.cluster import children
from enginebench.cluster.api import ApiError, Unavailable
from enginebench.cluster.execute import (
    KEEP_PATIENCE,
    SERVER_PATIENCE,
    STATUS_PATIENCE,
    NotKeptError,
    Outcome,
    StatusRefusedError,
    execute,
)
from enginebench.cluster.feeds import Feeds
from enginebench.cluster.memory import Memory
from enginebench.cluster.observe import Sight, observe
from enginebench.engines.base import Platform
from enginebench.workflow.observed import Role
from enginebench.workflow.plan import Create, Delete, DeleteRun, Happening, Keep, Plan
from tests.unit.cluster.fake import NOW, RUN_UID, FakeApi, Refuse, run
from tests.unit.cluster.said import received

KEY = ("ns", "r")
PLATFORM = Platform(image="i")
KEEP = Keep("a-sim", 1, received(0))
SERVICE = Create(Role.SERVICE, "a-sim", 1)
ENGINE = Create(Role.ENGINE, "a-sim", 1)
STATUS = BenchmarkRunStatus(phase="Running")


class Case:
    """An API server with one run, what is remembered, and a look at it."""

    def __init__(self) -> None:
        self.api, self.memory = FakeApi(run()), Memory()

    async def look(self) -> Sight:
        sight = await observe(self.api, Feeds(), self.memory, KEY, NOW)
        assert sight is not None
        self.api.calls.clear()
        return sight

    async def execute(self, plan: Plan, sight: Sight | None = None, later: float = 0.0) -> Outcome:
        sight = sight or await self.look()
        return await execute(self.api, sight, plan, self.memory, PLATFORM, NOW + timedelta(seconds=later))

    def refuse(self, what: str, error: Exception) -> None:
        """`what` is the beginning of a call: "create Pod"."""
        refuse: Refuse = lambda verb, kind, name: error if f"{verb} {kind}" == what else None  # noqa: E731
        self.api.refuse = refuse


@pytest.fixture
def case() -> Case:
    return Case()


async def test_results_then_status_then_actions_then_events(case: Case) -> None:
    await case.execute(Plan(actions=(SERVICE,)))
    sight = await case.look()
    (service,) = sight.observed.children
    plan = Plan(
        keep=(KEEP,), status=STATUS, actions=(ENGINE, Delete(service), DeleteRun()), events=(Happening("Started", "m"),)
    )
    assert await case.execute(plan, sight) == Outcome(again=False)
    assert [call.split()[:2] for call in case.api.calls] == [
        ["create", "ConfigMap"],
        ["status", "BenchmarkRun"],
        ["delete", "Service"],
        ["create", "Pod"],
        ["delete", "BenchmarkRun"],
        ["create", "Event"],
    ]


async def test_nothing_planned_is_nothing_done(case: Case) -> None:
    await case.execute(Plan())
    assert case.api.calls == []


async def test_a_stale_status_gives_up_the_pass(case: Case) -> None:
    sight = await case.look()
    case.api.objects["BenchmarkRun", "r"]["metadata"]["resourceVersion"] = "77"
    outcome = await case.execute(Plan(status=STATUS, actions=(ENGINE,), events=(Happening("X", "m"),)), sight)
    assert outcome.again
    assert case.api.calls == ["status BenchmarkRun r"]


async def test_a_refused_status_is_told_and_raised(case: Case) -> None:
    case.refuse("status BenchmarkRun", ApiError(422, "Invalid", "status.points: too many"))
    with pytest.raises(StatusRefusedError, match="too many"):
        await case.execute(Plan(status=STATUS, actions=(ENGINE,)))
    (event,) = case.api.of("Event")
    assert (event["reason"], event["type"]) == ("StatusRefused", "Warning")
    assert case.api.of("Pod") == []


async def test_a_status_that_is_refused_for_long_does_not_hold_the_gpu(case: Case) -> None:
    await case.execute(Plan(actions=(ENGINE,)))
    (engine,) = [c for c in (await case.look()).observed.children if c.role is Role.ENGINE]
    case.refuse("status BenchmarkRun", ApiError(422, "Invalid", "status.points: too many"))
    for later, left in ((0.0, 1), (STATUS_PATIENCE.total_seconds() - 1, 1), (STATUS_PATIENCE.total_seconds(), 0)):
        with pytest.raises(StatusRefusedError):
            await case.execute(Plan(status=STATUS, actions=(Delete(engine), SERVICE)), later=later)
        assert (len(case.api.of("Pod")), len(case.api.of("Event"))) == (left, 1)
    assert case.api.of("Service") == []


async def test_a_status_that_is_answered_with_500_for_long_does_not_hold_the_gpu(case: Case) -> None:
    await case.execute(Plan(actions=(ENGINE,)))
    (engine,) = [c for c in (await case.look()).observed.children if c.role is Role.ENGINE]
    case.refuse("status BenchmarkRun", Unavailable("500 failed calling webhook", 500))
    patience = SERVER_PATIENCE.total_seconds()
    for later, left, told in ((0.0, 1, 0), (patience - 1, 1, 0), (patience, 0, 1), (patience + 30, 0, 1)):
        with pytest.raises(Unavailable):
            await case.execute(Plan(status=STATUS, actions=(Delete(engine), SERVICE)), later=later)
        assert (len(case.api.of("Pod")), len(case.api.of("Event"))) == (left, told)
    assert case.api.of("Service") == []


async def test_a_server_that_is_not_there_concludes_nothing(case: Case) -> None:
    await case.execute(Plan(actions=(ENGINE,)))
    (engine,) = [c for c in (await case.look()).observed.children if c.role is Role.ENGINE]
    plans = {
        "status BenchmarkRun": Plan(status=STATUS, actions=(Delete(engine),)),
        "create ConfigMap": Plan(keep=(KEEP,)),
        "create Service": Plan(actions=(SERVICE,)),
    }
    for what, plan in plans.items():
        case.refuse(what, Unavailable("connection refused"))
        for later in (0.0, 3600.0):
            with pytest.raises(Unavailable):
                await case.execute(plan, later=later)
    known = case.memory.of_run(RUN_UID)
    assert (known.given_up, known.refusals, known.status_refused) == (set(), {}, None)
    assert len(case.api.of("Pod")) == 1


async def test_patience_begins_anew_after_a_status_was_taken(case: Case) -> None:
    case.refuse("status BenchmarkRun", Unavailable("500 no leader", 500))
    with pytest.raises(Unavailable):
        await case.execute(Plan(status=STATUS))
    case.api.refuse = lambda verb, kind, name: None
    await case.execute(Plan(status=STATUS))
    case.refuse("status BenchmarkRun", Unavailable("500 no leader", 500))
    with pytest.raises(Unavailable):
        await case.execute(Plan(status=STATUS), later=3600.0)
    assert case.api.of("Event") == []


async def test_a_delete_that_fails_does_not_hold_up_the_others(case: Case) -> None:
    await case.execute(Plan(actions=(SERVICE, ENGINE)))
    service, engine = sorted((await case.look()).observed.children, key=lambda child: child.role is Role.ENGINE)
    case.refuse("delete Service", Unavailable("500 failed calling webhook", 500))
    with pytest.raises(Unavailable, match="webhook"):
        await case.execute(Plan(actions=(Delete(service), Delete(engine))))
    assert case.api.of("Pod") == []
    assert case.api.of("Service")


async def test_a_child_of_ours_that_is_there_is_success(case: Case) -> None:
    await case.execute(Plan(actions=(ENGINE,)))
    assert await case.execute(Plan(actions=(ENGINE,))) == Outcome(again=False)
    assert len(case.api.of("Pod")) == 1
    assert case.memory.of_run(RUN_UID).conflicts == set()


async def test_a_stranger_with_the_name_is_a_conflict_and_never_adopted(case: Case) -> None:
    body = children.child((await case.look()).observed, ENGINE, PLATFORM)
    body["metadata"].update(uid="stranger", ownerReferences=[], creationTimestamp="2026-11-23T11:00:00Z")
    case.api.put(body)
    name = body["metadata"]["name"]
    assert (await case.execute(Plan(actions=(ENGINE, SERVICE)))).again
    assert (await case.look()).observed.name_conflicts == (f"Pod/{name}",)
    assert case.api.of("Service")  # the others go on
    assert not (await case.execute(Plan(actions=(ENGINE,)))).again  # told once
    del case.api.objects["Pod", name]
    await case.execute(Plan(actions=(ENGINE,)))
    assert (await case.look()).observed.name_conflicts == ()


async def test_a_refusal_is_remembered_until_it_is_none_any_more(case: Case) -> None:
    case.refuse("create Pod", ApiError(403, "Forbidden", "exceeded quota: gpus"))
    assert (await case.execute(Plan(actions=(ENGINE,)))).again
    assert (await case.look()).observed.created_errors == {("a-sim", 1, "e"): "exceeded quota: gpus"}
    assert not (await case.execute(Plan(actions=(ENGINE,)))).again  # no news
    case.api.refuse = lambda verb, kind, name: None
    await case.execute(Plan(actions=(ENGINE,)))
    assert (await case.look()).observed.created_errors == {}


async def test_after_a_plan_that_is_refused_no_engine_is_created(case: Case) -> None:
    case.refuse("create ConfigMap", ApiError(422, "Invalid", "data: Too long"))
    other = Create(Role.SERVICE, "a-sim", 2)
    plan = Plan(actions=(SERVICE, Create(Role.LOAD_PLAN, "a-sim", 1), ENGINE, other))
    assert (await case.execute(plan)).again
    assert (case.api.of("Pod"), len(case.api.of("Service"))) == ([], 2)
    case.api.refuse = lambda verb, kind, name: None
    await case.execute(plan)
    assert len(case.api.of("Pod")) == 1


async def test_a_creation_that_is_answered_with_500_for_long_is_a_refusal(case: Case) -> None:
    case.refuse("create Pod", Unavailable("500 failed calling webhook", 500))
    for later in (0.0, SERVER_PATIENCE.total_seconds() - 1):
        with pytest.raises(Unavailable):
            await case.execute(Plan(actions=(ENGINE,)), later=later)
        assert (await case.look()).observed.created_errors == {}
    assert (await case.execute(Plan(actions=(ENGINE,)), later=SERVER_PATIENCE.total_seconds())).again
    assert (await case.look()).observed.created_errors == {("a-sim", 1, "e"): "500 failed calling webhook"}
    case.api.refuse = lambda verb, kind, name: None
    await case.execute(Plan(actions=(ENGINE,)))
    assert (await case.look()).observed.created_errors == {}
    assert case.memory.of_run(RUN_UID).unanswered == {}


async def test_no_answer_ends_the_pass(case: Case) -> None:
    case.refuse("create Service", Unavailable("time-out"))
    with pytest.raises(Unavailable):
        await case.execute(Plan(actions=(SERVICE, ENGINE)))
    assert case.api.of("Pod") == []


async def test_a_result_that_is_there_already_is_verified(case: Case) -> None:
    await case.execute(Plan(keep=(KEEP,)))
    await case.execute(Plan(keep=(KEEP,), status=STATUS))
    assert [call.split()[0] for call in case.api.calls] == ["create", "get", "status"]


async def test_another_result_under_the_name_is_replaced(case: Case) -> None:
    await case.execute(Plan(keep=(Keep("a-sim", 1, received(0, succeeded=7)),)))
    await case.execute(Plan(keep=(KEEP,), status=STATUS))
    assert [call.split()[0] for call in case.api.calls] == ["create", "get", "delete", "create", "status"]
    (stored,) = (await case.look()).observed.stored
    assert stored.point == KEEP.point


async def test_without_its_result_the_status_is_not_written(case: Case) -> None:
    case.refuse("create ConfigMap", ApiError(403, "Forbidden", "exceeded quota: configmaps"))
    with pytest.raises(NotKeptError, match="load point 0 cannot be stored: exceeded quota"):
        await case.execute(Plan(keep=(KEEP,), status=STATUS, actions=(ENGINE,)))
    assert "status BenchmarkRun r" not in case.api.calls
    assert case.api.of("Pod") == []


async def test_a_result_that_is_refused_for_long_does_not_hold_the_run_for_ever(case: Case) -> None:
    case.refuse("create ConfigMap", ApiError(403, "Forbidden", "exceeded quota"))
    for later in (0.0, KEEP_PATIENCE.total_seconds()):
        known = case.memory.of_run(RUN_UID)
        assert (known.given_up, known.refusals) == (set(), {})  # nothing is concluded before
        with pytest.raises(NotKeptError):
            await case.execute(Plan(keep=(KEEP,)), later=later)
    assert case.memory.of_run(RUN_UID).given_up == {("a-sim", 1, 0)}


async def test_a_result_that_is_answered_with_500_for_long_is_given_up(case: Case) -> None:
    case.refuse("create ConfigMap", Unavailable("500 etcdserver: request is too large", 500))
    for later, given_up in ((0.0, 0), (SERVER_PATIENCE.total_seconds() - 1, 0), (SERVER_PATIENCE.total_seconds(), 1)):
        with pytest.raises(NotKeptError, match="too large"):
            await case.execute(Plan(keep=(KEEP,), status=STATUS), later=later)
        assert len(case.memory.of_run(RUN_UID).given_up) == given_up


async def test_all_refused_results_are_given_up_in_one_pass_and_the_others_are_stored(case: Case) -> None:
    keeps = tuple(Keep("a-sim", 1, received(index)) for index in range(4))
    taken = children.data((await case.look()).observed, keeps[2])["metadata"]["name"]
    case.api.refuse = lambda verb, kind, name: (
        ApiError(403, "Forbidden", "too large") if (verb, kind) == ("create", "ConfigMap") and name != taken else None
    )
    for later in (0.0, KEEP_PATIENCE.total_seconds()):
        with pytest.raises(NotKeptError, match="load point 0"):
            await case.execute(Plan(keep=keeps), later=later)
    known = case.memory.of_run(RUN_UID)
    assert known.given_up == {("a-sim", 1, index) for index in (0, 1, 3)}
    assert known.refusals.keys() == {("a-sim", 1, "d")}
    assert [one["metadata"]["name"] for one in case.api.of("ConfigMap")] == [taken]


async def test_events_that_cannot_be_told_do_no_harm(case: Case) -> None:
    case.refuse("create Event", ApiError(403, "Forbidden", "no"))
    assert await case.execute(Plan(events=(Happening("X", "m" * 5000),))) == Outcome()


async def test_event_names_the_run(case: Case) -> None:
    await case.execute(Plan(events=(Happening("X", "m" * 5000, warning=True),)))
    (event,) = case.api.of("Event")
    assert event["involvedObject"]["uid"] == RUN_UID
    assert event["involvedObject"]["kind"] == "BenchmarkRun"
    assert event["type"] == "Warning"
    assert event["firstTimestamp"] == "2026-11-23T12:00:00Z"
    assert len(event["message"]) <= 1024
