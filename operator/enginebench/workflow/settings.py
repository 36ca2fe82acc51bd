"""Whether the settings in force are those that were asked for: a condition of the target, and the worth of its points.

What is asked comes from the spec (`engines`), what is in force from the engine's log, its API and the load pod's probe
(`readback`). What nobody asked for is reported, and differs from nothing.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from enginebench.api.v1alpha1 import PointStatus
from enginebench.workflow.attempts import Draft
from enginebench.workflow.observed import RAN, SENT, Fact, Observed
from enginebench.workflow.reasons import NOT_IN_FORCE

SLOTS = "numParallel"

_CURES = {
    SLOTS: "an engine may give some families of models fewer slots, as Ollama does",
    "contextLength": "a num_ctx of the model or of the requests goes before it with Ollama, and llama.cpp does not go "
    "beyond what the model was trained for",
    "flashAttention": "the GPU or the model does not support it",
    "kvCacheType": "Ollama quantizes the KV cache only with flash attention",
    "gpuOffloadPercent": "the rest is computed on the CPU: take a larger GPU, less context or fewer slots, and for a run "
    "on the CPU ask for no GPU (gpu.count 0)",
}


class Comparison(msgspec.Struct, frozen=True):
    """What was asked for against what is in force."""

    different: Mapping[str, tuple[Fact, str]] = msgspec.field(default_factory=dict)
    """Name → what was asked for, and what is in force in words."""
    unknown: tuple[str, ...] = ()
    """Asked for, and the engine does not tell."""

    @property
    def words(self) -> str:
        """Both values of each difference; empty where there is none."""
        return ", ".join(
            f"{name}: {_word(asked)} asked for, {found} in force" for name, (asked, found) in self.different.items()
        )


def compared(asked: Mapping[str, Fact], effective: Mapping[str, Fact]) -> Comparison:
    """Setting by setting. Slots are told by the log, which Ollama goes by, and else by the probe."""
    different: dict[str, tuple[Fact, str]] = {}
    unknown = []
    for name, wanted in asked.items():
        told = effective.get(name)
        probed = _probed(wanted, effective) if name == SLOTS else ""
        if told is not None and told != wanted:
            different[name] = wanted, _word(told)
        elif probed and told is None:
            different[name] = wanted, probed
        elif probed and told is not None:
            unknown.append(f"{name}: its log says {_word(told)}, the probe {probed}")
        elif told is None and not (name == SLOTS and RAN in effective):
            unknown.append(name)
    return Comparison(different, tuple(unknown))


def _probed(wanted: Fact, effective: Mapping[str, Fact]) -> str:
    """How many requests ran at once, where that cannot be with the slots that were asked for."""
    ran, sent = effective.get(RAN), effective.get(SENT)
    if not isinstance(ran, int) or not isinstance(sent, int) or not isinstance(wanted, int):
        return ""
    if ran < sent:
        return "" if ran == wanted else f"{ran} (of {sent} requests sent at once)"
    return "" if sent <= wanted else f"{sent} or more"


def of_attempt(seen: Observed, draft: Draft) -> Comparison | None:
    """The comparison for the target's newest attempt; None as long as its engine has not answered."""
    if draft.newest is None or draft.fresh or not draft.view.verified:
        return None
    effective = draft.engine.effective if draft.engine is not None else None
    return compared(seen.asked.get(draft.view.name, {}), effective or {})


def judged(seen: Observed, rows: Iterable[PointStatus], drafts: Sequence[Draft]) -> list[PointStatus]:
    """The rows; those that an engine with other settings served are Invalid, and say so.

    Rows keep the mark: what an attempt ran with does not change, and is not known for ever.
    """
    wrong: dict[tuple[str, int], str] = {}
    for draft in drafts:
        comparison = of_attempt(seen, draft)
        if comparison is not None and comparison.different and draft.newest is not None:
            wrong[draft.view.name, draft.newest.number] = comparison.words
    full = seen.terms is not None and seen.terms.detailed
    return [_marked(row, wrong.get((row.target, row.attempt), ""), full=full) for row in rows]


def _marked(row: PointStatus, words: str, *, full: bool) -> PointStatus:
    if not words or NOT_IN_FORCE in (row.reasons or ()):
        return row
    return row.model_copy(
        update={
            "validity": row.validity if row.validity == "Superseded" else "Invalid",
            "reasons": [NOT_IN_FORCE, *(row.reasons or ())],
            "message": "; ".join(part for part in (words, row.message) if part) if full else row.message,
        }
    )


def condition(comparison: Comparison | None) -> tuple[str, str, str]:
    """(status, reason, message) of SettingsInForce."""
    if comparison is None:
        return "Unknown", "NotVerified", "The engine has not answered yet."
    if comparison.different:
        cures = "; ".join(f"{name}: {_CURES[name]}" for name in comparison.different if name in _CURES)
        return "False", NOT_IN_FORCE, f"{comparison.words}. {cures}".strip()
    if comparison.unknown:
        return (
            "Unknown",
            "NotTold",
            f"What is in force is not told, or not of one voice: {', '.join(comparison.unknown)}.",
        )
    return "True", "AsAsked", "Every setting that was asked for is in force."


def _word(value: Fact) -> str:
    """As YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
