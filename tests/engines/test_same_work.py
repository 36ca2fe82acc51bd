"""Real Ollama 0.9.2: prompts that it cuts off without a word are seen, by its context and by the data set's counts;
and two of it that do not do the same work are not held against each other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enginebench.api.loadplan import DatasetPlan, PointPlan, RequestPlan
from enginebench.api.v1alpha1 import Comparison
from enginebench.results.point_report import PointReport
from enginebench.workflow.comparisons import comparisons, verdict
from enginebench.workflow.decide import decide
from enginebench.workflow.observed import ReceivedPoint, StoredPoint
from enginebench.workflow.verdicts import judge_point
from images.ollama.binary import ensure_ollama_binary
from images.ollama.models import ensure_tiny_model, serving
from tests.unit.loadgen.plans import plan, prompts
from tests.unit.validity import pods
from tests.unit.workflow.build import at, observed

CONTEXT = 128
WORDS = " ".join(["ba"] * 40)
LONG = " ".join(["ba"] * 400)
"""More than the context, whatever its tokens."""
OTHERS = " ".join(["ma"] * 40)
STOP = " be"
"""The model goes on in the order of the alphabet: after `ba` this is the fourth word, and after `ma` none of the first
eight."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    binary, folder = ensure_ollama_binary(), ensure_tiny_model().folder
    with serving(binary, folder, OLLAMA_NUM_PARALLEL="1", OLLAMA_CONTEXT_LENGTH=str(CONTEXT)) as url:
        yield url


def point(url: str, folder: Path, *texts: str, api: str = "OllamaGenerate", **changes: Any) -> PointReport:
    rows = tuple(row for row in prompts(*texts))
    known = tuple(
        type(row)(prompt=row.prompt, prompt_tokens=len((row.prompt or "").split()), output_tokens=8) for row in rows
    )
    settings: dict[str, Any] = {
        "model": "tiny:latest",
        "dialect": "ollama",
        "dataset": DatasetPlan(rows=known),
        "request": RequestPlan(api=api, max_output_tokens=8),  # type: ignore[arg-type]  # one of its words
        "points": (PointPlan(index=0, concurrency=1),),
        "duration_seconds": 3,
        "warmup_max_seconds": 20,
        "startup_seconds": 60,
    }
    return pods.measured(plan(url, **({"api": api} | settings | changes)), folder, prefix=pods.realtime())


def test_a_prompt_that_fits_is_not_cut_off(url: str, tmp_path: Path) -> None:
    report = point(url, tmp_path, WORDS)
    assert report.requests.succeeded > 0
    assert report.prompt_tokens_max is not None
    assert 40 <= report.prompt_tokens_max < CONTEXT - 8
    assert report.evidence.finish_reasons == {"length": report.requests.succeeded}
    assert "PromptTruncated" not in judge_point(report, context_length=CONTEXT).reasons
    assert report.engine_metrics is not None
    assert report.engine_metrics.unobserved == "Ollama has no metrics of its own"


def test_a_prompt_longer_than_the_context_is_cut_off_and_it_is_said(url: str, tmp_path: Path) -> None:
    report = point(url, tmp_path, LONG, WORDS, WORDS)  # fewer than half: the median is that of whole ones
    assert report.requests.errored == 0  # it says nothing
    by_context = judge_point(report, context_length=CONTEXT)
    by_counts = judge_point(report)
    for verdict_ in (by_context, by_counts):
        assert "PromptTruncated" in verdict_.reasons, (report.prompt_tokens_max, verdict_)
    assert f"its context {CONTEXT}" in by_context.message
    assert "of 400)" in by_counts.message


def told_apart(ones: PointReport, others: PointReport) -> list[Comparison]:
    """As a run tells of two targets that have measured these."""
    stored = [StoredPoint(name, 1, ReceivedPoint(one, b"")) for name, one in (("a-sim", ones), ("b-sim", others))]
    status = decide(observed(stored=tuple(stored)), at(1)).status
    assert status is not None
    # What else a busy machine does to the points is not the question here.
    rows = [row.model_copy(update={"validity": "Limited"}) for row in status.points or ()]
    return comparisons(["a-sim", "b-sim"], rows, None)


def test_a_route_with_a_template_and_one_without_do_not_do_the_same_work(url: str, tmp_path: Path) -> None:
    raw, chat = point(url, tmp_path, WORDS), point(url, tmp_path, WORDS, api="OllamaChat")
    apart = abs((raw.prompt_tokens_mean or 0) - (chat.prompt_tokens_mean or 0))
    assert apart > 1  # the template's own
    assert verdict(told_apart(raw, chat))[1] == "PromptTokensDiffer"


def test_answers_that_the_model_ends_are_counted_and_do_not_make_the_same_work(url: str, tmp_path: Path) -> None:
    stopping = RequestPlan(
        api="OllamaGenerate", max_output_tokens=8, extra_body_json=json.dumps({"options": {"stop": [STOP]}})
    )
    whole, ended = point(url, tmp_path, WORDS, OTHERS), point(url, tmp_path, WORDS, OTHERS, request=stopping)
    assert whole.evidence.finish_reasons == {"length": whole.requests.succeeded}
    assert whole.output_tokens_mean == 8
    assert ended.evidence.finish_reasons.keys() == {"length", "stop"}
    assert sum(ended.evidence.finish_reasons.values()) == ended.requests.succeeded
    assert ended.output_tokens_mean is not None
    assert 3 <= ended.output_tokens_mean < 8 * 0.9
    assert ended.requests.errored == 0
    [found] = told_apart(whole, ended)
    assert (found.loads, found.comparable, found.reasons) == (1, 0, ["OutputLengthsDiffer"])
    assert verdict([found])[1] == "OutputLengthsDiffer"
    assert verdict(told_apart(whole, whole))[0] == "True"
