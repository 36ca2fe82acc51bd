"""Real engines; the tables of what they did, and how far load generators agree, are printed after the tests."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from rich.console import Console

from demo.screen import PLAIN_WIDTH, comparison
from enginebench.api.v1alpha1 import BenchmarkRunStatus
from images.ollama.build import NODE_FOLDER
from tests.cluster.conftest import ROOT, cluster, kinds, made, namespace
from tests.support.cluster import Cluster, Namespace
from tests.support.openshift import random_ids
from tests.support.volumes import models_claim, open_folder

__all__ = ["cluster", "kinds", "namespace"]

EXAMPLE = ROOT / "examples" / "vllm-vs-ollama-cpu.yaml"
VLLM_CACHE = "vllm-cache"

TABLES = pytest.StashKey[list[tuple[str, BenchmarkRunStatus]]]()
"""Title and status of each run that is to be shown."""
LINES = pytest.StashKey[list[str]]()
"""What is to be said besides."""


def example() -> dict[str, Any]:
    """The run of the example. Its vLLM keeps on the claim what it finds out about the model's class at its first start:
    that takes it 10 s of the processor."""
    run: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    run["spec"]["targets"][0]["pod"]["env"].append({"name": "VLLM_CACHE_ROOT", "value": f"/models/{VLLM_CACHE}"})
    return run


@pytest.fixture(scope="module")
def built(request: pytest.FixtureRequest, cluster: Cluster) -> Cluster:
    """What the module names in BUILT, as targets of the Makefile, is on the worker."""
    for name in request.module.BUILT:
        made(name)
    open_folder(cluster, f"{NODE_FOLDER}/{VLLM_CACHE}")
    return cluster


@pytest.fixture
def place(built: Cluster, namespace: Namespace) -> Iterator[Namespace]:
    """A namespace in which every pod gets a random user ID, with the claim `models`."""
    random_ids(built, namespace)
    with models_claim(built, namespace, NODE_FOLDER):
        yield namespace


def show(config: pytest.Config, title: str, status: object) -> None:
    """Print the load points of a status (as the API server sends it) after all tests."""
    config.stash.setdefault(TABLES, []).append((title, BenchmarkRunStatus.model_validate(status)))


def tell(config: pytest.Config, line: str) -> None:
    """Print a line after all tests, whether they passed or not."""
    config.stash.setdefault(LINES, []).append(line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    console = Console(highlight=False, width=PLAIN_WIDTH)
    for title, status in config.stash.get(TABLES, []):
        with console.capture() as text:
            console.print(comparison(status, title))
        terminalreporter.write_line("")
        terminalreporter.write_line(text.get())
    for line in config.stash.get(LINES, []):
        terminalreporter.write_line("")
        terminalreporter.write_line(line)
