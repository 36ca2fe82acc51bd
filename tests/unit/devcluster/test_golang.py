"""Go: versions and flags; the runtime wrapper's own tests."""

import shutil
import subprocess

import pytest

from devcluster import golang, process
from devcluster.errors import RefusedError
from devcluster.settings import SOURCES


@pytest.mark.parametrize(
    ("text", "version"),
    [("go1.26.8", (1, 26)), ("go1.24rc1", (1, 24)), ("devel go1.25-abc", (1, 25)), ("gccgo", (0, 0)), ("", (0, 0))],
)
def test_parse_version(text: str, version: tuple[int, int]) -> None:
    assert golang.parse_version(text) == version


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            process.Finished(127, "", "go: not found"),
            "The cluster's programs are built with Go: install Go 1.24 or newer (`go` is not in PATH), or else.",
        ),
        (process.Finished(0, "go1.19.8\n", ""), "`go` is go1.19.8: install Go 1.24 or newer, or else."),
    ],
)
def test_without_go_one_sentence_says_what_to_install(
    found: process.Finished, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "attempt", lambda *_, **__: found)
    with pytest.raises(RefusedError) as refused:
        golang.toolchain(", or else")
    assert str(refused.value) == sentence


def test_kubeadm_is_told_its_version() -> None:
    flags = golang.linker_flags("v1.34.4")
    for part in ("gitVersion=v1.34.4", "gitMajor=1", "gitMinor=34"):
        assert f"-X k8s.io/component-base/version.{part}" in flags


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go here")
def test_the_runtime_wrapper() -> None:
    folder = SOURCES / "runtime-wrapper"
    for command in (["go", "vet", "./..."], ["go", "test", "./..."]):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("gofmt") is None, reason="no Go here")
def test_go_sources_are_formatted() -> None:
    files = [str(path) for path in SOURCES.rglob("*.go")]
    assert len(files) >= 6
    done = subprocess.run(["gofmt", "-l", *files], capture_output=True, text=True, check=True)
    assert done.stdout == ""
