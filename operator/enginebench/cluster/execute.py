"""A plan is carried out, always in this order: 1 results are kept, 2 the status is written, 3 actions, 4 Events.

So whatever the operator is killed between, the status never tells of a result that is not durable, and nothing is
created or deleted of which the status does not know.
"""

import hashlib
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from enginebench.api.v1alpha1 import API_VERSION, KIND
from enginebench.cluster import children, payload, views
from enginebench.cluster.api import ApiError, Kind, KubeApi, Obj, Unavailable
from enginebench.cluster.memory import Memory, RunMemory
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
LONGEST_MESSAGE = 1000
"""Of an Event."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the plan. `again`: look afresh at once, the world is not as it was seen."""

    again: bool = False


class NotKeptError(Exception):
    """The API server refuses to store a result; the pass is given up, and tried again later."""


async def execute(api: KubeApi, sight: Sight, plan: Plan, memory: Memory, platform: Platform, now: datetime) -> Outcome:
    """Carry out the plan. Raises Unavailable, NotKeptError, and ApiError where the status is refused."""
    seen, known = sight.observed, memory.of_run(sight.observed.uid)
    for keep in plan.keep:
        await _keep(api, seen, keep, known, now)
    if plan.status is not None:
        try:
            await api.replace_status({**sight.run, "status": plan.status.document()})
        except ApiError as error:
            if error.status in (NOT_FOUND, CONFLICT):
                return Outcome(again=True)
            await _status_refused(api, seen, plan, known, error, now)
            raise
        known.status_refused = None
    again = False
    for action in plan.actions:
        match action:
            case Create():
                again |= await _create(api, seen, action, known, platform)
            case Delete():
                await _delete(api, seen, action)
            case DeleteRun():
                await api.delete("BenchmarkRun", seen.namespace, seen.name, uid=seen.uid)
    for happening in plan.events:
        await _tell(api, seen, happening, now)
    return Outcome(again=again)


async def _status_refused(
    api: KubeApi, seen: Observed, plan: Plan, known: RunMemory, error: ApiError, now: datetime
) -> None:
    """Told once. What the plan would free is freed in the end: a status that nobody takes must not hold a GPU."""
    said, since = known.status_refused or ("", now)
    known.status_refused = (str(error), since)
    if said != str(error):
        await _tell(api, seen, Happening("StatusRefused", str(error), warning=True), now)
    if now - since >= STATUS_PATIENCE:
        for action in plan.actions:
            if isinstance(action, Delete):
                await _delete(api, seen, action)


async def _delete(api: KubeApi, seen: Observed, action: Delete) -> None:
    child = action.child
    await api.delete(_kind(child.role), seen.namespace, child.name, uid=child.uid)


async def _keep(api: KubeApi, seen: Observed, keep: Keep, known: RunMemory, now: datetime) -> None:
    """Create the ConfigMap, or verify that the one that is there holds the very same bytes."""
    body = children.data(seen, keep)
    name: str = body["metadata"]["name"]
    index = keep.point.report.index
    point = (keep.target, keep.attempt, index)
    place = (keep.target, keep.attempt, Role.DATA.value)
    for _ in range(2):
        try:
            await api.create("ConfigMap", seen.namespace, body)
        except ApiError as error:
            if error.status != CONFLICT:
                said = f"the result of load point {index} cannot be stored: {error}"
                known.unkept.setdefault(point, now)
                if now - min(known.unkept.values()) >= KEEP_PATIENCE:  # one patience for all of them
                    known.given_up.add(point)
                    known.refusals[place] = said
                raise NotKeptError(said) from error
        else:
            break
        there = await api.get("ConfigMap", seen.namespace, name)
        if there is None:
            continue
        if not views.owned_by(there, seen.uid):
            known.conflicts.add(f"ConfigMap/{name}")
            known.given_up.add(point)
            known.refusals[place] = f"ConfigMap {name} exists and does not belong to this run"
            raise NotKeptError(known.refusals[place])
        stored = payload.unpacked(there)
        if stored is not None and stored.payload == keep.point.payload:
            break
        # Not what was measured, and no status tells of it: whoever wrote it did not finish.
        await api.delete("ConfigMap", seen.namespace, name, uid=there["metadata"]["uid"])
    else:
        raise Unavailable(f"ConfigMap {seen.namespace}/{name} comes and goes")
    known.unkept.clear()
    known.refusals.pop(place, None)


async def _create(api: KubeApi, seen: Observed, create: Create, known: RunMemory, platform: Platform) -> bool:
    """Create a child; one of ours that is there already is success. True where something new is to be considered."""
    kind = _kind(create.role)
    body = children.child(seen, create, platform)
    name: str = body["metadata"]["name"]
    place = (create.target, create.attempt, create.role.value)
    try:
        await api.create(kind, seen.namespace, body)
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
