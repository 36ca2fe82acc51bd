"""What is in force in a real Ollama 0.9.2 that does not do as it is told: read back as in a run, and compared.

Nothing is pretended: a model of the family mllama gets one slot, a model with a `num_ctx` of its own keeps that, the
CPU has no flash attention, and no GPU to hold the model.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enginebench.api.v1alpha1 import BenchmarkRunSpec
from enginebench.engines.base import Platform
from enginebench.engines.registry import engine_of
from enginebench.loadgen import dataset
from enginebench.loadgen.address import parse
from enginebench.loadgen.speaker import Speaker
from enginebench.loadgen.verify import verify
from enginebench.workflow.settings import Comparison, compared
from images.ollama.binary import ensure_ollama_binary
from images.ollama.models import ensure_tiny_model, serving
from images.ollama.variants import ONE_SLOT, SHORT, SHORT_CONTEXT
from tests.unit.engines.specs import spec
from tests.unit.loadgen.plans import plan


@pytest.fixture
def nowhere() -> Iterator[int]:
    """What is said is heard by nobody."""
    end = os.open(os.devnull, os.O_WRONLY)
    yield end
    os.close(end)


async def read_back(
    ollama: dict[str, Any], folder: Path, nowhere: int, *, gpus: int = 0
) -> tuple[dict[str, Any], Comparison]:
    """What is in force by API, probe and log, and how it compares with what `ollama` asks for."""
    run: BenchmarkRunSpec = spec(json.dumps([{"name": "a", "ollama": ollama, "pod": {"gpu": {"count": gpus}}}]))
    [target] = run.targets
    engine = engine_of(target)
    asked = engine.asked(run, target)
    _, values = engine.template(run, target, Platform(image=""))
    log = folder / "log"
    with serving(ensure_ollama_binary(), ensure_tiny_model().folder, log, **values["said"]) as url:
        settings = plan(url, api="OllamaGenerate", model=target.model, slots=int(asked.get("numParallel", 0)))
        rows, _ = dataset.read(settings.dataset, chat=False)
        report = await verify(settings, parse(url), rows, Speaker(nowhere))
    found: dict[str, Any] = {**report.effective, **engine.facts(log.read_text())}
    found["gpuOffloadPercent"] = 100 * found["sizeVramBytes"] // found["sizeBytes"]
    return found, compared(asked, found)


async def test_as_it_is_asked(tmp_path: Path, nowhere: int) -> None:
    asked = {"model": "tiny", "numParallel": 3, "contextLength": 512, "maxQueue": 7, "flashAttention": False}
    found, comparison = await read_back(asked, tmp_path, nowhere)
    assert comparison == Comparison()
    assert (found["numParallel"], found["contextLength"], found["maxQueue"]) == (3, 512, 7)
    assert (found["requestsAtOnce"], found["requestsProbed"]) == (3, 4)
    assert "OLLAMA_NUM_PARALLEL=3" in found["environment"]
    assert "--ctx-size 1536" in found["arguments"]
    assert "--port" not in found["arguments"]


async def test_what_is_left_open_is_found_out(tmp_path: Path, nowhere: int) -> None:
    found, comparison = await read_back({"model": "tiny"}, tmp_path, nowhere)
    assert comparison == Comparison()
    assert found["requestsAtOnce"] == found["numParallel"] == 2


@pytest.mark.parametrize(
    ("asked", "gpus", "words"),
    [
        ({"model": ONE_SLOT, "numParallel": 4}, 0, "numParallel: 4 asked for, 1 in force"),
        ({"model": SHORT, "contextLength": 512}, 0, f"contextLength: 512 asked for, {SHORT_CONTEXT} in force"),
        ({"model": "tiny", "flashAttention": True}, 0, "flashAttention: true asked for, false in force"),
        ({"model": "tiny", "kvCacheType": "q8_0"}, 0, "kvCacheType: q8_0 asked for, f16 in force"),
        ({"model": "tiny"}, 1, "gpuOffloadPercent: 100 asked for, 0 in force"),
    ],
    ids=["slots", "context", "flash attention", "KV cache", "offload"],
)
async def test_a_difference_is_seen(asked: dict[str, Any], gpus: int, words: str, tmp_path: Path, nowhere: int) -> None:
    _, comparison = await read_back(asked, tmp_path, nowhere, gpus=gpus)
    assert (comparison.words, comparison.unknown) == (words, ())


async def test_one_slot_is_seen_without_the_log(tmp_path: Path, nowhere: int) -> None:
    found, _ = await read_back({"model": ONE_SLOT, "numParallel": 4}, tmp_path, nowhere)
    seen = {name: value for name, value in found.items() if name.startswith("requests")}
    assert (
        compared({"numParallel": 4}, seen).words == "numParallel: 4 asked for, 1 (of 5 requests sent at once) in force"
    )
