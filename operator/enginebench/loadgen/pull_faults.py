"""Why a pull failed, by Ollama's own words: the reason for pipelines, and what to do for people.

The words are those of server/images.go and server/download.go, and of Go's network and file errors in them.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A reason of docs/failures.md, and the sentence that says what to do."""

    reason: str
    cure: str


FAILED = "ModelPullFailed"
"""Where no other word fits."""

UNCLEAR = Fault("ModelPullFailed", "Check the model's name, the way to its registry, and the room on the model cache.")
BROKEN_OFF = Fault(FAILED, "Look at the engine's log, and run again.")
STALLED = Fault(
    "ModelPullStalled",
    "Look at the registry and the way to it, and run again; a registry that is so slow to answer needs a higher "
    "spec.timeouts.modelDownloadStallSeconds.",
)
TOO_SLOW = Fault(
    "ModelPullTimeout",
    "Raise it, bring the registry nearer, or fill the modelCache beforehand.",
)

_FAULTS: tuple[tuple[str, Fault], ...] = (
    (
        r"no space left on device|disk quota exceeded",
        Fault(
            "ModelCacheFull",
            "There is no room for it: give the volume of modelCache more, remove models from it, or, without a "
            "modelCache, give the node more disk.",
        ),
    ),
    (
        r"digest mismatch",
        Fault(
            "ModelCorrupt",
            "What the registry sent is not what its manifest names, or it was changed on the way: push the model to "
            "the registry anew, or look what stands between. Ollama has removed the file.",
        ),
    ),
    (
        r"pull model manifest: file does not exist",
        Fault("ModelNotFound", "The registry has no such model or no such tag: correct the target's model."),
    ),
    (
        r"^file does not exist",
        Fault(FAILED, "The registry has the model's manifest but not all of its files: push the model to it anew."),
    ),
    (
        r"server gave HTTP response to HTTPS client|first record does not look like a TLS handshake",
        Fault(FAILED, "The registry speaks no TLS: write http:// before the model's name to pull it all the same."),
    ),
    (
        r"x509: |tls: ",
        Fault(FAILED, "The registry's certificate is refused by Ollama: use one that the engine's image trusts."),
    ),
    (
        r"no Location header in response",
        Fault(
            FAILED,
            "This version of Ollama wants a registry that says from where the files come (a redirect or a Location "
            "header), which a plain OCI registry does not: use another registry, or a newer Ollama.",
        ),
    ),
    (
        r"\b412\b|newer version of Ollama",
        Fault(FAILED, "The model asks for a newer Ollama: name one in the target's image."),
    ),
    (
        r"\b40[13]\b|unauthorized|denied: |unsupported protocol scheme \"\"",
        Fault(
            "ModelAccessDenied",
            "The registry wants to know who asks, and Ollama has no way to be told a password: use a registry or a "
            "model that is open to the cluster, or fill the modelCache beforehand.",
        ),
    ),
    (
        r"permission denied|read-only file system",
        Fault(
            FAILED,
            "The engine's user may not write to the model cache: correct the volume's owner (fsGroup) or its access "
            "mode.",
        ),
    ),
    (
        r"no such host|dial tcp|connection refused|i/o timeout|TLS handshake timeout|network is unreachable",
        Fault(
            FAILED,
            "The engine's pod does not reach the registry: check the host's name, NetworkPolicies and the way out of "
            "the cluster, or fill the modelCache beforehand.",
        ),
    ),
    (
        r"max retries exceeded",
        Fault(FAILED, "The connection to the registry broke again and again: look at the registry and the way to it."),
    ),
)


def fault_of(words: str) -> Fault:
    """The first that the words fit."""
    return next((fault for pattern, fault in _FAULTS if re.search(pattern, words, re.IGNORECASE)), UNCLEAR)
