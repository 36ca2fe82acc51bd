"""Which targets did the same work at which load."""

from typing import Any

import pytest

from enginebench.api import conditions as c
from enginebench.api.v1alpha1 import Comparison, PointStatus
from enginebench.results.point_report import Evidence, RequestCounts, ShortPrompts
from enginebench.workflow.comparisons import comparisons, verdict
from enginebench.workflow.decide import decide
from enginebench.workflow.observed import StoredPoint
from enginebench.workflow.verdicts import judge_point
from tests.unit.workflow.build import at, observed, received, report, row

BOTH = ["a-sim", "b-sim"]


def worked(target: str, index: int = 0, **changes: Any) -> PointStatus:
    """400 answers of 64 tokens each to prompts of 100, all ended by length."""
    counts: dict[str, Any] = {"promptTokensMean": 100.0, "outputTokensMean": 64.0, "finishReasons": {"length": 400}}
    return row(index, changes.pop("validity", "Valid"), target=target, **(counts | changes))


@pytest.mark.parametrize(
    ("other", "reasons"),
    [
        ({}, []),
        ({"promptTokensMean": 101.0}, []),
        ({"promptTokensMean": 102.0}, []),
        ({"promptTokensMean": 102.1}, ["PromptTokensDiffer"]),
        ({"promptTokensMean": None}, []),
        ({"outputTokensMean": 70.0}, []),  # all by length all the same: rows with caps of their own
        ({"finishReasons": {"length": 392, "stop": 8}, "outputTokensMean": 60.0}, []),
        ({"finishReasons": {"length": 391, "stop": 9}, "outputTokensMean": 60.0}, ["OutputLengthsDiffer"]),
        ({"finishReasons": {"stop": 400}, "outputTokensMean": 62.1}, []),
        ({"finishReasons": {"stop": 400}, "outputTokensMean": 62.0}, ["OutputLengthsDiffer"]),
        ({"finishReasons": None, "outputTokensMean": None}, ["NoAnswers"]),
        ({"finishReasons": None, "generator": "guidellm"}, []),
        ({"finishReasons": None, "generator": "guidellm", "outputTokensMean": 62.0}, ["OutputLengthsDiffer"]),
        ({"reasons": ["PromptTruncated"], "validity": "Limited"}, ["PromptTruncated"]),
        (
            {"promptTokensMean": 90.0, "finishReasons": {"stop": 9}, "outputTokensMean": 9.0},
            ["PromptTokensDiffer", "OutputLengthsDiffer"],
        ),
    ],
)
def test_two_targets_at_a_load(other: dict[str, Any], reasons: list[str]) -> None:
    (found,) = comparisons(BOTH, [worked("a-sim"), worked("b-sim", **other)], None)
    assert (found.targets, found.loads, found.comparable) == (BOTH, 1, 0 if reasons else 1)
    assert found.reasons == (reasons or None)
    assert [one.reasons for one in found.not_comparable or ()] == ([reasons] if reasons else [])


def test_eight_tokens_are_too_many_however_long_the_prompt() -> None:
    for tokens, want in ((4008.0, None), (4008.5, ["PromptTokensDiffer"])):
        rows = [worked("a-sim", promptTokensMean=4000.0), worked("b-sim", promptTokensMean=tokens)]
        assert comparisons(BOTH, rows, None)[0].reasons == want


def test_only_usable_points_of_common_loads_are_held_against_each_other() -> None:
    rows = [
        worked("a-sim", 0), worked("b-sim", 0, validity="Invalid", promptTokensMean=1.0),
        worked("a-sim", 1), worked("b-sim", 2),
        worked("a-sim", 3), worked("b-sim", 3, attempt=1, validity="Superseded", promptTokensMean=1.0), worked("b-sim", 3, attempt=2),
    ]  # fmt: skip
    (found,) = comparisons(BOTH, rows, None)
    assert found == Comparison(targets=BOTH, loads=1, comparable=1)
    assert comparisons(BOTH, rows[:2], None) == []


def test_many_targets_are_held_against_the_best_one() -> None:
    names = [f"t{n}-sim" for n in range(9)]
    rows = [worked(name) for name in names]
    assert len(comparisons(names[:8], rows, None)) == 28
    pairs = [found.targets for found in comparisons(names, rows, "t3-sim")]
    assert pairs == [["t3-sim", name] for name in names if name != "t3-sim"]


def test_the_condition_says_which_and_why() -> None:
    assert verdict([])[:2] == ("Unknown", "NothingToCompare")
    rows = [worked(name, index) for name in BOTH for index in range(6)]
    assert verdict(comparisons(BOTH, rows, None))[:2] == ("True", "SameWork")
    rows = [r if r.target == "a-sim" else r.model_copy(update={"prompt_tokens_mean": 111.0}) for r in rows]
    found = comparisons(BOTH, rows, None)
    assert len(found[0].not_comparable or ()) == 4
    status, reason, message = verdict(found)
    assert (status, reason) == ("False", "PromptTokensDiffer")
    assert "a-sim and b-sim did not do the same work at 6 of 6 common loads" in message
    assert "1 user: prompts have 100 (a-sim) and 111 (b-sim) tokens in the mean" in message


def test_a_run_says_so_from_its_points_on() -> None:
    def stored(target: str, prompt_tokens: float) -> StoredPoint:
        counts = RequestCounts(succeeded=400)
        evidence = Evidence(finish_reasons={"length": 390, "stop": 9, "tool_calls": 1})
        told: dict[str, Any] = {"prompt_tokens_mean": prompt_tokens, "output_tokens_mean": 64.0, "evidence": evidence}
        return StoredPoint(target, 1, received(0, requests=counts, **told))

    plan = decide(observed(stored=(stored("a-sim", 100.0), stored("b-sim", 120.0))), at(1))
    assert plan.status is not None
    one = (plan.status.points or [])[0]
    assert one.finish_reasons is not None
    assert one.finish_reasons.document() == {"length": 390, "stop": 9, "other": 1}
    assert (one.prompt_tokens_mean, one.output_tokens_mean) == (100.0, 64.0)
    comparable = c.get_condition(plan.status.conditions, c.COMPARABLE)
    assert comparable is not None
    assert (comparable.status, comparable.reason) == ("False", "PromptTokensDiffer")
    assert plan.status.summary is not None
    assert [found.reasons for found in plan.status.summary.comparisons or ()] == [["PromptTokensDiffer"]]


@pytest.mark.parametrize(
    ("most", "context", "short", "want"),
    [
        (503, 512, None, ()),
        (504, 512, None, ("PromptTruncated",)),
        (4054, 4096, None, ()),
        (4056, 4096, None, ("PromptTruncated",)),
        (512, None, None, ()),
        (None, 512, None, ()),
        (400, None, ShortPrompts(requests=3, of=10, counted=400, known=900), ("PromptTruncated",)),
    ],
)
def test_prompts_that_were_cut_off(
    most: int | None, context: int | None, short: ShortPrompts | None, want: tuple[str, ...]
) -> None:
    told = report(prompt_tokens_max=most, evidence=Evidence(short_prompts=short))
    assert judge_point(told, context_length=context).reasons == want
