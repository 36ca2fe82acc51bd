"""A server of models that huggingface_hub, transformers and vLLM take for Hugging Face (HF_ENDPOINT), plain HTTP.

It has every model `<fault>/<folder>` whose folder lies in `folder`, with that fault, and besides:

    private/…   answers a valid token alone, and else says that there is no such repository
    gated/…     answers a valid token alone, and says that it is gated

    python -m tests.support.hub --folder /models --port 8080 --token hf_secret
    → HF_ENDPOINT=http://hub:8080, model good/tiny, stalled/tiny, private/tiny, …

As huggingface_hub's `utils/_http.py` and `file_download.py` want it: a repository's commit, its tree, and its files
with ETag, X-Repo-Commit and ranges; errors by X-Error-Code.
"""

import argparse
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.faulty import LARGE, Fault, FileHandler, FileServer

FILES = ("tests/support/hub.py", "tests/support/faulty.py")
"""What it consists of."""
COMMIT = "e" * 40
"""The only one; `main` is another name of it."""
_API = re.compile(r"/api/models/([^/]+)/([^/]+)(?:/revision/([^/]+)|/tree/([^/]+)(?:/(.*))?)?")
_FILE = re.compile(r"/([^/]+)/([^/]+)/resolve/([^/]+)/(.+)")
INVALID_TOKEN = "Invalid credentials in Authorization header"  # what the hub says of one


class Hub(FileServer):
    """A hub of the models in `folder`; `token` is the only valid one."""

    def __init__(self, folder: Path, token: str, where: tuple[str, int] = ("127.0.0.1", 0), rate: float = 1e6) -> None:
        super().__init__(where, _Handler, rate)
        self.folder = folder
        self.token = token

    @property
    def url(self) -> str:
        """To be HF_ENDPOINT."""
        return f"http://{self.authority}"


class _Handler(FileHandler):
    server: Hub

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if (found := _API.fullmatch(path)) is not None:
            owner, name, revision, tree, below = found.groups()
            if self._may_see(owner, name) and self._has_revision(revision or tree or "main"):
                self._describe(owner, name, tree is not None, below or "")
        elif (found := _FILE.fullmatch(path)) is not None:
            owner, name, revision, file = found.groups()
            if self._may_see(owner, name) and self._has_revision(revision):
                self._send(owner, name, file)
        else:
            self._refuse(404, "", "no such page")

    def _may_see(self, owner: str, name: str) -> bool:
        """Whether the model is there for whoever asks; else it has been answered."""
        said = self.headers.get("Authorization")
        known = said == f"Bearer {self.server.token}"
        if said is not None and not known:
            self._refuse(401, "", INVALID_TOKEN)
        elif owner == "gated" and not known:
            self._refuse(401, "GatedRepo", f"Access to model {owner}/{name} is restricted. You must log in.")
        elif owner == Fault.DENIED:
            self._refuse(403, "GatedRepo", f"Access to model {owner}/{name} is restricted: ask its authors.")
        elif owner == Fault.FAILING:
            self._refuse(500, "", "Internal Error")
        elif owner == Fault.MISSING or (owner == "private" and not known) or not (self.server.folder / name).is_dir():
            self._refuse(404 if known else 401, "RepoNotFound", "Repository not found")
        else:
            return True
        return False

    def _has_revision(self, revision: str) -> bool:
        if revision in ("main", COMMIT):
            return True
        self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return False

    def _describe(self, owner: str, name: str, tree: bool, below: str) -> None:
        folder = self.server.folder / name
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if tree and below and not (folder / below).is_dir():
            return self._refuse(404, "EntryNotFound", f"{below} does not exist on main")
        if tree:
            inside = [_entry(file, folder) for file in files if str(file.relative_to(folder)).startswith(below)]
            return self._reply(inside)
        siblings = [{"rfilename": str(file.relative_to(folder))} for file in files]
        identity = {"_id": "1", "id": f"{owner}/{name}", "modelId": f"{owner}/{name}", "sha": COMMIT}
        return self._reply({**identity, "private": owner == "private", "tags": [], "siblings": siblings})

    def _send(self, owner: str, name: str, path: str) -> None:
        fault = Fault(owner) if owner in set(Fault) else Fault.GOOD
        file = self.server.folder / name / path
        if not file.is_file() or (fault is Fault.HOLLOW and file.stat().st_size >= LARGE):
            return self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": COMMIT})
        _, sha256 = _digests(file)
        kind = {"Content-Type": "application/octet-stream", "ETag": f'"{sha256}"', "X-Repo-Commit": COMMIT}
        return self.send_file(file, fault, kind)

    def _reply(self, document: Any) -> None:
        self.send_body(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        told = {"X-Error-Code": code} if code else {}
        body = json.dumps({"error": message}).encode()
        kind = {"Content-Type": "application/json", "X-Error-Message": message}
        self.send_body(status, body, {**kind, **told, **(headers or {})})


def _entry(file: Path, folder: Path) -> dict[str, Any]:
    """A file in a repository's tree."""
    size, (sha1, sha256) = file.stat().st_size, _digests(file)
    large = {"lfs": {"oid": sha256, "size": size, "pointerSize": 134}} if size >= LARGE else {}
    return {"type": "file", "oid": sha1, "size": size, "path": str(file.relative_to(folder)), **large}


@cache
def _digests(file: Path) -> tuple[str, str]:
    """SHA-1 (of git's blob) and SHA-256, in hex."""
    data = file.read_bytes()
    blob = b"blob %d\0" % len(data) + data
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest(), hashlib.sha256(data).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description="A hub of models, with faults.")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--token", default="hf_secret", help="the only valid one")
    parser.add_argument("--rate", type=float, default=1e6, help="bytes a second of the slow ones")
    said = parser.parse_args()
    Hub(said.folder, said.token, ("0.0.0.0", said.port), said.rate).serve_forever()  # noqa: S104  # a Pod


if __name__ == "__main__":
    main()
