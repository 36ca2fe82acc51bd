"""What of the local cluster's program wants kubectl or a docker client, which `make cluster-up` brings: a cluster and an
engine of the user's own. What cannot be reached is asked for only; nothing is changed anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devcluster.engine import users_engine
from devcluster.errors import RefusedError
from devcluster.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: lab
contexts: [{name: lab, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
"""

pytestmark = pytest.mark.usefixtures("cluster")  # puts the programs on PATH


def up(home: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """`devcluster up` with CLUSTER=current, in a home of its own."""
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CLUSTER": "current", **environ}
    command = [sys.executable, "-m", "devcluster", "up"]
    return subprocess.run(
        command, cwd=home, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def lab(tmp_path: Path) -> str:
    """A kubeconfig whose server is not there."""
    config = tmp_path / "config"
    config.write_text(KUBECONFIG)
    return str(config)


def test_the_users_cluster_is_not_touched_without_a_yes(tmp_path: Path, lab: str) -> None:
    done = up(tmp_path, KUBECONFIG=lab)
    assert done.returncode == 2
    assert done.stderr == ("CLUSTER=current would use context lab (https://127.0.0.1:1): set CONFIRM=yes to agree.\n")


def test_a_cluster_of_the_users_own_must_answer(tmp_path: Path, lab: str) -> None:
    done = up(tmp_path, CONFIRM="yes", KUBECONFIG=lab)
    assert done.returncode == 1
    assert "The API server https://127.0.0.1:1 of context lab does not answer" in done.stderr


def test_without_a_context_there_is_nothing_to_use(tmp_path: Path) -> None:
    done = up(tmp_path, KUBECONFIG=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "no current context" in done.stderr


def test_a_docker_host_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    settings = Settings("test", tmp_path, tmp_path / "cache", tmp_path / "run", current_context=False, confirmed=False)
    with pytest.raises(RefusedError, match=r"DOCKER_HOST is unix:///nowhere\.sock, but no container engine answers"):
        users_engine({"DOCKER_HOST": "unix:///nowhere.sock"}, settings)
