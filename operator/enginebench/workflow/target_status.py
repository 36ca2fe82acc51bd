"""One target's part of the status."""

from datetime import datetime

from enginebench.api import conditions as c
from enginebench.api.v1alpha1 import Condition, DownloadStatus, TargetStatus
from enginebench.workflow import readback, settings
from enginebench.workflow.attempts import Draft
from enginebench.workflow.fetches import heard_of_fetch, phase_of_fetch
from enginebench.workflow.observed import Observed
from enginebench.workflow.phases import phase_of_open
from enginebench.workflow.problem import CANCELLED, COMPLETED, Problem
from enginebench.workflow.repeats import engines_differ, mean_rows, over_repeats
from enginebench.workflow.skipped import SKIPPED
from enginebench.workflow.verdicts import peak

ENDED = ("Succeeded", "Failed", "Cancelled")
"""Phases of a target that has come to its own end."""


def target_status(seen: Observed, draft: Draft, stop: Problem | None, now: datetime, *, as_told: bool) -> TargetStatus:
    """A target's entry of the status. `stop`: why the run ends without it, if it does; `as_told`: the rows of the run are
    those of the status as it stands, and so is what follows from them."""
    target = draft.view
    if as_told and seen.generation == seen.status.observed_generation and _stays(draft, stop):
        return target.status
    phase, message = _phase(seen, draft, stop)
    served = draft.open and target.verified and not draft.fresh
    several = seen.terms is not None and seen.terms.repeated
    repeated = target.status.repeats
    if several and not (as_told and draft.as_told):
        repeated = over_repeats(target.rows, draft.attempts, repeated)
    if phase == "Succeeded" and engines_differ(repeated):
        message += "; the repeats had different engines: see repeats.engines"
    return TargetStatus(
        name=target.name,
        phase=phase,
        message=message or None,
        simulated=True if target.spec.simulated is not None else None,
        conditions=_conditions(seen, draft, served, now),
        attempts=list(draft.attempts) or None,
        engine=draft.engine,
        load_generator=readback.load_generator(seen, target),
        timings=readback.timings(target, draft.fetch),
        download=_download(seen, draft),
        model_fetch=draft.fetch,
        peak=target.status.peak if as_told else peak(mean_rows(target.name, repeated) if several else target.rows),
        repeats=repeated,
    )


def _stays(draft: Draft, stop: Problem | None) -> bool:
    """Nothing more comes of a target that is over and gone, nor yet of one that waits for its first turn."""
    if not draft.view.gone or draft.fetching or not draft.as_told:
        return False
    if draft.end is None:
        return not draft.attempts and draft.fetch is None and stop is None and draft.view.status.phase == "Waiting"
    return draft.view.status.phase in ENDED


def _download(seen: Observed, draft: Draft) -> DownloadStatus | None:
    known = draft.view.status.download
    if draft.fetching:
        return readback.download(heard_of_fetch(seen, draft).progress, known)
    return readback.download(draft.view.heard.progress, known) if draft.open else None


def _conditions(seen: Observed, draft: Draft, served: bool, now: datetime) -> list[Condition] | None:
    """Ready: the engine serves the right model and has answered. SettingsInForce: as it was asked to be. Absent before
    the first attempt."""
    if draft.view.attempt is None:
        return None
    ready = (
        ("True", "Verified", "A real completion came back.")
        if served
        else ("False", "NotServing", "No verified engine is running.")
    )
    in_force = settings.condition(settings.of_attempt(seen, draft))
    said = ((c.READY, *ready), (c.SETTINGS_IN_FORCE, *in_force))
    return c.set_conditions(draft.view.status.conditions, said, now=now, generation=seen.generation)


def _phase(seen: Observed, draft: Draft, stop: Problem | None) -> tuple[str, str]:
    end = draft.end
    if draft.fetching:
        return phase_of_fetch(seen, draft)
    if draft.open:
        if draft.fresh:
            return (
                "Scheduling",
                "creating the engine's pod" if draft.view.has_engine else "creating the load pod",
            )
        return phase_of_open(draft.view, len(draft.view.planned))
    if end is not None:
        word = {COMPLETED: "Succeeded", CANCELLED: "Cancelled"}.get(end.reason, "Failed")
        done = _done(draft)
        return (
            word,
            done if word == "Succeeded" else f"{end.reason}: {end.message}" if word == "Failed" else end.message,
        )
    if stop is not None:
        return ("Cancelled" if stop.reason == CANCELLED else "Skipped"), stop.message
    if draft.newest is not None and draft.newest.reason == COMPLETED:
        return "Waiting", f"{_done(draft)}; the next repeat comes in its turn"
    if draft.newest is not None:
        return "Waiting", f"goes on in a new attempt: {draft.newest.message}"
    if draft.fetch is not None:
        again = f"the fetch of its model begins again: {draft.fetch.message}"
        return "Waiting", "its model is there" if draft.fetch.reason == COMPLETED else again
    return "Waiting", ""


def _done(draft: Draft) -> str:
    total = len(draft.view.planned)
    skipped = sum(row.validity == SKIPPED for row in draft.view.rows)
    words = f", {skipped} skipped" if skipped else ""
    return f"{total - len(draft.view.left) - skipped} of {total} load points measured{words}"
