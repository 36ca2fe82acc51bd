"""Real engines; the tables of what they did are printed after the tests."""

import pytest
from rich.console import Console

from demo.screen import PLAIN_WIDTH, comparison
from enginebench.api.v1alpha1 import BenchmarkRunStatus
from tests.cluster.conftest import cluster, kinds, namespace

__all__ = ["cluster", "kinds", "namespace"]

TABLES = pytest.StashKey[list[tuple[str, BenchmarkRunStatus]]]()
"""Title and status of each run that is to be shown."""


def show(config: pytest.Config, title: str, status: object) -> None:
    """Print the load points of a status (as the API server sends it) after all tests."""
    config.stash.setdefault(TABLES, []).append((title, BenchmarkRunStatus.model_validate(status)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    console = Console(highlight=False, width=PLAIN_WIDTH)
    for title, status in config.stash.get(TABLES, []):
        with console.capture() as text:
            console.print(comparison(status, title))
        terminalreporter.write_line("")
        terminalreporter.write_line(text.get())
