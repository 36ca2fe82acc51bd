"""A cluster of the user's own: asked before the operator is removed from it, whatever CLUSTER says by then."""

import io
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from devcluster import current, outputs
from devcluster.engine import Engine
from devcluster.errors import RefusedError
from devcluster.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://10.0.0.1:6443"}}]
users: [{name: u, user: {}}]
"""


class Terminal(io.StringIO):
    """Somebody who can be asked, and what they answer."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a checkout that uses a cluster of the user's own."""
    made = Settings("x", tmp_path, tmp_path / "cache", tmp_path / "run", current_context=False, confirmed=False)
    outputs.write_kubeconfig(made, KUBECONFIG)
    outputs.write_environment(made, None)
    return made


def test_where_nobody_can_be_asked_it_is_refused_with_what_would_be_lost(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    with pytest.raises(RefusedError) as refused:
        current.agree_to_removal(settings)
    assert str(refused.value) == (
        "This would remove EngineBench from context lab (https://10.0.0.1:6443), its CRD and with it every BenchmarkRun "
        "of that cluster, whoever made it: set CONFIRM=yes to agree."
    )


def test_a_yes_on_the_command_line_is_enough(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    current.agree_to_removal(replace(settings, confirmed=True))


def test_only_yes_is_a_yes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("yes\ny\n"))
    current.agree_to_removal(settings)
    assert "Remove EngineBench from context lab" in capsys.readouterr().out
    with pytest.raises(RefusedError, match="Nothing was done"):
        current.agree_to_removal(settings)


def test_of_our_own_cluster_nobody_is_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for engine in (Engine("", own=False), Engine("unix:///x", own=True)):
        outputs.write_environment(settings, engine)
        current.agree_to_removal(settings)
    outputs.remove(settings)
    current.agree_to_removal(settings)


def test_make_undeploy_asks_before_it_deletes() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    [recipe] = re.findall(r"^undeploy:.*\n((?:\t.*\n)+)", text, re.MULTILINE)
    assert "agree-to-removal" in recipe.partition("kubectl delete")[0]
