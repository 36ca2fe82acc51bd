"""The folder .cluster/."""

import shlex
import stat
import subprocess
from pathlib import Path

from devcluster import outputs
from devcluster.engine import Engine
from devcluster.settings import Settings


def settings_at(project: Path) -> Settings:
    return Settings("two", project, project / "cache", project / "run", current_context=False, confirmed=False)


def sourced(settings: Settings, *names: str) -> list[str]:
    script = f"set -u; . {shlex.quote(str(settings.outputs / 'env'))}; printf '%s\\n' " + " ".join(
        f'"${name}"' for name in names
    )
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env={"PATH": "/bin"})
    return done.stdout.splitlines()


def test_the_environment_can_be_sourced_from_a_folder_with_blanks(tmp_path: Path) -> None:
    settings = settings_at(tmp_path / "it's my project")
    outputs.write_environment(settings, Engine("unix:///run/x.sock", own=True))
    kubeconfig, host, worker, path = sourced(settings, "KUBECONFIG", "DOCKER_HOST", "ENGINEBENCH_WORKER", "PATH")
    assert kubeconfig == str(settings.kubeconfig)
    assert host == "unix:///run/x.sock"
    assert worker == "two-worker"
    assert path == f"{settings.outputs}/bin:/bin"


def test_a_cluster_of_the_users_own_has_no_engine_in_its_environment(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    outputs.write_environment(settings, None)
    assert "DOCKER" not in (settings.outputs / "env").read_text()


def test_the_kubeconfig_is_for_its_owner_only_and_is_replaced(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    for text in ("old, and longer", "new"):
        outputs.write_kubeconfig(settings, text)
    assert settings.kubeconfig.read_text() == "new"
    assert stat.S_IMODE(settings.kubeconfig.stat().st_mode) == 0o600
    assert [path.name for path in settings.outputs.iterdir()] == ["kubeconfig"]


def test_a_link_is_replaced_also_when_it_dangles(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    for name in ("gone", "kubectl"):
        link = outputs.link_program(settings, "kubectl", tmp_path / name)
    assert link.readlink() == tmp_path / "kubectl"
    assert [path.name for path in link.parent.iterdir()] == ["kubectl"]


def test_remove_leaves_the_programs(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    outputs.write_kubeconfig(settings, "x")
    outputs.write_environment(settings, None)
    outputs.link_program(settings, "kubectl", Path("/bin/true"))
    outputs.remove(settings)
    outputs.remove(settings)
    assert [path.name for path in settings.outputs.iterdir()] == ["bin"]
