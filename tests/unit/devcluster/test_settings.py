"""Places and names from the environment."""

from pathlib import Path

import pytest

from devcluster.settings import COLD_START, from_environment

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("page", ["docs/getting-started.md", "devcluster/README.md"])
def test_documents_say_the_same_of_a_cold_start(page: str) -> None:
    assert COLD_START in (ROOT / page).read_text("utf-8")


def test_defaults() -> None:
    settings = from_environment({"HOME": "/home/ada"}, Path("/src"))
    assert settings.name == "enginebench"
    assert settings.cache == Path("/home/ada/.cache/enginebench")
    assert settings.kubeconfig == Path("/src/.cluster/kubeconfig")
    assert settings.worker == "enginebench-worker"
    assert not settings.current_context
    assert not settings.confirmed


def test_environment_is_heard() -> None:
    environ = {"XDG_CACHE_HOME": "/big", "ENGINEBENCH_CLUSTER_NAME": "two", "CLUSTER": "current", "CONFIRM": "yes"}
    settings = from_environment(environ, Path("/src"))
    assert settings.cache == Path("/big/enginebench")
    assert settings.control_plane == "two-control-plane"
    assert settings.current_context
    assert settings.confirmed


def test_a_relative_cache_folder_is_ignored() -> None:
    """The XDG specification asks for it."""
    assert from_environment({"HOME": "/h", "XDG_CACHE_HOME": "x"}).cache == Path("/h/.cache/enginebench")


def test_every_checkout_has_the_same_engine() -> None:
    first, second = (from_environment({"HOME": "/h"}, Path(place)) for place in ("/a", "/b"))
    assert first.engine_host == second.engine_host
    assert first.engine_data == second.engine_data
    assert first.kubeconfig != second.kubeconfig
