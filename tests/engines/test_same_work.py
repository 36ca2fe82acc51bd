"""Real Ollama 0.9.2: prompts that it cuts off without a word are seen, by its context and by the data set's counts;
and two of it that do not do the same work are not held against each other."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enginebench.api.loadplan import DatasetPlan, PointPlan, RequestPlan
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


def test_a_route_with_a_template_and_one_without_do_not_do_the_same_work(url: str, tmp_path: Path) -> None:
    raw, chat = point(url, tmp_path, WORDS), point(url, tmp_path, WORDS, api="OllamaChat")
    stored = [StoredPoint(name, 1, ReceivedPoint(report, b"")) for name, report in (("a-sim", raw), ("b-sim", chat))]
    status = decide(observed(stored=tuple(stored)), at(1)).status
    assert status is not None
    # What else a busy machine does to the points is not the question here.
    rows = [row.model_copy(update={"validity": "Limited"}) for row in status.points or ()]
    found = comparisons(["a-sim", "b-sim"], rows, None)
    apart = abs((raw.prompt_tokens_mean or 0) - (chat.prompt_tokens_mean or 0))
    assert apart > 1  # the template's own
    assert verdict(found)[1] == "PromptTokensDiffer"
