"""One pass over one run: look, decide, act. It awaits nothing but calls of the API."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from enginebench.api import conditions
from enginebench.cluster.api import KubeApi, Unavailable
from enginebench.cluster.execute import NotKeptError, StatusRefusedError, execute
from enginebench.cluster.feeds import Feeds, LoadPod
from enginebench.cluster.memory import Memory, RunMemory
from enginebench.cluster.observe import Key, load_pod, observe
from enginebench.engines.base import Platform
from enginebench.workflow.decide import decide
from enginebench.workflow.observed import Observed, PodView
from enginebench.workflow.plan import Plan

logger = logging.getLogger(__name__)

NOW = timedelta()
LATER, LATEST = timedelta(seconds=10), timedelta(seconds=60)
"""After a write that the API server refuses: as long again as that has lasted, within these bounds."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass leaves to do: when to look again (None: when something happens), which logs to read."""

    wake_after: timedelta | None = None
    follow: tuple[LoadPod, ...] = ()
    ended: bool = False
    """The run is finished or gone: nobody listens to its pods any more."""


async def reconcile(api: KubeApi, feeds: Feeds, memory: Memory, platform: Platform, key: Key, now: datetime) -> Pass:
    """One pass. Raises Unavailable (try again later), ApiError and UnreadableStatusError (look into it)."""
    sight = await observe(api, feeds, memory, key, now)
    _remember(feeds, memory, key, sight.observed.uid if sight is not None else "")
    if sight is None:
        return Pass(ended=True)
    seen = sight.observed
    if seen.deleting is not None:
        return Pass(ended=True)
    known = memory.of_run(seen.uid)
    if (wake := _still_idle(known, seen, now)) is not None:
        return Pass(wake_after=wake, follow=_to_follow(seen))
    plan = decide(seen, now)
    known.settled = (seen, plan) if plan.idle else None
    try:
        outcome = await execute(api, sight, plan, memory, platform, now)
    except (NotKeptError, StatusRefusedError) as error:
        logger.warning("%s/%s: %s", *key, error)
        return Pass(wake_after=_later(known, now), follow=_to_follow(seen))
    except Unavailable as error:
        if error.status is None:
            raise
        logger.info("%s/%s: %s", *key, error)
        return Pass(
            wake_after=_later(known, now), follow=_to_follow(seen)
        )  # it may last: how the load ends must be heard
    if plan.status is not None and not plan.actions and known.status is plan.status:  # and nothing follows from it
        known.settled = (
            replace(seen, status=plan.status),
            Plan(wake_after=plan.wake_after, stands_until=plan.stands_until),
        )
    if outcome.again:
        return Pass(wake_after=NOW, follow=_to_follow(seen))
    finished = conditions.is_true(seen.status.conditions, conditions.FINISHED)
    _forget(seen, feeds, memory, finished)
    return Pass(wake_after=plan.wake_after, follow=() if finished else _to_follow(seen), ended=finished)


def _still_idle(known: RunMemory, seen: Observed, now: datetime) -> timedelta | None:
    """When to look again, where nothing has changed and nothing was to be done before; None: it must be decided."""
    if known.settled is None:
        return None
    before, plan = known.settled
    if plan.stands_until is None or plan.wake_after is None or now >= plan.stands_until or before != seen:
        return None
    return min(plan.wake_after, plan.stands_until - now)


def _later(known: RunMemory, now: datetime) -> timedelta:
    """When to try again what is refused."""
    since = [*known.unkept.values(), *((known.status_refused[1],) if known.status_refused is not None else ())]
    return min(max(LATER, now - min(since, default=now)), LATEST)


def _remember(feeds: Feeds, memory: Memory, key: Key, uid: str) -> None:
    """Which run bears the name now; what is known of another that bore it is dropped."""
    before = memory.uids.get(key, "")
    if before and before != uid:
        feeds.forget_run(before)
        memory.forget_run(before)
    if uid:
        memory.uids[key] = uid
    else:
        memory.uids.pop(key, None)


def _to_follow(seen: Observed) -> tuple[LoadPod, ...]:
    """Load pods that have begun to speak and may say more."""
    return tuple(load_pod(seen, pod) for pod in seen.pods if _speaks(seen, pod))


def _speaks(seen: Observed, pod: PodView) -> bool:
    heard = seen.heard.get(pod.uid)
    closed = heard is not None and (heard.ended or heard.exhausted)
    return pod.speaks and not closed and (pod.started_at is not None or pod.over)


def _forget(seen: Observed, feeds: Feeds, memory: Memory, finished: bool) -> None:
    """After a whole pass: what was heard of pods that are gone is durable, if nothing more came since."""
    alive = {pod.uid for pod in seen.pods}
    for feed in feeds.of_run(seen.uid):
        said = seen.heard.get(feed.pod.uid)
        if feed.pod.uid not in alive and (finished or (said is not None and (said.ended or said.exhausted))):
            feeds.forget(feed.pod.uid)
    if finished and not alive:
        memory.forget_run(seen.uid)
