"""A run from its first to its last object, as a log without a terminal shows it."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from demo.errors import DemoError
from demo.follow import follow
from demo.screen import LiveScreen, comparison
from enginebench.api.v1alpha1 import BenchmarkRunStatus

SINCE = "2026-11-23T12:00:00Z"


def a_point(index: int, users: int, **fields: Any) -> dict[str, Any]:
    return {
        "target": "vllm-sim",
        "attempt": 1,
        "index": index,
        "load": {"concurrency": users},
        "validity": "Limited",
        "reasons": ["TooFewSamples"],
        "requestsPerSecond": 4.9,
        "outputTokensPerSecond": 117.2,
        "ttftMilliseconds": {"count": 20, "p50": 12.0, "p99": 15.0},
        "itlMilliseconds": {"count": 20, "p50": 8.1, "p99": 8.9},
        **fields,
    }


def a_run(points: list[dict[str, Any]], finished: bool = False) -> dict[str, Any]:
    conditions = [
        {"type": kind, "status": "True" if finished else "False", "reason": "R", "lastTransitionTime": SINCE}
        | {"message": ""}
        for kind in ("Finished", "Succeeded")
    ]
    return {
        "metadata": {"name": "r"},
        "status": {
            "phase": "Completed" if finished else "Running",
            "message": f"{len(points)} measured",
            "conditions": conditions,
            "targets": [{"name": "vllm-sim", "simulated": True, "phase": "Loading"}],
            "points": points,
        },
    }


def output() -> Console:
    return Console(file=StringIO(), width=140, highlight=False)


def text(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_every_point_is_told_once_as_it_comes() -> None:
    one, two = a_point(0, 1), a_point(1, 64, ttftMilliseconds={"count": 400, "p99": {"atLeast": 5000.0}})
    console = output()
    runs = [a_run([]), a_run([one]), a_run([one]), a_run([one, two]), a_run([one, two], finished=True)]
    with LiveScreen(console) as screen:
        status, ended = follow(runs, screen, hint="")
    assert ended.succeeded
    assert len(status.points or ()) == 2
    lines = [line.split() for line in text(console).splitlines() if line.endswith("Limited")]
    assert lines == [
        ["1", "4.90", "117", "15.0", "(max", "of", "20)", "8.90", "(max", "of", "20)", "Limited"],
        ["64", "4.90", "117", "≥", "5000", "8.90", "(max", "of", "20)", "Limited"],
    ]
    assert "vllm-sim SIMULATED" in text(console)


def test_state_that_did_not_change_is_told_once() -> None:
    console = output()
    with LiveScreen(console) as screen:
        follow([a_run([]), a_run([]), a_run([], finished=True)], screen, hint="")
    assert text(console).splitlines() == ["Running: 0 measured"]


def test_watch_that_ends_too_early_is_an_error() -> None:
    with LiveScreen(output()) as screen, pytest.raises(DemoError, match="before it had ended"):
        follow([a_run([])], screen, hint="")


def test_unseen_run_is_hinted_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.follow.PATIENCE_SECONDS", 0.0)
    console = output()

    def runs() -> Any:
        yield {"metadata": {"name": "r"}, "status": {"observedGeneration": -1}}
        while "look at the operator" not in text(console):
            pass
        yield a_run([], finished=True)

    with LiveScreen(console) as screen:
        follow(runs(), screen, hint="look at the operator")


def test_comparison_shows_targets_without_points_with_their_message() -> None:
    console = output()
    status = BenchmarkRunStatus.model_validate(
        {
            "targets": [
                {"name": "vllm-sim", "simulated": True, "phase": "Succeeded"},
                {"name": "ollama", "phase": "Failed", "message": "the image cannot be pulled"},
            ],
            "points": [a_point(0, 1), a_point(1, 2)],
        }
    )
    console.print(comparison(status, "title"))
    shown = text(console)
    assert "SIMULATED" in shown
    assert "Limited: TooFewSamples" in shown
    assert "ollama    Failed\nthe image cannot be pulled" in shown
