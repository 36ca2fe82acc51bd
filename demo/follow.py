"""Watches a run to its end and shows it."""

import threading
from collections.abc import Iterable
from typing import Any

from demo.errors import DemoError
from demo.figures import arrived, key
from demo.outcome import Outcome, moment, outcome, status_of
from demo.screen import LiveScreen
from enginebench.api.v1alpha1 import BenchmarkRunStatus

PATIENCE_SECONDS = 30.0
"""So long an operator that is at work never leaves a new run unseen."""


def follow(runs: Iterable[dict[str, Any]], screen: LiveScreen, hint: str) -> tuple[BenchmarkRunStatus, Outcome]:
    """The last status and the outcome of a run, from the objects of its watch.

    `hint` is shown where no operator has looked at the run for a while.
    """
    known: set[tuple[str, int, int, int]] = set()
    unseen = threading.Timer(PATIENCE_SECONDS, screen.hint, [hint])
    unseen.daemon = True
    unseen.start()
    try:
        for run in runs:
            status = status_of(run)
            if status.conditions:
                unseen.cancel()
            targets = {target.name: target for target in status.targets or ()}
            for point in arrived(status.points or (), known):
                screen.point(point, targets.get(point.target))
                known.add(key(point))
            ended = outcome(status)
            if ended is not None:
                return status, ended
            screen.moment(moment(status))
    finally:
        unseen.cancel()
    raise DemoError("The cluster stopped telling about the run before it had ended.")
