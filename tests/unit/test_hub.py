"""The hub of the tests, asked by the real huggingface_hub: what vLLM downloads its models with."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faulty import LARGE, Fault, running
from tests.support.hub import COMMIT, Hub

TOKEN = "hf_right"
SIZE = 4 * LARGE

DOWNLOAD = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    (folder / "tiny" / "more").mkdir(parents=True)
    (folder / "tiny" / "config.json").write_text("{}")
    (folder / "tiny" / "more" / "words.txt").write_text("a b c")
    (folder / "tiny" / "model.safetensors").write_bytes(bytes(range(256)) * (SIZE // 256))
    with running(Hub(folder, TOKEN, rate=8e6)) as server:
        assert isinstance(server, Hub)
        yield server


def downloaded(hub: Hub, model: str, home: Path, token: str = "") -> tuple[Path | None, str]:
    """The snapshot's folder (None: there is none), and all that was said. A process: the library reads its variables
    as it is imported."""
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DOWNLOAD_TIMEOUT": "1"}
    environment.pop("HF_TOKEN", None)
    if token:
        environment["HF_TOKEN"] = token
    command = [sys.executable, "-W", "ignore", "-c", DOWNLOAD, model]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return Path(done.stdout.strip()) if done.returncode == 0 else None, done.stderr


@pytest.mark.parametrize(
    ("model", "token"),
    [("good/tiny", ""), ("good/tiny", TOKEN), ("private/tiny", TOKEN), ("gated/tiny", TOKEN), ("flaky/tiny", "")],
)
def test_a_model_is_downloaded_whole(model: str, token: str, hub: Hub, tmp_path: Path) -> None:
    folder, said = downloaded(hub, model, tmp_path, token)
    assert folder is not None, said
    assert folder.name == COMMIT
    for file in (f for f in (hub.folder / "tiny").rglob("*") if f.is_file()):
        copy = folder / file.relative_to(hub.folder / "tiny")
        assert hashlib.sha256(copy.read_bytes()).digest() == hashlib.sha256(file.read_bytes()).digest()
    if model.startswith("flaky/"):
        asked = [line for line in hub.asked if line.startswith("GET /flaky/") and "model.safetensors" in line]
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("model", "token", "words"),
    [
        ("private/tiny", "", "RepositoryNotFoundError: 401 Client Error"),
        ("private/tiny", "hf_wrong", "Invalid credentials in Authorization header"),
        ("gated/tiny", "", "GatedRepoError: 401 Client Error"),
        ("denied/tiny", TOKEN, "GatedRepoError: 403 Client Error"),
        ("good/none", "", "RepositoryNotFoundError: 401 Client Error"),
        ("good/none", TOKEN, "RepositoryNotFoundError: 404 Client Error"),
        (f"{Fault.STALLED}/tiny", "", "ReadTimeout"),
        (f"{Fault.SILENT}/tiny", "", "ReadTimeout"),
        (f"{Fault.HOLLOW}/tiny", "", "RemoteEntryNotFoundError: 404 Client Error"),
    ],
)
def test_a_refusal_is_taken_for_what_it_is(model: str, token: str, words: str, hub: Hub, tmp_path: Path) -> None:
    folder, said = downloaded(hub, model, tmp_path, token)
    assert folder is None
    assert words in said
