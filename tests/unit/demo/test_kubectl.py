"""Reading kubectl's watch, and telling a user how to go on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.errors import DemoError
from demo.kubectl import Kubectl, environment, events
from devcluster.settings import Settings, from_environment

ADDED = {"type": "ADDED", "object": {"message": "a { brace }\nand a line", "list": [{}]}}
MODIFIED = {"type": "MODIFIED", "object": {}}


@pytest.mark.parametrize("indent", [None, 4])
def test_events_come_one_by_one_however_they_are_printed(indent: int | None) -> None:
    stream = "".join(json.dumps(event, indent=indent) + "\n" for event in (ADDED, MODIFIED))
    assert list(events(stream.splitlines(keepends=True))) == [ADDED, MODIFIED]


def test_an_event_is_told_before_the_next_line_comes() -> None:
    def lines() -> Iterator[str]:
        yield json.dumps(ADDED) + "\n"
        raise AssertionError("read further than needed")

    assert next(events(lines())) == ADDED


def settings(folder: Path, **environ: str) -> Settings:
    return from_environment({"HOME": str(folder), **environ}, project=folder)


def test_own_cluster_is_reached_by_its_own_kubectl_and_kubeconfig(tmp_path: Path) -> None:
    program = tmp_path / ".cluster/bin/kubectl"
    program.parent.mkdir(parents=True)
    program.touch()
    place = settings(tmp_path)
    command = Kubectl.of(place).command("get", "nodes")
    assert command == [str(program), "--kubeconfig", str(tmp_path / ".cluster/kubeconfig"), "get", "nodes"]
    assert environment(place, {"PATH": "/bin"}) == {
        "KUBECONFIG": str(tmp_path / ".cluster/kubeconfig"),
        "PATH": f"{program.parent}:$PATH",
    }


def test_users_own_kubectl_is_used_where_the_cluster_brings_none(tmp_path: Path) -> None:
    place = settings(tmp_path)
    assert Kubectl.of(place).program == "kubectl"
    assert "PATH" not in environment(place, {"PATH": "/bin"})


def test_current_cluster_is_left_to_the_users_environment(tmp_path: Path) -> None:
    place = settings(tmp_path, CLUSTER="current")
    assert Kubectl.of(place).command("version") == ["kubectl", "version"]
    assert environment(place, {}) == {}


def script(folder: Path, text: str) -> Kubectl:
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return Kubectl(str(program), None)


def test_failure_is_told_in_kubectls_own_words(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="kubectl apply failed: error: no such file"):
        script(tmp_path, "echo error: no such file >&2; exit 1").run("apply")


def test_missing_kubectl_is_told_with_its_cure() -> None:
    with pytest.raises(DemoError, match="install kubectl"):
        Kubectl("/nowhere/kubectl", None).run("version")


def test_deleted_run_ends_the_watch(tmp_path: Path) -> None:
    lines = [json.dumps({"type": kind, "object": {}}) for kind in ("ADDED", "DELETED")]
    watch = script(tmp_path, "\n".join(f"echo '{line}'" for line in lines)).watch("bmr", "r", "n")
    assert next(watch) == {}
    with pytest.raises(DemoError, match="bmr r was deleted"):
        next(watch)


def test_watch_that_ends_is_begun_again(tmp_path: Path) -> None:
    kubectl = script(tmp_path, f"echo '{json.dumps(MODIFIED)}'")
    watch = kubectl.watch("bmr", "r", "n")
    assert [next(watch), next(watch)] == [{}, {}]
    watch.close()
