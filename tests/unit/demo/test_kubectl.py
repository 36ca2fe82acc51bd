"""Reading kubectl's watch, and telling a user how to go on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.errors import DemoError
from demo.kubectl import Kubectl, events
from devcluster.settings import from_environment

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


def test_cluster_is_reached_as_cluster_up_leaves_it(tmp_path: Path) -> None:
    kubectl = Kubectl.of(from_environment({"HOME": str(tmp_path)}, project=tmp_path))
    program, kubeconfig = tmp_path / ".cluster/bin/kubectl", tmp_path / ".cluster/kubeconfig"
    assert kubectl.command("get", "nodes") == [str(program), "--kubeconfig", str(kubeconfig), "get", "nodes"]


def test_users_shell_is_told_what_it_lacks() -> None:
    kubectl = Kubectl(Path("/a b/bin/kubectl"), Path("/a b/kubeconfig"))
    assert kubectl.exports({"PATH": "/bin"}) == "export KUBECONFIG='/a b/kubeconfig' PATH='/a b/bin':$PATH"
    assert kubectl.exports({"PATH": "/bin:/a b/bin"}) == "export KUBECONFIG='/a b/kubeconfig'"


def script(folder: Path, text: str) -> Kubectl:
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return Kubectl(program, folder / "kubeconfig")


def test_failure_is_told_in_kubectls_own_words(tmp_path: Path) -> None:
    with pytest.raises(DemoError, match="kubectl apply failed: error: no such file"):
        script(tmp_path, "echo error: no such file >&2; exit 1").run("apply")


def test_missing_kubectl_is_told_with_its_cure() -> None:
    with pytest.raises(DemoError, match="run `make cluster-up`"):
        Kubectl(Path("/nowhere/kubectl"), Path("/nowhere/kubeconfig")).run("version")


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
