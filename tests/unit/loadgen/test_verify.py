"""Verification against a real server: nothing is loaded before the right model has answered."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.address import parse
from enginebench.loadgen.dataset import read
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.speaker import Speaker
from enginebench.loadgen.verify import verify
from enginebench.results.frames import Decoder
from enginebench.results.messages import EngineReport, Progress
from tests.support.engine import Behaviour, Engine, serving
from tests.unit.loadgen.plans import plan


@dataclass
class Said:
    """A speaker on a pipe, and what came out of it."""

    speaker: Speaker
    end: int

    def progress(self) -> list[Progress]:
        decoder, lines = Decoder(), os.read(self.end, 1 << 16).splitlines()
        return [s.message for line in lines if (s := decoder.feed(line)) and isinstance(s.message, Progress)]


@pytest.fixture
def said() -> Iterator[Said]:
    read_end, write_end = os.pipe()
    yield Said(Speaker(write_end), read_end)
    os.close(read_end)
    os.close(write_end)


async def verified(what: LoadPlan, said: Said) -> EngineReport:
    rows, _ = read(what.dataset, chat=True)
    return await verify(what, parse(what.url), rows, said.speaker)


@asynccontextmanager
async def refused(reason: str, words: str) -> AsyncIterator[None]:
    with pytest.raises(GaveUp, match=words) as caught:
        yield
    assert caught.value.reason == reason


async def test_an_openai_engine_tells_its_model_version_and_context(said: Said) -> None:
    engine = Engine()
    async with serving(engine):
        report = await verified(plan(engine.url), said)
    assert (report.served_model, report.version, report.model_digest) == ("tiny", "1.2.3", "")
    assert report.effective == {"maxModelLen": 2048}
    assert report.model_download_seconds is None
    [body] = engine.bodies
    assert body["max_tokens"] == 8
    assert body["messages"][0]["content"]


@pytest.mark.parametrize("asked", ["tiny", "tiny:latest"])
async def test_ollama_tells_its_digest_and_where_the_model_lies(asked: str, said: Said) -> None:
    engine = Engine(model="tiny:latest")
    async with serving(engine):
        report = await verified(plan(engine.url, api="OllamaGenerate", model=asked), said)
    assert (report.served_model, report.version, report.model_digest) == ("tiny:latest", "0.9.2", "sha256:abc")
    assert report.effective == {
        "sizeBytes": 100,
        "sizeVramBytes": 60,
        "contextLength": 512,
        "quantization": "F16",
        "parameterSize": "1M",
    }, "its answers are too short to see how many run at once"


async def test_an_engine_that_is_not_there_yet_is_waited_for(said: Said) -> None:
    engine = Engine(models_refused=2)
    async with serving(engine) as first:
        port = int(first.url.rpartition(":")[2])
    task = asyncio.create_task(verified(plan(engine.url), said))
    await asyncio.sleep(0.7)
    async with serving(engine, port):
        assert (await task).served_model == "tiny"
    waiting = [p.message for p in said.progress() if p.stage == "Waiting"]
    assert waiting[0] == "waiting for the engine to answer (no answer yet)"


async def test_an_engine_that_never_comes_is_given_up_in_words(said: Said) -> None:
    async with refused("EngineNotReady", r"did not list its models within 1 s: Connection refused\."):
        await verified(plan(startup_seconds=1), said)


async def test_the_only_model_is_taken_where_none_is_named(said: Said) -> None:
    engine = Engine(model="org/only")
    async with serving(engine):
        report = await verified(plan(engine.url, dialect="openai", model=""), said)
    assert report.served_model == "org/only"
    assert report.effective == {"maxModelLen": 2048}
    assert [body["model"] for body in engine.bodies] == ["org/only"]


async def test_none_of_several_models_is_taken_by_chance(said: Said) -> None:
    engine = Engine(model="base", others=tuple(f"adapter-{number:02}" for number in range(24)))
    async with serving(engine), refused("ModelNotChosen", r"adapter-00, .*, adapter-19 and 5 more. Name the one"):
        await verified(plan(engine.url, dialect="openai", model=""), said)
    assert engine.bodies == []


async def test_no_model_at_all_is_said(said: Said) -> None:
    engine = Engine(lists=False)
    async with serving(engine), refused("ModelNotFound", "serves no model at all. Have it load one"):
        await verified(plan(engine.url, dialect="openai", model=""), said)


@pytest.mark.parametrize("listed", ["other", "tiny-2024-08-06", "tiny2"])
async def test_another_model_is_named(listed: str, said: Said) -> None:
    engine = Engine(model=listed)
    async with serving(engine), refused("WrongModel", f"does not serve tiny; it serves {listed}. Correct"):
        await verified(plan(engine.url, dialect="openai"), said)
    assert engine.bodies == []


async def test_another_model_in_the_answer_is_named(said: Said) -> None:
    engine = Engine(behave=lambda _: Behaviour(model="other"))
    async with serving(engine), refused("WrongModel", "was asked for tiny and answered as other"):
        await verified(plan(engine.url), said)


async def test_a_dated_name_in_the_answer_of_a_hosted_endpoint_is_the_same_model(said: Said) -> None:
    engine = Engine(behave=lambda _: Behaviour(model="tiny-2024-08-06"))
    async with serving(engine):
        assert (await verified(plan(engine.url, dialect="openai"), said)).served_model == "tiny"


async def test_a_model_that_ollama_does_not_have_is_named(said: Said) -> None:
    engine = Engine(model="other:1b")
    async with serving(engine), refused("ModelNotFound", "does not serve tiny; it serves other:1b"):
        await verified(plan(engine.url, api="OllamaChat"), said)
    engine = Engine(present=False)
    async with serving(engine), refused("ModelNotFound", "it serves no model at all"):
        await verified(plan(engine.url, api="OllamaChat"), said)


PULL: list[dict[str, Any]] = [
    {"status": "pulling manifest"},
    {"status": "pulling aa", "digest": "sha256:aa", "total": 2_000_000_000},
    {"status": "pulling aa", "digest": "sha256:aa", "total": 2_000_000_000, "completed": 1_000_000_000},
    {"status": "pulling bb", "digest": "sha256:bb", "total": 500, "completed": 500},
    {"status": "pulling aa", "digest": "sha256:aa", "total": 2_000_000_000, "completed": 2_000_000_000},
]


async def test_a_missing_model_is_pulled_and_that_is_told(said: Said) -> None:
    engine = Engine(present=False, pull=[*PULL, {"status": "success"}])
    async with serving(engine):
        report = await verified(plan(engine.url, api="OllamaChat", pull_model=True), said)
    assert report.model_download_seconds is not None
    first = next(p for p in said.progress() if p.stage == "DownloadingModel")
    assert first.message == "downloading tiny: asked for"


async def test_a_model_that_is_there_is_not_pulled(said: Said) -> None:
    engine = Engine()
    async with serving(engine):
        report = await verified(plan(engine.url, api="OllamaChat", pull_model=True), said)
    assert report.model_download_seconds is None
    assert "/api/pull" not in engine.paths


@pytest.mark.parametrize(
    ("lines", "reason", "words", "cure"),
    [
        (
            [*PULL, {"error": "pull model manifest: file does not exist"}],
            "ModelNotFound",
            "pull model manifest: file does not exist",
            "The registry has no such model",
        ),
        (
            [{"error": "write /models/blobs/sha256-aa-partial: no space left on device"}, {"status": "success"}],
            "ModelCacheFull",
            "write /models/blobs/sha256-aa-partial: no space left on device",
            "There is no room for it: give the volume of modelCache more",
        ),
        (PULL, "ModelPullFailed", "the engine ended without a word of success", "Check the model's name"),
        ([], "ModelPullFailed", "the engine ended without a word of success", "Check the model's name"),
    ],
)
async def test_a_pull_that_fails_under_http_200_is_told_in_the_engines_words(
    lines: list[dict[str, Any]], reason: str, words: str, cure: str, said: Said
) -> None:
    engine = Engine(present=False, pull=lines)
    async with serving(engine), refused(reason, f"Ollama cannot pull tiny: {words}\\. {cure}"):
        await verified(plan(engine.url, api="OllamaChat", pull_model=True), said)


async def test_a_model_of_a_registry_without_tls_is_asked_for_so_and_that_is_told(said: Said) -> None:
    name = "registry:5000/team/tiny:latest"
    engine = Engine(model=name, present=False, pull=[*PULL, {"status": "success"}])
    async with serving(engine):
        without = plan(engine.url, api="OllamaChat", model=name, pull_model=True, pull_without_tls=True)
        report = await verified(without, said)
    assert report.served_model == name
    assert report.effective["modelRegistry"] == "http://registry:5000, WITHOUT TLS"
    first = next(p for p in said.progress() if p.stage == "DownloadingModel")
    assert first.message == f"downloading {name} without TLS: asked for"


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (Behaviour(status=500), "HTTP 500: no room"),
        (Behaviour(error_after=0), "out of memory"),
        (Behaviour(cut_after=2), "closed|lost"),
        (Behaviour(reset=True), "closed|lost"),
        (Behaviour(finish=False), "without a finish reason"),
    ],
)
async def test_a_completion_that_does_not_come_back_is_told(behaviour: Behaviour, words: str, said: Said) -> None:
    engine = Engine(behave=lambda _: behaviour)
    async with serving(engine), refused("VerificationFailed", f"brought no completion: .*({words})"):
        await verified(plan(engine.url), said)
    assert len(engine.bodies) == (3 if behaviour.reset else 1)


async def test_a_completion_that_hangs_is_bounded(said: Said) -> None:
    engine = Engine(behave=lambda _: Behaviour(silent=True))
    words = r"no whole completion within 1 s \(spec.timeouts.verificationSeconds\)"
    async with serving(engine), refused("VerificationTimeout", words):
        await verified(plan(engine.url, verification_seconds=1), said)


async def test_a_connection_that_breaks_once_is_tried_again(said: Said) -> None:
    engine = Engine(behave=lambda n: Behaviour(reset=n == 0))
    async with serving(engine):
        assert (await verified(plan(engine.url), said)).served_model == "tiny"
