"""kopf's part: it only wakes, and needs no right to write."""

from collections.abc import Iterator
from typing import Any

import kopf
import pytest
from kopf._cogs.structs.references import Resource
from kopf._core.intents.causes import Activity

from enginebench.controller.handlers import registry, settings

TOKENS = ("first", "second")


def login() -> Any:
    """Gives another token each time it is asked."""
    tokens: Iterator[str] = iter(TOKENS)

    async def ask() -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server="https://api.example", token=next(tokens))

    return ask


class Wakes:
    """Takes the place of the operator: notes whom it wakes."""

    def __init__(self) -> None:
        self.woken: list[tuple[str, str]] = []
        self.edited: list[tuple[str, str, str, int]] = []

    def wake(self, namespace: str, run: str) -> None:
        self.woken.append((namespace, run))

    def modified(self, namespace: str, run: str, *, uid: str, generation: int) -> None:
        self.edited.append((namespace, run, uid, generation))


def handlers(wakes: Any) -> kopf.OperatorRegistry:
    return registry(wakes, login())


def test_nothing_needs_a_finalizer_or_an_annotation() -> None:
    made = handlers(Wakes())
    assert made._watching.get_all_handlers()
    for kind in (made._changing, made._spawning, made._webhooks, made._indexing):
        assert not kind.get_all_handlers()


async def test_a_token_that_is_refused_is_asked_for_anew() -> None:
    (handler,) = (h for h in handlers(Wakes())._activities.get_all_handlers() if h.activity is Activity.AUTHENTICATION)
    call: Any = handler.fn
    assert [(await call()).token for _ in TOKENS] == list(TOKENS)


async def test_runs_and_their_children_wake_the_run() -> None:
    wakes = Wakes()
    made = handlers(wakes)
    by_id: dict[str, Any] = {str(handler.id): handler.fn for handler in made._watching.get_all_handlers()}
    assert set(by_id) == {"run", "pod", "job", "service"}
    marks = {"enginebench.dev/run": "r", "enginebench.dev/run-uid": "u"}
    event: dict[str, Any] = {"namespace": "ns", "name": "r", "labels": marks, "meta": {"uid": "u", "generation": 2}}
    for call in by_id.values():
        for change in (None, "ADDED", "DELETED"):
            await call(type=change, **event)
    assert (wakes.woken, wakes.edited) == ([("ns", "r")] * 12, [])
    for call in by_id.values():
        await call(type="MODIFIED", **event)
    assert (len(wakes.woken), wakes.edited) == (15, [("ns", "r", "u", 2)])


@pytest.mark.parametrize(
    ("resource", "selector"),
    [
        (Resource("", "v1", "pods"), ["enginebench.dev/run-uid"]),
        (Resource("", "v1", "services"), ["enginebench.dev/run-uid"]),
        (Resource("batch", "v1", "jobs"), ["enginebench.dev/run-uid"]),
        (Resource("enginebench.dev", "v1alpha1", "benchmarkruns"), []),
    ],
)
def test_only_our_children_are_watched(resource: Resource, selector: list[str]) -> None:
    assert settings().watching.label_selectors.collect(resource) == selector


def test_nothing_is_posted_and_no_crd_or_namespace_is_watched() -> None:
    made = settings()
    assert made.posting.enabled is False
    assert made.scanning.disabled is True
