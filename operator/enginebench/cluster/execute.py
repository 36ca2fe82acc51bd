"""A plan is carried out, always in this order: 1 results are kept, 2 the status is written, 3 actions, 4 Events.

So whatever the operator is killed between, the status never tells of a result that is not durable, and nothing is
created or deleted of which the status does not know.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from enginebench.api.v1alpha1 import API_VERSION, KIND, BenchmarkRunStatus
from enginebench.cluster import children, payload, views
from enginebench.cluster.api import ApiError, Kind, KubeApi, Obj, Unavailable
from enginebench.cluster.memory import Memory, Place, RunMemory
from enginebench.cluster.observe import Sight
from enginebench.engines.base import Platform
from enginebench.workflow.observed import KIND_OF, Observed, Role
from enginebench.workflow.plan import Create, Delete, DeleteRun, Happening, Keep, Plan

logger = logging.getLogger(__name__)

NOT_FOUND, CONFLICT = 404, 409
KEEP_PATIENCE = timedelta(seconds=60)
"""So long a refused result is tried again before the run ends without it."""
STATUS_PATIENCE = timedelta(seconds=120)
"""So long a refused status is tried again before its deletes are carried out without it."""
SERVER_PATIENCE = timedelta(seconds=180)
"""So long the same write is answered with 5xx (or 429) before that is taken for a refusal: a webhook that is down, an
object that is too large for etcd. Where the server is not there at all, nothing can be done."""
LONGEST_MESSAGE = 1000
"""Of an Event."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the plan. `again`: look afresh at once, the world is not as it was seen."""

    again: bool = False


class NotKeptError(Exception):
    """The API server refuses to store a result; the pass is given up, and tried again later."""


class StatusRefusedError(Exception):
    """The API server refuses the status: an Event tells of it; the pass is given up, and tried again later."""


async def execute(api: KubeApi, sight: Sight, plan: Plan, memory: Memory, platform: Platform, now: datetime) -> Outcome:
    """Carry out the plan. Raises Unavailable, NotKeptError, StatusRefusedError, and ApiError of a refused delete."""
    seen, known = sight.observed, memory.of_run(sight.observed.uid)
    await _keep_all(api, seen, plan, known, now)
    if plan.status is not None:
        try:
            told = _document(plan.status, known)
            written = await api.replace_status({**sight.run, "status": told})
        except Unavailable as error:
            await _status_refused(api, seen, plan, known, error, now)
            raise
        except ApiError as error:
            if error.status in (NOT_FOUND, CONFLICT):
                return Outcome(again=True)
            await _status_refused(api, seen, plan, known, error, now)
            raise StatusRefusedError(f"status refused: {error}") from error
        if written.get("status") == told:  # as it would be read again
            known.status, known.resource_version = plan.status, written["metadata"]["resourceVersion"]
    known.status_refused = None
    await _delete_all(api, seen, plan)
    again = await _create_all(api, seen, plan, known, platform, now)
    if any(isinstance(action, DeleteRun) for action in plan.actions):
        await api.delete("BenchmarkRun", seen.namespace, seen.name, uid=seen.uid)
    for happening in plan.events:
        await _tell(api, seen, happening, now)
    return Outcome(again=again)


def _document(status: BenchmarkRunStatus, known: RunMemory) -> Obj:
    """The status as plain data; its rows and targets are made plain once, and most stay from write to write."""
    told = status.document(without={"targets", "points"})
    before, known.plain = known.plain, {}
    for name, parts in (("targets", status.targets), ("points", status.points)):
        if parts is not None:
            for part in parts:
                known.plain[id(part)] = before.get(id(part)) or (part, part.document())
            told[name] = [known.plain[id(part)][1] for part in parts]
    return told


async def _status_refused(
    api: KubeApi, seen: Observed, plan: Plan, known: RunMemory, error: ApiError | Unavailable, now: datetime
) -> None:
    """Told once. What the plan would free is freed in the end: a status that nobody takes must not hold a GPU."""
    if error.status is None:
        return
    told, since = known.status_refused or ("", now)
    lasting = now - since >= (SERVER_PATIENCE if isinstance(error, Unavailable) else STATUS_PATIENCE)
    said = str(error) if lasting or isinstance(error, ApiError) else told
    known.status_refused = (said, since)
    if said != told:
        await _tell(api, seen, Happening("StatusRefused", said, warning=True), now)
    if lasting:
        await _delete_all(api, seen, plan)


async def _delete_all(api: KubeApi, seen: Observed, plan: Plan) -> None:
    """All that the plan deletes. One that fails does not hold up the others: one of them may hold a GPU."""
    failed: ApiError | Unavailable | None = None
    for action in plan.actions:
        if isinstance(action, Delete):
            child = action.child
            try:
                await api.delete(_kind(child.role), seen.namespace, child.name, uid=child.uid)
            except (ApiError, Unavailable) as error:
                failed = failed or error
    if failed is not None:
        raise failed


