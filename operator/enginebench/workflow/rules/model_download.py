"""An engine that downloads its model itself, as vLLM and llama.cpp do, and could not: why, by the words of its log.

The words are those of huggingface_hub (`utils/_http.py`, `file_download.py`), transformers (`utils/hub.py`) and llama.cpp
(`common/hf-cache.cpp`, `common/download.cpp`; a hub tells it 401 of a model that is not there, too).
"""

import re

_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"GatedRepoError|trying to access a gated repo|Cannot access gated repo",
        "ModelAccessDenied",
        "The model is given only to those who have accepted its terms: accept them at the hub, and name a Secret with "
        "the token of that account in tokenSecretRef.",
    ),
    (
        r"Invalid credentials in Authorization header",
        "ModelAccessDenied",
        "The hub does not accept the token: put a valid one into the Secret of tokenSecretRef.",
    ),
    (
        r"RepositoryNotFoundError|is not a valid model identifier|GET failed \(404\)|failed with status code: 404",
        "ModelNotFound",
        "The hub has no such model, or shows it to nobody without the right token: correct model, or name a "
        "Secret with a token that may read it in tokenSecretRef.",
    ),
    (
        r"RevisionNotFoundError|is not a valid git identifier",
        "ModelNotFound",
        "The model has no such revision: correct --revision in args.",
    ),
    (
        r"401 Unauthorized|403 Forbidden|GET failed \(40[13]\)|failed with status code: 40[13]",
        "ModelAccessDenied",
        "The hub refuses: name a Secret with a token that may read the model in tokenSecretRef.",
    ),
    (
        r"does not appear to have (a file|files) named|Cannot find any model weights|Entry Not Found for url|"
        r"no GGUF files found in repository",
        "ModelNotFound",
        "The model at the hub lacks a file that the engine needs: look into its repository, and correct model.",
    ),
    (
        r"No space left on device|\[Errno 28\]|Disk quota exceeded",
        "ModelCacheFull",
        "There is no room for the model: give the volume of modelCache more, or, without a modelCache, the node more "
        "disk.",
    ),
    (
        r"PermissionError at .* when downloading|(Permission denied|Read-only file system).*(/models|huggingface)",
        "ModelPullFailed",
        "The engine's user may not write to the model cache: correct the volume's owner (fsGroup) or its access mode.",
    ),
    (
        r"ReadTimeout|The read operation timed out|ReadTimeoutError",
        "ModelPullStalled",
        "The hub stopped sending, and did not go on when it was asked for the rest: look at it and the way to it, and "
        "run again.",
    ),
    (
        r"peer closed connection|RemoteProtocolError|Consistency check failed|IncompleteRead",
        "ModelPullFailed",
        "The connection to the hub broke, again and again: look at it and the way to it, and run again.",
    ),
    (
        r"ConnectError|ConnectTimeout|ConnectionError|couldn't connect to 'http|trying to locate the files on the Hub|"
        r"Max retries exceeded with url|LocalEntryNotFoundError|specific connection error|HTTPLIB failed",
        "ModelPullFailed",
        "The engine's pod does not reach the hub: check NetworkPolicies, a proxy or HF_ENDPOINT in pod.env, and the "
        "way out of the cluster; or fill the modelCache beforehand.",
    ),
)

REASONS = frozenset(reason for _, reason, _ in _CAUSES)
_PATTERNS = tuple((re.compile(pattern), reason, cure) for pattern, reason, cure in _CAUSES)


def download_failure(errors: str) -> tuple[str, str] | None:
    """(reason, what to do) of the first cause that the errors fit; None: they tell of something else."""
    return next(((reason, cure) for pattern, reason, cure in _PATTERNS if pattern.search(errors)), None)
