"""One pass as a whole: what it leaves to do, and what it forgets."""

from datetime import datetime, timedelta

import pytest

from enginebench.cluster.api import ApiError, Unavailable
from enginebench.cluster.feeds import Feeds
from enginebench.cluster.memory import Memory
from enginebench.cluster.reconcile import LATER, Pass, reconcile
from enginebench.engines.base import Platform
from enginebench.workflow.decide import decide
from enginebench.workflow.observed import Observed
from enginebench.workflow.plan import Plan
from tests.unit.cluster.fake import CREATED, RUN_UID, FakeApi, run
from tests.unit.cluster.said import ENGINE, end, lines, point
from tests.unit.cluster.test_observe import LOAD, LOAD_POD, RUNNING_ENGINE

KEY = ("ns", "r")
PLATFORM = Platform(image="i")


class Case:
    """An API server, and an operator that passes when told."""

    def __init__(self, api: FakeApi) -> None:
        self.api, self.feeds, self.memory, self.now = api, Feeds(), Memory(), datetime.fromisoformat(CREATED)

    async def look(self) -> Pass:
        self.now += timedelta(seconds=1)
        return await reconcile(self.api, self.feeds, self.memory, PLATFORM, KEY, self.now)


async def test_first_passes_create_the_engine_and_its_load() -> None:
    case = Case(FakeApi(run()))
    for _ in range(3):
        done = await case.look()
    assert not done.ended
    assert done.wake_after is not None
    assert {kind for kind, _ in case.api.objects} == {"BenchmarkRun", "Service", "ConfigMap", "Pod", "Job", "Event"}
    writes = case.api.writes()
    assert writes.index("status BenchmarkRun r") < writes.index("create Pod r-a-sim-e1")
    assert case.api.objects["BenchmarkRun", "r"]["status"]["targets"][0]["attempts"][0]["number"] == 1


async def test_what_has_not_changed_is_decided_again_only_when_its_time_has_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case, decided = Case(FakeApi(run())), list[datetime]()

    def counted(seen: Observed, at: datetime) -> Plan:
        decided.append(at)
        return decide(seen, at)

    monkeypatch.setattr("enginebench.cluster.reconcile.decide", counted)
    for _ in range(4):
        done = await case.look()
    before, wake = len(decided), done.wake_after
    assert wake is not None
    assert (await case.look()).wake_after == wake
    assert len(decided) == before
    case.now += timedelta(seconds=200)  # no pod has come for the load Job
    await case.look()
    assert len(decided) == before + 1
    case.api.put(RUNNING_ENGINE)
    await case.look()
    assert len(decided) == before + 2


async def test_load_pods_that_speak_are_followed_until_they_are_done() -> None:
    case = Case(FakeApi(run()))
    await case.look()
    started = {
        "phase": "Running",
        "containerStatuses": [{"name": "load", "state": {"running": {"startedAt": CREATED}}}],
    }
    case.api.put({**LOAD, "status": started})
    case.api.put(RUNNING_ENGINE)
    assert (await case.look()).follow == (LOAD_POD,)
    for message in lines(ENGINE, point(0), point(1), end(2)):
        for line in message:
            case.feeds.feed(LOAD_POD).hear(line, case.now)
    done = await case.look()
    assert done.follow == ()
    points = case.api.objects["BenchmarkRun", "r"]["status"]["points"]
    assert [p["index"] for p in points] == [0, 1]


@pytest.mark.parametrize("error", [ApiError(422, "Invalid", "too many"), Unavailable("500 webhook", 500)])
async def test_where_the_status_is_refused_load_pods_are_listened_to_all_the_same(error: Exception) -> None:
    case = Case(FakeApi(run()))
    await case.look()
    started = {
        "phase": "Running",
        "containerStatuses": [{"name": "load", "state": {"running": {"startedAt": CREATED}}}],
    }
    case.api.put({**LOAD, "status": started})
    case.api.put(RUNNING_ENGINE)
    case.api.refuse = lambda verb, kind, name: error if verb == "status" else None
    assert await case.look() == Pass(wake_after=LATER, follow=(LOAD_POD,))


async def test_no_answer_is_tried_again_by_the_queue() -> None:
    case = Case(FakeApi(run()))
    case.api.refuse = lambda verb, kind, name: Unavailable("time-out") if verb == "status" else None
    with pytest.raises(Unavailable):
        await case.look()


async def test_a_conflict_is_looked_at_again_at_once() -> None:
    case = Case(FakeApi(run()))
    case.api.refuse = lambda verb, kind, name: ApiError(409, "Conflict", "modified") if verb == "status" else None
    assert (await case.look()).wake_after == timedelta(0)


async def test_a_run_that_is_gone_is_forgotten() -> None:
    case = Case(FakeApi(run()))
    await case.look()
    case.feeds.feed(LOAD_POD)
    del case.api.objects["BenchmarkRun", "r"]
    assert await case.look() == Pass(ended=True)
    assert not list(case.feeds.of_run(RUN_UID))
    assert not case.memory.runs
    assert not case.memory.uids


async def test_another_run_of_the_same_name_starts_afresh() -> None:
    case = Case(FakeApi(run()))
    await case.look()
    case.memory.of_run(RUN_UID).conflicts.add("Pod/x")
    case.api.put(run(uid="another"))
    await case.look()
    assert set(case.memory.runs) == {"another"}


async def test_a_run_that_is_being_deleted_is_left_alone() -> None:
    case = Case(FakeApi(run(deletionTimestamp=CREATED)))
    assert (await case.look()).ended
    assert case.api.writes() == []
