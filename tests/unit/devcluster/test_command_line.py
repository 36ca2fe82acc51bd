"""The command line, as a user meets it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from devcluster import __main__, debian, process, supplies
from devcluster.engine import Engine
from devcluster.errors import RefusedError
from devcluster.screen import Screen
from devcluster.settings import load
from devcluster.supplies import Supplier

ROOT = Path(__file__).resolve().parents[3]


def devcluster(home: Path, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run in a home of its own, so that nothing of this machine's cluster is in reach."""
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environ}
    command = [sys.executable, "-m", "devcluster", *words]
    return subprocess.run(
        command, cwd=home, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


def test_kubectls_own_options_reach_kubectl() -> None:
    words = __main__.parser().parse_args(["kubectl", "-n", "x", "get", "pods", "--output=json"])
    assert words.words == ["-n", "x", "get", "pods", "--output=json"]


def test_status_without_an_engine(tmp_path: Path) -> None:
    done = devcluster(tmp_path, "status", DOCKER_HOST="unix:///run/enginebench/docker.sock")
    assert done.returncode == 1
    assert "`make cluster-up` starts it" in done.stderr


@pytest.mark.parametrize("words", [["load", "x:1"], ["status"], ["base-image"]])
def test_what_only_the_local_cluster_has_is_refused_for_the_users_own(tmp_path: Path, words: list[str]) -> None:
    done = devcluster(tmp_path, *words, CLUSTER="current")
    assert done.returncode == 2
    assert f"`{words[0]}` is for the local cluster" in done.stderr


@pytest.mark.parametrize(
    ("engine", "lacking", "cure"),
    [
        (None, "No container engine answers here", "start Docker"),
        (Engine(host="", own=False), "The node image kindest/node", "`docker load`"),
    ],
)
def test_without_root_one_sentence_names_the_alternatives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: Engine | None, lacking: str, cure: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(supplies, "users_engine", lambda *_: engine)
    monkeypatch.setattr(Engine, "has_image", lambda *_: False)
    monkeypatch.setattr(process, "attempt", lambda *_, **__: process.Finished(1, "", "no such host"))
    settings = replace(load(), cache=tmp_path / "cache")
    with pytest.raises(RefusedError) as refused:
        Supplier(settings, Screen()).gather()
    sentence = str(refused.value)
    assert "\n" not in sentence
    assert "you are not root" in sentence
    assert "CLUSTER=current" in sentence
    assert [sentence.startswith(lacking), cure in sentence] == [True, True]


def test_without_apt_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(process, "which", lambda _: None)
    with pytest.raises(RefusedError, match=r"not a Debian-like Linux \(no apt-get\)"):
        debian.require_root_on_debian("No engine", "start one")
