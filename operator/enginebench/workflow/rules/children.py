"""Which children there should be: what to create for the open attempt, what to delete of an ended one."""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from enginebench.workflow.moment import Moment
from enginebench.workflow.observed import FETCHING, SILENCE, Child, Heard, Observed, PodView, Role
from enginebench.workflow.plan import Action, Create, Delete

LAST_WORDS = timedelta(seconds=30)
"""A load pod that was told to end may close its point for this long while the engine still serves it."""

OVERDUE = timedelta(seconds=120)
"""A kubelet that lives ends a pod by its deletionTimestamp; so long after it, the node does not answer."""

WITH_ENGINE = (Role.SERVICE, Role.LOAD_PLAN, Role.ENGINE, Role.LOAD)
"""In this order: a load pod whose plan is not there would wait in a failed mount."""
WITHOUT_ENGINE = (Role.LOAD_PLAN, Role.LOAD)
SEVERAL = (Role.LOAD_SERVICE,)
"""Before these, where there are several load pods."""


def lacking(seen: Observed, target: str, attempt: int, roles: tuple[Role, ...]) -> tuple[Role, ...]:
    """Those of the attempt's children that are not there."""
    there = {c.role for c in seen.children if c.target == target and c.attempt == attempt}
    return tuple(role for role in roles if role not in there)


def missing(seen: Observed, create: Create, roles: tuple[Role, ...]) -> Iterator[Create]:
    """What the attempt of `create` lacks; `create` carries what they have in common."""
    for role in lacking(seen, create.target, create.attempt, roles):
        yield replace(create, role=role)


def leftovers(seen: Observed, target: str, attempt: int, ended_at: datetime, now: Moment) -> Iterator[Action]:
    """Deletes of an ended attempt: the load first, so that it closes its point; the engine when that is done."""
    mine = [
        c for c in seen.children if c.target == target and c.attempt == attempt and c.role not in (Role.DATA, *FETCHING)
    ]
    load = next((p for p in seen.pods if p.leads and p.target == target and p.attempt == attempt), None)
    job = next((c for c in mine if c.role is Role.LOAD), None)
    if job is not None:
        yield from _delete(job)
    if load is None or _spoken(load, seen.heard.get(load.uid, SILENCE)) or now.reached(ended_at + LAST_WORDS):
        for child in mine:
            if child is not job:
                yield from _delete(child)


def old_fetches(seen: Observed, open_: Collection[tuple[str, int]]) -> Iterator[Action]:
    """Deletes of fetches that are not open any more: (target, number)."""
    for child in seen.children:
        if child.role in FETCHING and (child.target, child.attempt) not in open_:
            yield from _delete(child)


def busy(seen: Observed, now: Moment) -> bool:
    """An engine may still hold a GPU, a load pod of an ended attempt may still have something to say, or a fetch pod
    may still hold the volume that an engine needs on another node."""
    for pod in seen.pods:
        if pod.role is Role.FETCH and not _unreachable(seen, pod, now):
            return True
        if pod.role is Role.ENGINE and not pod.over and not _unreachable(seen, pod, now):
            return True
        if pod.leads and pod.target and not _silent(seen, pod, now):
            return True
    return False


def _silent(seen: Observed, pod: PodView, now: Moment) -> bool:
    heard = seen.heard.get(pod.uid, SILENCE)
    return heard.ended or heard.exhausted or pod.started_at is None or _unreachable(seen, pod, now)


def _unreachable(seen: Observed, pod: PodView, now: Moment) -> bool:
    """On a node that does not answer a pod can be Terminating for ever; nobody knows more, so nobody waits."""
    if pod.deleting is None:
        return False
    node = seen.nodes.get(pod.node)
    return (node is not None and not node.ready) or now.reached(pod.deleting + OVERDUE)


def _spoken(load: PodView, heard: Heard) -> bool:
    """The load pod has nothing left to say that needs the engine."""
    return heard.ended or heard.exhausted or load.over or heard.engine is None


def _delete(child: Child) -> Iterator[Delete]:
    if child.deleting is None:
        yield Delete(child)
