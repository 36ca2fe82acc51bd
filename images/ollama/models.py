"""A models folder with the tiny model and its deep form for both engines: Ollama's blobs/ and manifests/, made by Ollama itself, and
beside them the folders tiny/ and tiny-deep/, which vLLM loads."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devcluster.cache import Cache, digest, lock, source_digest
from images.docker import BuildError, say
from images.ollama import variants
from images.ollama.binary import cache_root, ensure_ollama_binary, file_digest
from images.tiny import folder, gguf_file, weights

NAME = "tiny"
THREADS = 1
"""So small a model gains nothing from more, and threads that wait for one another on a busy machine are slow."""
START_SECONDS = 30


@dataclass(frozen=True)
class TinyModel:
    folder: Path
    """To be OLLAMA_MODELS; vLLM's models are the folders of the models' names in it."""
    name: str
    """What a request asks Ollama for; the deep one is beside it."""


def ensure_tiny_model() -> TinyModel:
    """The folder, with its variants; made where it is not in the cache: random weights, then `ollama create` (seconds)."""
    binary = ensure_ollama_binary()
    sources = (source_digest(Path(folder.__file__).parent), file_digest(Path(variants.__file__)))
    key = digest(file_digest(binary), *sources, str(THREADS), NAME)

    def make(draft: Path) -> None:
        say("Making the tiny model")
        with serving(binary, models=draft) as url:
            for name, layers in weights.FORMS.items():
                _create(binary, url, name, layers)
                folder.write(draft / name, layers=layers)
        variants.add(draft, NAME)

    with lock(cache_root(), lambda pid: say(f"Another build (process {pid}) is under way: waiting for it")):
        return TinyModel(Cache(cache_root()).ensure("tiny-model", key, make), NAME)


def _create(binary: Path, url: str, name: str, layers: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        model = Path(scratch) / "model.gguf"
        gguf_file.write(model, layers=layers)
        modelfile = Path(scratch) / "Modelfile"
        modelfile.write_text(f'FROM {model}\nTEMPLATE """{folder.OLLAMA_TEMPLATE}"""\nPARAMETER num_thread {THREADS}\n')
        command = [str(binary), "create", name, "--file", str(modelfile)]
        environment = {"OLLAMA_HOST": url, "HOME": scratch, "PATH": os.environ["PATH"]}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"`ollama create {name}` failed:\n{done.stderr[-4000:]}")


@contextmanager
def serving(binary: Path, models: Path, log: Path | None = None, **variables: str) -> Iterator[str]:
    """Ollama's server on a free loopback port with `variables` set (OLLAMA_NUM_PARALLEL, …): its URL."""
    home = Path(tempfile.mkdtemp(prefix="enginebench-ollama-"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        host = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "HOME": str(home),
        "OLLAMA_HOST": host,
        "OLLAMA_MODELS": str(models),
        "OLLAMA_NOPRUNE": "1",
        **variables,
    }
    log = log or home / "log"
    with log.open("w") as file:
        process = subprocess.Popen([binary, "serve"], env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        _wait(process, f"http://{host}/api/version", log)
        yield f"http://{host}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # http on loopback
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.1)
    raise BuildError(f"`ollama serve` did not start:\n{log.read_text()[-4000:]}")
