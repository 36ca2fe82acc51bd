"""What to create and what to delete, in that order of thought: children of ended attempts go, the open one's come."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec.structs import replace

from enginebench.api.fetching import commit_of, fetched_digest
from enginebench.api.loadplan import Measured
from enginebench.api.resolve import topology
from enginebench.api.v1alpha1 import Attempt
from enginebench.workflow.attempts import Draft
from enginebench.workflow.kueue import QUEUE
from enginebench.workflow.moment import Moment
from enginebench.workflow.observed import FETCHING, Observed, Role
from enginebench.workflow.plan import Action, Create
from enginebench.workflow.problem import Problem
from enginebench.workflow.rules import children
from enginebench.workflow.rules.dataset import ATTEMPT, RUN, DatasetState
from enginebench.workflow.skipped import as_measured, measured


def actions(
    seen: Observed, dataset: DatasetState, drafts: Sequence[Draft], stop: Problem | None, now: Moment
) -> Iterator[Action]:
    """Children of ended attempts and fetches go, those of the open one come."""
    yield from _fetching(seen, drafts)
    open_: set[tuple[str, int]] = set()
    ended_at: dict[tuple[str, int], datetime] = {}
    for draft in drafts:
        for attempt in draft.attempts:
            if attempt.end_time is None:
                open_.add((draft.view.name, attempt.number))
            else:
                ended_at[draft.view.name, attempt.number] = attempt.end_time
    preparing = dataset.prepare and not dataset.ready and stop is None
    if preparing:
        open_.add((RUN, ATTEMPT))
    for target, number in dict.fromkeys(
        (ch.target, ch.attempt) for ch in seen.children if ch.role not in (Role.DATA, *FETCHING)
    ):
        if (target, number) not in open_:
            yield from children.leftovers(seen, target, number, ended_at.get((target, number), now.stamp), now)
    if preparing and not (seen.spec and seen.spec.suspend):
        yield from children.missing(seen, Create(Role.LOAD, RUN, ATTEMPT), children.WITHOUT_ENGINE)
    for draft in drafts:
        if draft.open and draft.newest is not None and not _unknown_where(draft):
            yield from _of_open(seen, draft, draft.newest, dataset)


def _of_open(seen: Observed, draft: Draft, attempt: Attempt, dataset: DatasetState) -> Iterator[Create]:
    """What the open attempt lacks."""
    roles: tuple[Role, ...] = children.WITH_ENGINE if draft.view.has_engine else children.WITHOUT_ENGINE
    if draft.view.load_pods > 1:
        roles = children.SEVERAL + roles
    if _queued(seen, draft):
        roles = tuple(role for role in roles if role is not Role.LOAD)
    if lacking := children.lacking(seen, draft.view.name, attempt.number, roles):
        wanted = _wanted(seen, draft, attempt, dataset)
        yield from (replace(wanted, role=role) for role in lacking)


def _queued(seen: Observed, draft: Draft) -> bool:
    """Its engine may wait for days: its load pods come when it is admitted."""
    pod = draft.view.engine if not draft.fresh else None
    if pod is not None:
        return pod.gated
    assert seen.terms is not None  # a target comes from a spec
    return draft.view.has_engine and (QUEUE in seen.queue_labels or QUEUE in seen.terms.pods[draft.view.name].labels)


def _unknown_where(draft: Draft) -> bool:
    """An endpoint by reference of which nothing has said yet where it answers. A new attempt asks again: what the view
    shows is of the one before it."""
    endpoint = draft.view.spec.endpoint
    if endpoint is None or endpoint.url is not None:
        return False
    return draft.fresh or not (draft.view.told or draft.view.url)


def _told_url(draft: Draft) -> str:
    """What the load pod was told: the status has it since before its plan was created."""
    known = draft.view.status.engine
    return (known.url or "") if known is not None else ""


def _fetching(seen: Observed, drafts: Sequence[Draft]) -> Iterator[Action]:
    """The open fetch's children, where the engine itself will go: its volume may be bound to the node."""
    fetches = {draft.view.name: draft.fetch.number for draft in drafts if draft.fetching and draft.fetch is not None}
    yield from children.old_fetches(seen, fetches.items())
    for name, number in fetches.items():
        node, gpu_product = _bond(seen)
        yield from children.missing(
            seen, Create(Role.FETCH, name, number, node=node, gpu_product=gpu_product), FETCHING
        )


def _bond(seen: Observed) -> tuple[str, str]:
    """(node, GPU product) that the first engine has settled and the others are bound to; empty: free."""
    assert seen.spec is not None  # a target comes from a spec
    placement, wish = seen.status.placement, topology(seen.spec)
    if placement is None:
        return "", ""
    node = (placement.node or "") if wish == "SameNode" else ""
    return node, (placement.gpu_product or "") if wish == "SameProduct" else ""


def _wanted(seen: Observed, draft: Draft, attempt: Attempt, dataset: DatasetState) -> Create:
    """What the children of the open attempt have in common."""
    assert seen.spec is not None  # a target comes from a spec
    node, gpu_product = _bond(seen)
    return Create(
        role=Role.ENGINE,
        target=draft.view.name,
        attempt=attempt.number,
        node=node,
        gpu_product=gpu_product,
        revision=commit_of(fetched_digest(seen.spec, seen.status.targets or (), draft.view.spec)),
        url=draft.view.url or _told_url(draft),
        points=draft.missing,
        measured=_measured(draft) if seen.terms is not None and seen.terms.goes_on else (),
        dataset_digest=(dataset.read.digest or "") if dataset.read is not None else "",
    )


def _measured(draft: Draft) -> tuple[Measured, ...]:
    """The rows that count, as a sweep goes on from them and points are skipped by them."""
    return tuple(as_measured(row) for row in measured(draft.view.rows) if row.validity != "Superseded")
