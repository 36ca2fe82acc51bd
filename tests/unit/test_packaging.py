"""The repository's shape: source root, lazy command line, locks, image build."""

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from enginebench import __main__ as command_line
from images.operator import build

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"kopf", "kubernetes", "pydantic", "jinja2"}


def locked(name: str) -> dict[str, str]:
    """Distribution → version, as a lock pins them."""
    text = (ROOT / "requirements" / name).read_text()
    return {canonicalize_name(m[1]): m[2] for m in re.finditer(r"^([\w.-]+)==(\S+)(?: ;.*)? \\$", text, re.MULTILINE)}


def test_no_python_file_directly_in_the_source_root() -> None:
    """It would shadow the standard module `operator` for any Python started in the repository's root."""
    assert list((ROOT / "operator").glob("*.py")) == []
    code = "import collections, operator; print(operator.__file__)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True)
    assert str(ROOT) not in ran.stdout


@pytest.mark.parametrize("command", ["loadgen", "simulate"])
def test_the_load_pods_programs_start_without_the_heavy_modules(command: str) -> None:
    module = command_line.COMMANDS[command][0]
    code = f"import sys, enginebench.__main__, {module}; print(*({HEAVY!r} & sys.modules.keys()))"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "operator", capture_output=True, check=True, text=True
    )
    assert ran.stdout.split() == []


@pytest.mark.parametrize("command", sorted(command_line.COMMANDS))
def test_each_command_explains_itself(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "enginebench", command, "--help"],
        cwd=ROOT / "operator",
        capture_output=True,
        check=False,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert command in ran.stdout


def test_the_command_line_hands_everything_after_the_name_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        @staticmethod
        def main(argv: list[str]) -> int:
            assert argv == ["--plan", "x.json", "--version", "--help"]
            return 7

    monkeypatch.setattr("importlib.import_module", lambda _: Module)
    assert command_line.main(["loadgen", "--plan", "x.json", "--version", "--help"]) == 7


def test_an_unknown_command_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command_line.main(["bench"])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert all(command in said for command in command_line.COMMANDS)


@pytest.mark.parametrize("lock", ["runtime.txt", "dev.txt", "installer.txt"])
def test_a_lock_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    assert "://" not in text
    assert not re.search(r"^--|^-[efi]", text, re.MULTILINE)
    pins = re.findall(r"^\S+==\S+(?: ;.*)? \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)
    assert len(pins) == len(locked(lock)) == len(re.findall(r"^\w", text, re.MULTILINE)) > 0


def test_the_locks_agree() -> None:
    runtime, dev = locked("runtime.txt"), locked("dev.txt")
    assert runtime.items() <= dev.items()
    assert locked("installer.txt")["pip"] == dev["pip"]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_the_runtime_lock_is_complete_for_every_python(python: str) -> None:
    """pip-compile resolves for the Python that runs it: what others need beside must be in the lock too."""
    runtime = locked("runtime.txt")
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for name in ["enginebench", *runtime]:
        for requirement in map(Requirement, requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate(environment):
                wanted = canonicalize_name(requirement.name)
                assert wanted in runtime, f"{name} needs {wanted} on Python {python}: run `make lock`"
                assert requirement.specifier.contains(runtime[wanted]), f"{name} needs {requirement}"


def image_inputs(root: Path) -> None:
    package = root / "operator" / "enginebench"
    (package / "__pycache__").mkdir(parents=True)
    (root / "requirements").mkdir()
    files = ["Dockerfile", ".dockerignore", *build.LOCKS, "operator/enginebench/__init__.py"]
    for file in [*files, "operator/enginebench/__pycache__/x.pyc"]:
        (root / file).write_text(file)


def test_the_image_tag_follows_its_sources_and_its_base(tmp_path: Path) -> None:
    image_inputs(tmp_path)

    def tag(base: str = "sha256:1") -> str:
        return build.digest(tmp_path, build.sources(tmp_path), base)

    first = tag()
    (tmp_path / "operator/enginebench/__pycache__/x.pyc").write_text("compiled again")
    (tmp_path / "README.md").write_text("not in the image")
    assert tag() == first
    assert tag("sha256:2") != first
    (tmp_path / "operator/enginebench/__init__.py").write_text("changed")
    second = tag()
    (tmp_path / "operator/enginebench/new.py").write_text("")
    assert len({first, second, tag()}) == 3


def test_every_source_of_the_image_passes_the_dockerignore() -> None:
    """A file that the tag counts but the build cannot see would be left out in silence."""
    allowed = [
        line[1:].removesuffix("/*.txt")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = [name.replace("[s]", "s") for line in copied for name in line.split()]
    assert names
    assert all(any(name.startswith(folder) for folder in allowed) for name in names)
