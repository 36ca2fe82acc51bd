"""Kubernetes Events: what changed between two statuses, for `kubectl describe` and `kubectl events`."""

from collections.abc import Iterator

from enginebench.api import conditions as c
from enginebench.api.v1alpha1 import BenchmarkRunStatus, TargetStatus
from enginebench.workflow.plan import Happening
from enginebench.workflow.problem import COMPLETED


def happenings(old: BenchmarkRunStatus, new: BenchmarkRunStatus) -> tuple[Happening, ...]:
    """What is worth an Event. Nothing is decided from Events: one may be lost with its operator."""
    return (*_of_targets(old, new), *_of_run(old, new))


def _of_targets(old: BenchmarkRunStatus, new: BenchmarkRunStatus) -> Iterator[Happening]:
    before = {target.name: target for target in old.targets or ()}
    for target in new.targets or ():
        was = before.get(target.name)
        if _fetched(target) and not _fetched(was):
            assert target.model_fetch is not None  # it was fetched
            yield Happening("ModelFetched", f"{target.name}: {target.model_fetch.message}")
        if _attempt(target) > _attempt(was):
            yield Happening("EngineStarting", f"{target.name}: attempt {_attempt(target)} begins")
        if _ready(target) and not _ready(was):
            yield Happening("EngineVerified", f"{target.name}: the engine serves the right model and has answered")
        if _unlike(target) and not _unlike(was):
            said = c.get_condition(target.conditions, c.SETTINGS_IN_FORCE)
            yield Happening("SettingsNotInForce", f"{target.name}: {said.message if said else ''}", warning=True)
        if target.phase != (was.phase if was is not None else None):
            if target.phase == "Succeeded":
                yield Happening("TargetSucceeded", f"{target.name}: {target.message}")
            elif target.phase == "Failed":
                yield Happening("TargetFailed", f"{target.name}: {target.message}", warning=True)


def _of_run(old: BenchmarkRunStatus, new: BenchmarkRunStatus) -> Iterator[Happening]:
    if new.phase == "Suspended" and old.phase != "Suspended":
        yield Happening("Suspended", "suspended by spec.suspend; no engine is kept")
    if c.is_true(new.conditions, c.FINISHED) and not c.is_true(old.conditions, c.FINISHED):
        warning = new.phase == "Failed"
        yield Happening("Finished", f"{new.phase}: {new.message}", warning=warning)


def _attempt(target: TargetStatus | None) -> int:
    return target.attempts[-1].number if target is not None and target.attempts else 0


def _fetched(target: TargetStatus | None) -> bool:
    return target is not None and target.model_fetch is not None and target.model_fetch.reason == COMPLETED


def _ready(target: TargetStatus | None) -> bool:
    return target is not None and c.is_true(target.conditions, c.READY)


def _unlike(target: TargetStatus | None) -> bool:
    """Its engine has other settings than were asked for."""
    said = c.get_condition(target.conditions, c.SETTINGS_IN_FORCE) if target is not None else None
    return said is not None and said.status == "False"
