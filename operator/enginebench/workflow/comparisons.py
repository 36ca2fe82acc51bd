"""Whether two targets did the same work at a load: only then may their throughput be held side by side.

Decided from the rows of the status, which is all that is left of a point after a restart of the operator.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from enginebench.api.v1alpha1 import Comparison, NotComparable, PointLoad, PointStatus
from enginebench.results.loads import in_words
from enginebench.workflow.verdicts import succeeded, usable

PROMPT_TOKENS, PROMPT_SHARE = 8.0, 0.02
"""Apart by more than either, prompts are not the same."""
BEGIN_OF_SEQUENCE = 1.0
"""A token that one engine counts and another does not."""
ENDED_BY_LENGTH = 0.98
OUTPUT_SHARE = 0.03
ALL_PAIRS = 8
"""Up to so many targets each is held against each; of more, each against the best one."""
MOST_TOLD = 4
"""Loads of a pair that are told with their reasons; how many there are is always told."""
PROMPTS_DIFFER, TRUNCATED, LENGTHS_DIFFER, UNDECIDED = (
    *("PromptTokensDiffer", "PromptTruncated", "OutputLengthsDiffer", "NoAnswers"),
)
Truth = tuple[str, str, str]
"""(status, reason, message) of a condition."""
NOTHING: Truth = ("Unknown", "NothingToCompare", "No two targets have a usable load point at the same load.")
MANY_POINTS: Truth = (
    *("Unknown", "TooManyPoints"),
    "The status of a run of more than 200 load points has no room for what each target did: the points' data tell.",
)


@dataclass(frozen=True, slots=True)
class Work:
    """What a target did at a load, over its usable points of it."""

    target: str
    prompt_tokens: float | None
    output_tokens: float | None
    answers: int
    by_length: int
    """Of the answers whose load generator tells why they ended; GuideLLM does not."""
    truncated: bool

    @property
    def whole(self) -> bool:
        """Nearly all answers had the length that was asked for."""
        return self.answers > 0 and self.by_length >= ENDED_BY_LENGTH * self.answers


Key = tuple[int | None, bool | None, float | None]
"""Of a load."""
Works = dict[Key, tuple[PointLoad, Work]]


def comparisons(targets: Sequence[str], rows: Sequence[PointStatus], best: str | None) -> list[Comparison]:
    """One entry a pair of targets with a load in common."""
    works = _works(rows)
    pairs = combinations(targets, 2) if len(targets) <= ALL_PAIRS else ((best or targets[0], t) for t in targets)
    return [found for a, b in pairs if a != b and (found := _pair(works.get(a, {}), works.get(b, {}))) is not None]


def verdict(found: Sequence[Comparison]) -> Truth:
    """Of the condition Comparable."""
    if not found:
        return NOTHING
    wrong = [comparison for comparison in found if comparison.comparable < comparison.loads]
    if not wrong:
        return "True", "SameWork", "At each load that two targets have in common they did the same work."
    reason = next(r for r in _GRAVEST if any(r in (c.reasons or ()) for c in wrong))
    words = "; ".join(_in_words(comparison) for comparison in wrong[:MOST_TOLD])
    more = f"; and {len(wrong) - MOST_TOLD} further pairs" if len(wrong) > MOST_TOLD else ""
    return "False", reason, f"{words}{more}. Hold only ITL and TPOT of these loads against each other."


_GRAVEST = (TRUNCATED, PROMPTS_DIFFER, LENGTHS_DIFFER, UNDECIDED)


def _in_words(comparison: Comparison) -> str:
    pair, first = " and ".join(comparison.targets), next(iter(comparison.not_comparable or ()), None)
    where = f"{comparison.loads - comparison.comparable} of {comparison.loads} common loads"
    example = ""
    if first is not None:
        example = f" ({in_words(first.load.concurrency, first.load.request_rate)}: {first.message})"
    return f"{pair} did not do the same work at {where}{example}"


def _pair(ones: Works, others: Works) -> Comparison | None:
    common = [(load, a, others[key][1]) for key, (load, a) in ones.items() if key in others]
    if not common:
        return None
    wrong = [
        NotComparable(load=load, reasons=[reason for reason, _ in why], message="; ".join(words for _, words in why))
        for load, a, b in common
        if (why := list(_why_not(a, b)))
    ]
    return Comparison(
        targets=[common[0][1].target, common[0][2].target],
        loads=len(common),
        comparable=len(common) - len(wrong),
        reasons=[r for r in _GRAVEST if any(r in one.reasons for one in wrong)] or None,
        not_comparable=wrong[:MOST_TOLD] or None,
    )


def _works(rows: Sequence[PointStatus]) -> dict[str, Works]:
    """By target and load."""
    found: dict[str, dict[Key, list[PointStatus]]] = {}
    for row in rows:
        if usable(row):
            key = (row.load.concurrency, row.load.throughput, row.load.request_rate)
            found.setdefault(row.target, {}).setdefault(key, []).append(row)
    return {
        target: {key: (same[0].load, _work(target, same)) for key, same in loads.items()}
        for target, loads in found.items()
    }


def _work(target: str, rows: Sequence[PointStatus]) -> Work:
    prompts = [row.prompt_tokens_mean for row in rows if row.prompt_tokens_mean is not None]
    outputs = [row.output_tokens_mean for row in rows if row.output_tokens_mean is not None]
    reasons = [row.finish_reasons for row in rows if row.finish_reasons is not None]
    untold = sum(succeeded(row) for row in rows if row.finish_reasons is None and row.generator is not None)
    return Work(
        target=target,
        prompt_tokens=fmean(prompts) if prompts else None,
        output_tokens=fmean(outputs) if outputs else None,
        answers=sum(one.length + one.stop + one.other for one in reasons) + untold,
        by_length=sum(one.length for one in reasons),
        truncated=any(TRUNCATED in (row.reasons or ()) for row in rows),
    )


def _why_not(a: Work, b: Work) -> Iterator[tuple[str, str]]:
    """(reason, words)."""
    if cut := [work.target for work in (a, b) if work.truncated]:
        yield TRUNCATED, f"{' and '.join(cut)} cut prompts off"
    if a.prompt_tokens is not None and b.prompt_tokens is not None:
        apart = abs(a.prompt_tokens - b.prompt_tokens)
        share = apart / max(a.prompt_tokens, b.prompt_tokens, 1.0)
        if apart > BEGIN_OF_SEQUENCE and (apart > PROMPT_TOKENS or share > PROMPT_SHARE):
            yield PROMPTS_DIFFER, f"prompts have {_of_each(a, a.prompt_tokens, b, b.prompt_tokens)} tokens in the mean"
    if not a.answers or not b.answers:
        idle = " and ".join(work.target for work in (a, b) if not work.answers)
        yield UNDECIDED, f"no request that {idle} began in the window was answered"
    elif not (a.whole and b.whole):
        ours, theirs = a.output_tokens or 0.0, b.output_tokens or 0.0
        if abs(ours - theirs) > OUTPUT_SHARE * max(ours, theirs):
            yield LENGTHS_DIFFER, f"answers have {_of_each(a, ours, b, theirs)} tokens in the mean"


def _of_each(a: Work, ours: float, b: Work, theirs: float) -> str:
    return f"{ours:.4g} ({a.target}) and {theirs:.4g} ({b.target})"
