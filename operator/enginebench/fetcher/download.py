"""The download itself, in a process of its own: it can be ended, and if it dies somebody is left to tell.

Says on standard output, one JSON document a line: `{"blobs": {root: {etag: bytes}}}` when it knows what is to come,
`{"checked": bytes}` while it reads again what has come, then `{"done": …}` or `{"reason": …, "message": …}`.
"""

import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

from enginebench.fetcher.cache import Cache, wanted
from enginebench.fetcher.digests import sha256_of

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS)
REFUSED = (401, 403)
NOT_FOUND = 404
SAY_SECONDS = 1.0

Json = dict[str, Any]


class Corrupt(Exception):  # noqa: N818  # named for what happened
    """Files came whole, and are not those that the hub has named."""


def main() -> int:
    """Follow the plan on standard input."""
    plan: Json = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the libraries print is no word of ours

    def say(document: Json) -> None:
        out.write(json.dumps(document) + "\n")
        out.flush()

    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", "30")
    try:
        import huggingface_hub
        import huggingface_hub.constants
    except ImportError as error:
        say({"reason": "ModelPullFailed", "message": f"the image has no huggingface_hub ({error})"})
        return 0
    try:
        _download(huggingface_hub, plan, say)
    except Exception as error:  # whatever it is, it is told in words
        say(_told(error, plan))
    else:
        say({"done": True})
    return 0


def _download(hub: Any, plan: Json, say: Any) -> None:
    model, said = plan["model"], plan.get("fetch") or {}
    revision = said.get("revision") or None
    roots = {"weights": said.get("weightsFolder") or hub.constants.HF_HUB_CACHE, "rest": hub.constants.HF_HUB_CACHE}
    tree = hub.HfApi().list_repo_tree(model, recursive=True, revision=revision)
    entries = [entry for entry in tree if hasattr(entry, "blob_id")]
    files = {entry.path: (_etag(entry), entry.size) for entry in entries}
    large = {entry.path: digest for entry in entries if (digest := _sha256(entry))}
    weights, rest = wanted(files, all_weights=bool(said.get("allWeights")))
    blobs: dict[str, dict[str, int]] = {}
    for root, names in ((roots["weights"], weights), (roots["rest"], rest)):
        blobs.setdefault(str(root), {}).update(files[name] for name in names)
    say({"blobs": blobs})
    caches = [Cache(Path(root), model) for root in blobs]
    for cache in caches:
        cache.begin()
    for root, names in ((roots["rest"], rest), (roots["weights"], weights)):
        if names:
            folder = hub.snapshot_download(model, revision=revision, cache_dir=root, allow_patterns=names)
            _check(Path(folder), {name: large[name] for name in names if name in large}, say)
    for cache in caches:
        cache.end()


def _check(folder: Path, expected: dict[str, str], say: Any) -> None:
    """huggingface_hub compares sizes alone. What is not as the hub has named it is removed, so that it comes again."""
    done, said_at = 0, monotonic()

    def on_bytes(count: int) -> None:
        nonlocal done, said_at
        done += count
        if monotonic() - said_at >= SAY_SECONDS:
            said_at = monotonic()
            say({"checked": done})

    wrong = [name for name, digest in expected.items() if sha256_of(folder / name, on_bytes) != digest]
    for name in wrong:
        (folder / name).resolve().unlink()
        (folder / name).unlink(missing_ok=True)  # a link, or the file itself where the volume has no links
    if wrong:
        raise Corrupt(", ".join(wrong))


def _sha256(file: Any) -> str:
    """Of a large file; empty for one that lies in git itself."""
    lfs = file.lfs
    found = (lfs.get("sha256") if isinstance(lfs, dict) else getattr(lfs, "sha256", None)) if lfs else None
    return str(found or "")


def _etag(file: Any) -> str:
    """The name of its blob: the SHA-256 of a large file, else git's name of it."""
    return _sha256(file) or str(file.blob_id)


def _told(error: BaseException, plan: Json) -> Json:
    """A reason and words; what cures it is for the reader of the line, who knows more."""
    model, token = plan["model"], (plan.get("fetch") or {}).get("tokenFrom", "")
    kinds = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    statuses = {getattr(getattr(each, "response", None), "status_code", None) for each in _chain(error)}
    codes = {each.errno for each in _chain(error) if isinstance(each, OSError)}
    text = " ".join(str(error).split())[:400] or type(error).__name__
    if isinstance(error, Corrupt):
        words = f"of {model} came what is not what the hub names by its SHA-256, and was removed: {text}"
        return {"reason": "ModelCorrupt", "message": words}
    no_room = codes & set(NO_ROOM) or "os error 28" in text or "No space left" in text
    if no_room:
        return {"reason": "ModelCacheFull", "message": f"the cache has no room left: {text}"}
    if "GatedRepoError" in kinds:
        whose = f"the account of the {token}" if token else "an account, and name a token of it in vllm.tokenSecretRef"
        words = f"{model} is gated: accept its terms on its page with {whose}"
        return {"reason": "ModelAccessDenied", "message": words}
    if "RevisionNotFoundError" in kinds:
        return {"reason": "ModelNotFound", "message": f"{model} has no such revision: {text}"}
    if "HFValidationError" in kinds:
        return {"reason": "ModelNotFound", "message": f"{model} is no name on Hugging Face: {text}"}
    if "RepositoryNotFoundError" in kinds:
        if token and NOT_FOUND not in statuses:
            return {"reason": "ModelAccessDenied", "message": f"the {token} does not let us have {model}: {text}"}
        if token:
            return {"reason": "ModelNotFound", "message": f"there is no {model} that the {token} may see"}
        words = f"there is no {model}, or it is private and asks for a token: name its Secret in vllm.tokenSecretRef"
        return {"reason": "ModelNotFound", "message": words}
    if statuses & set(REFUSED):
        who = f"the {token} does not let us" if token else "it asks for a token (vllm.tokenSecretRef) to"
        return {"reason": "ModelAccessDenied", "message": f"{who} have {model}: {text}"}
    if codes & set(NOT_OURS):
        words = f"user {os.getuid()} may not write to the cache: {text}"
        return {"reason": "ModelPullFailed", "message": words}
    return {"reason": "ModelPullFailed", "message": f"{model} does not come: {type(error).__name__}: {text}"}


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it followed from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


if __name__ == "__main__":
    sys.exit(main())
