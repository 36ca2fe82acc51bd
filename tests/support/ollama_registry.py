"""A registry that speaks Ollama's pull protocol (server/images.go and download.go of 0.9.2) over plain HTTP.

It serves an Ollama models folder under every name `<fault>/<model>` whose model lies in there, with that fault:

    python -m tests.support.ollama_registry --folder /models --port 5000
    → http://registry:5000/good/tiny, http://registry:5000/stalled/tiny, …
"""

import argparse
import json
import re
from pathlib import Path

from tests.support.faulty import Fault, FileHandler, FileServer

_PATH = re.compile(r"/v2/([^/]+)/([^/]+)/(manifests|blobs)/([^/]+)")
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
PLAIN = "plain"
"""Of this name blobs come as a plain OCI registry gives them, without the Location that Ollama goes by."""
FILES = ("tests/support/ollama_registry.py", "tests/support/faulty.py")
"""What it consists of."""
OFFICIAL = "manifests/registry.ollama.ai/library"


class Registry(FileServer):
    """A registry of the models in `folder`."""

    def __init__(self, folder: Path, where: tuple[str, int] = ("127.0.0.1", 0), rate: float = 1e6) -> None:
        super().__init__(where, _Handler, rate)
        self.folder = folder

    def name(self, fault: str, model: str = "tiny") -> str:
        """What a run calls the model."""
        return f"http://{self.authority}/{fault}/{model}"

    def sizes(self, model: str = "tiny") -> list[int]:
        """Bytes of each blob that a model consists of."""
        manifest = json.loads((self.folder / OFFICIAL / model / "latest").read_text())
        return [blob["size"] for blob in (manifest["config"], *manifest["layers"])]


class _Handler(FileHandler):
    server: Registry

    def answer(self) -> None:
        found = _PATH.fullmatch(self.path)
        if found is None:
            return self._refuse(404, "UNSUPPORTED")
        namespace, model, kind, reference = found.groups()
        fault = Fault(namespace) if namespace in set(Fault) else Fault.GOOD
        if kind == "manifests":
            return self._manifest(fault, model, reference)
        return self._blob(namespace, fault, reference)

    def _manifest(self, fault: Fault, model: str, tag: str) -> None:
        file = self.server.folder / OFFICIAL / model / tag
        if fault is Fault.DENIED:
            self._refuse(401, "UNAUTHORIZED")
        elif fault is Fault.FAILING:
            self._refuse(500, "UNKNOWN")
        elif fault is Fault.MISSING or not file.is_file():
            self._refuse(404, "MANIFEST_UNKNOWN")
        else:
            self.send_body(200, file.read_bytes(), {"Content-Type": MANIFEST})

    def _blob(self, namespace: str, fault: Fault, digest: str) -> None:
        file = self.server.folder / "blobs" / digest.replace(":", "-")
        if fault is Fault.HOLLOW or not file.is_file():
            return self._refuse(404, "BLOB_UNKNOWN")
        if namespace != PLAIN and self.command == "GET" and "Range" not in self.headers:
            # Ollama wants to know from where it shall fetch the ranges, and reads no body of this answer.
            return self.send_body(200, b"", {"Location": f"http://{self.headers['Host']}{self.path}"})
        return self.send_file(file, fault, {"Content-Type": "application/octet-stream"})

    def _refuse(self, status: int, code: str) -> None:
        body = f'{{"errors":[{{"code":"{code}","message":"refused by the registry of the tests"}}]}}'
        self.send_body(status, body.encode(), {"Content-Type": "application/json"})


def main() -> None:
    parser = argparse.ArgumentParser(description="A registry of Ollama models, with faults.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--rate", type=float, default=1e6, help="bytes a second of the slow ones")
    arguments = parser.parse_args()
    Registry(arguments.folder, ("0.0.0.0", arguments.port), arguments.rate).serve_forever()  # noqa: S104  # a Pod


if __name__ == "__main__":
    main()