async def _keep_all(api: KubeApi, seen: Observed, plan: Plan, known: RunMemory, now: datetime) -> None:
    """All results of the plan, those after a refused one too: in the end all that are refused are given up at once."""
    refused: NotKeptError | None = None
    for keep in plan.keep:
        point = (keep.target, keep.attempt, keep.point.report.index)
        try:
            await _keep(api, seen, keep, known)
        except (ApiError, Unavailable) as error:
            if isinstance(error, Unavailable) and error.status is None:
                raise
            said = f"the result of load point {keep.point.report.index} cannot be stored: {error}"
            known.unkept.setdefault(point, now)
            patience = SERVER_PATIENCE if isinstance(error, Unavailable) else KEEP_PATIENCE
            if now - min(known.unkept.values()) >= patience:  # one patience for all of them
                _give_up(known, keep, said)
            refused = refused or NotKeptError(said)
            if isinstance(error, Unavailable):
                break  # it may have come after half a minute: a pass must end
        except NotKeptError as error:
            refused = refused or error
        else:
            known.unkept.pop(point, None)
    if refused is not None:
        raise refused
    if plan.keep:
        known.unkept.clear()  # of points given up before, too: it stores again
    for keep in plan.keep:
        known.refusals.pop(_place(keep), None)


def _give_up(known: RunMemory, keep: Keep, said: str) -> None:
    known.given_up.add((keep.target, keep.attempt, keep.point.report.index))
    known.refusals[_place(keep)] = said


def _place(keep: Keep) -> Place:
    return (keep.target, keep.attempt, Role.DATA.value)


async def _keep(api: KubeApi, seen: Observed, keep: Keep, known: RunMemory) -> None:
    """Create the ConfigMap, or verify that the one that is there holds the very same bytes."""
    body = children.data(seen, keep)
    name: str = body["metadata"]["name"]
    for _ in range(2):
        try:
            await api.create("ConfigMap", seen.namespace, body)
        except ApiError as error:
            if error.status != CONFLICT:
                raise
        else:
            return
        there = await api.get("ConfigMap", seen.namespace, name)
        if there is None:
            continue
        if not views.owned_by(there, seen.uid):
            known.conflicts.add(f"ConfigMap/{name}")
            said = f"ConfigMap {name} exists and does not belong to this run"
            _give_up(known, keep, said)
            raise NotKeptError(said)
        stored = payload.unpacked(there)
        if stored is not None and stored.payload == keep.point.payload:
            return
        # Not what was measured, and no status tells of it: whoever wrote it did not finish.
        await api.delete("ConfigMap", seen.namespace, name, uid=there["metadata"]["uid"])
    raise Unavailable(f"ConfigMap {seen.namespace}/{name} comes and goes")


async def _create_all(
    api: KubeApi, seen: Observed, plan: Plan, known: RunMemory, platform: Platform, now: datetime
) -> bool:
    """All that the plan creates. What comes after a child that is refused would wait for it, with a GPU."""
    again = False
    waiting: set[tuple[str, int]] = set()
    for action in plan.actions:
        if isinstance(action, Create) and (action.target, action.attempt) not in waiting:
            again |= await _create(api, seen, action, known, platform, now)
            if (action.target, action.attempt, action.role.value) in known.refusals:
                waiting.add((action.target, action.attempt))
    return again


async def _create(
    api: KubeApi, seen: Observed, create: Create, known: RunMemory, platform: Platform, now: datetime
) -> bool:
    """Create a child; one of ours that is there already is success. True where something new is to be considered."""
    kind = _kind(create.role)
    body = children.child(seen, create, platform)
    name: str = body["metadata"]["name"]
    place = (create.target, create.attempt, create.role.value)
    try:
        await api.create(kind, seen.namespace, body)
    except Unavailable as error:
        if error.status is None or now - known.unanswered.setdefault(place, now) < SERVER_PATIENCE:
            raise
        news = known.refusals.get(place) != str(error)
        known.refusals[place] = str(error)
        return news
    except ApiError as error:
        if error.status != CONFLICT:
            news = known.refusals.get(place) != str(error)
            known.refusals[place] = str(error)
            return news
        there = await api.get(kind, seen.namespace, name)
        if there is None:
            return True
        if not views.owned_by(there, seen.uid):
            news = f"{kind}/{name}" not in known.conflicts
            known.conflicts.add(f"{kind}/{name}")
            return news
    known.refusals.pop(place, None)
    known.unanswered.pop(place, None)
    known.conflicts.discard(f"{kind}/{name}")
    return False


async def _tell(api: KubeApi, seen: Observed, happening: Happening, now: datetime) -> None:
    """An Event on the run. One that cannot be told is only logged."""
    logger.info("%s/%s: %s: %s", seen.namespace, seen.name, happening.reason, happening.message)
    at = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    mark = hashlib.sha256(f"{seen.uid}/{happening.reason}/{happening.message}/{at}".encode()).hexdigest()[:16]
    event: Obj = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{seen.name}.{mark}", "namespace": seen.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": seen.namespace,
            "name": seen.name,
            "uid": seen.uid,
        },
        "reason": happening.reason,
        "message": happening.message[:LONGEST_MESSAGE],
        "type": "Warning" if happening.warning else "Normal",
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": "enginebench"},
        "reportingComponent": "enginebench.dev/operator",
        "reportingInstance": "",
    }
    try:
        await api.create("Event", seen.namespace, event)
    except (ApiError, Unavailable) as error:
        logger.info("%s/%s: Event %s not told: %s", seen.namespace, seen.name, happening.reason, error)


def _kind(role: Role) -> Kind:
    return cast(Kind, KIND_OF[role])
