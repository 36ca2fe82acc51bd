"""What the demo says where it stops before its end, and with which exit code."""

import subprocess
from pathlib import Path

import pytest

from demo import __main__ as demo
from demo.shows import REAL, REHEARSAL, ROOT, Show
from devcluster.settings import COLD_START


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The targets that make was called with; the first one fails."""
    targets: list[str] = []

    def run(command: list[str], env: dict[str, str], check: bool) -> subprocess.CompletedProcess[str]:
        assert command[0] == "make"
        assert env["HOME"]
        assert not check
        targets.append(command[-1])
        return subprocess.CompletedProcess(command, 2)

    monkeypatch.setattr(subprocess, "run", run)
    return targets


@pytest.mark.usefixtures("made")
def test_failed_step_ends_the_demo_and_names_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert demo.main([], {"HOME": str(tmp_path)}) == 1
    said = capsys.readouterr().out
    assert f"{COLD_START} on 2 cores the first time" in said, "a cold start is announced before it begins"
    assert "`make cluster-up` failed" in said


@pytest.mark.usefixtures("made")
def test_what_the_real_engine_takes_is_announced_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    demo.main(["--real"], {"HOME": str(tmp_path)})
    said = capsys.readouterr().out
    assert "3. Ollama is compiled from its Go module" in said
    assert "2 to 5 min" in said
    assert "\n4. examples/vllm-vs-ollama-real-cpu.yaml is applied" in said
    demo.main([], {"HOME": str(tmp_path)})
    said = capsys.readouterr().out
    assert "compiled" not in said
    assert "\n3. examples/vllm-vs-ollama-rehearsal.yaml is applied" in said


def test_own_cluster_of_the_user_is_named(made: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    demo.main([], {"HOME": str(tmp_path), "CLUSTER": "current", "IMAGE": "registry/operator:1"})
    assert made == ["cluster-up"]
    said = capsys.readouterr().out
    assert "CLUSTER=current: your own kube context is used, and you are asked first." in said
    assert "make cluster-down" not in said


@pytest.mark.parametrize(
    ("arguments", "words"), [([], "make demo CLUSTER=current IMAGE="), (["--real"], "leave CLUSTER=current out")]
)
def test_what_cannot_go_well_on_a_users_cluster_is_refused_first(
    arguments: list[str], words: str, made: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert demo.main(arguments, {"HOME": str(tmp_path), "CLUSTER": "current"}) == 1
    assert words in capsys.readouterr().out
    assert made == []


def test_interrupt_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    assert demo.main([], {"HOME": str(tmp_path)}) == 130
    assert "Stopped while `make cluster-up` was at work. Nothing was undone" in capsys.readouterr().out


@pytest.mark.parametrize("show", [REHEARSAL, REAL], ids=lambda show: show.run)
def test_shows_are_what_lies_in_the_repository(show: Show) -> None:
    assert f"name: {show.run}\n" in show.example.read_text("utf-8")
    assert all(manifest.exists() for manifest in show.manifests)
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(f"\n{target}:" in makefile for target in show.make)


def test_models_lie_where_make_ollama_puts_them() -> None:
    build = (ROOT / "images/ollama/build.py").read_text("utf-8")
    folder = next(line.split('"')[1] for line in build.splitlines() if line.startswith("NODE_FOLDER = "))
    assert f"path: {folder}," in REAL.manifests[0].read_text("utf-8")
