"""Real Ollama 0.9.2 pulls from a registry of ours, asked by our load pod's code: as it should be, and every way to fail.

Each fault is the registry's (`tests.support.faulty`), or the disk's. The words are Ollama's own, the reasons ours.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.address import parse
from enginebench.loadgen.dataset import read
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.speaker import Speaker
from enginebench.loadgen.verify import verify
from enginebench.results.frames import Decoder
from enginebench.results.messages import EngineReport, Progress
from images.ollama.binary import ensure_ollama_binary
from images.ollama.models import ensure_tiny_model, serving
from tests.support.faulty import Fault, running
from tests.support.ollama_registry import PLAIN, Registry
from tests.unit.loadgen.plans import plan

RATE = 3e6
"""Bytes a second of the slow one: two seconds for the tiny model."""


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    server = Registry(ensure_tiny_model().folder, rate=RATE)
    with running(server):
        yield server


@pytest.fixture
def ollama(tmp_path: Path) -> Iterator[str]:
    """Without a model."""
    with serving(ensure_ollama_binary(), tmp_path / "models", OLLAMA_CONTEXT_LENGTH="512") as url:
        yield url


def a_plan(url: str, model: str, stall: int) -> LoadPlan:
    return plan(
        url,
        api="OllamaGenerate",
        model=model.removeprefix("http://"),
        pull_model=True,
        pull_without_tls=model.startswith("http://"),
        model_download_seconds=300,
        model_download_stall_seconds=stall,
        startup_seconds=120,
    )


async def verified(url: str, model: str, *, stall: int = 60) -> tuple[EngineReport, list[Progress]]:
    """What the load pod reports of the engine, and what it says of the download meanwhile."""
    settings = a_plan(url, model, stall)
    rows, _ = read(settings.dataset, chat=False)
    read_end, write_end = os.pipe()
    try:
        report = await verify(settings, parse(url), rows, Speaker(write_end))
        decoder = Decoder()
        heard = [said.message for line in os.read(read_end, 1 << 16).splitlines() if (said := decoder.feed(line))]
    finally:
        os.close(read_end)
        os.close(write_end)
    return report, [m for m in heard if isinstance(m, Progress) and m.stage == "DownloadingModel"]


async def test_a_model_is_pulled_without_tls_and_told_in_bytes(ollama: str, registry: Registry) -> None:
    report, told = await verified(ollama, registry.name(Fault.SLOW))
    name = f"{registry.authority}/slow/tiny:latest"
    assert report.served_model == name, "as Ollama calls it, which is what was asked for a completion"
    assert report.effective["modelRegistry"] == f"http://{registry.authority}, WITHOUT TLS"
    assert report.model_digest
    size = sum(registry.sizes())
    assert report.model_download_seconds is not None
    assert report.model_download_seconds >= size / RATE
    done = [progress.bytes_done or 0 for progress in told]
    assert done == sorted(done)
    assert 0 < done[-1] <= size
    assert len(set(done)) >= 3


async def test_a_connection_that_breaks_is_taken_up_again_by_ollama(ollama: str, registry: Registry) -> None:
    report, _ = await verified(ollama, registry.name(Fault.FLAKY))
    assert report.served_model.startswith(f"{registry.authority}/flaky/tiny")
    ranges = [line for line in registry.asked if "/flaky/" in line and line.endswith(f"-{large(registry) - 1}")]
    assert len(ranges) == 2
    assert not ranges[1].endswith(f"bytes=0-{large(registry) - 1}"), "what had come was not asked for again"


def large(registry: Registry) -> int:
    """Bytes of the model's weights."""
    return max(registry.sizes())


@pytest.mark.parametrize(
    ("fault", "reason", "words"),
    [
        (Fault.MISSING, "ModelNotFound", r"file does not exist\. The registry has no such model or no such tag"),
        (Fault.HOLLOW, "ModelPullFailed", r"file does not exist\. The registry has the model's manifest but not all"),
        (Fault.FAILING, "ModelPullFailed", "pull model manifest: 500: .*refused by the registry"),
        (Fault.DENIED, "ModelAccessDenied", "The registry wants to know who asks"),
        (Fault.CORRUPT, "ModelCorrupt", "digest mismatch, file must be downloaded again: want sha256:.* what stands"),
        (Fault.STALLED, "ModelPullStalled", r"no more byte has come for 3 s .*; [\d,]+ of [\d,]+ bytes had come"),
        (Fault.SILENT, "ModelPullStalled", r"no more byte has come for 3 s .*; 0 of [\d,]+ bytes had come"),
        (PLAIN, "ModelPullFailed", "http: no Location header in response. This version of Ollama wants a registry"),
        # Ollama tries six times, a minute in all.
        (Fault.BROKEN, "ModelPullFailed", "max retries exceeded: unexpected EOF. The connection to the registry broke"),
    ],
)
async def test_a_fault_of_the_registry_is_told(
    fault: str, reason: str, words: str, ollama: str, registry: Registry
) -> None:
    with pytest.raises(GaveUp, match=words) as caught:
        await verified(ollama, registry.name(fault), stall=3 if fault in (Fault.STALLED, Fault.SILENT) else 60)
    assert caught.value.reason == reason
    assert str(caught.value).startswith(f"Ollama cannot pull {registry.authority}/{fault}/tiny: ")


async def test_a_registry_without_tls_wants_that_said(ollama: str, registry: Registry) -> None:
    with pytest.raises(GaveUp, match="The registry speaks no TLS: write http:// before the model's name"):
        await verified(ollama, registry.name(Fault.GOOD).removeprefix("http://"))


async def test_a_registry_that_is_not_reached_is_told(ollama: str) -> None:
    with pytest.raises(GaveUp, match=r"connection refused\. The engine's pod does not reach the registry") as caught:
        await verified(ollama, "http://127.0.0.1:1/team/tiny")
    assert caught.value.reason == "ModelPullFailed"


async def test_a_full_disk_is_told(tmp_path: Path, registry: Registry) -> None:
    """The models folder is a tmpfs of half the model's size, mounted where nobody else sees it."""
    models, program = tmp_path / "models", tmp_path / "ollama"
    models.mkdir()
    size = large(registry) // 2 // 4096 * 4096
    as_root = "" if os.geteuid() == 0 else "--user --map-root-user"
    mount = f'mount -t tmpfs -o size={size} none "$OLLAMA_MODELS" && exec {ensure_ollama_binary()} serve'
    program.write_text(f"#!/bin/sh\nexec {shutil.which('unshare')} {as_root} --mount sh -c '{mount}'\n")
    program.chmod(0o755)
    with (
        serving(program, models, OLLAMA_CONTEXT_LENGTH="512") as url,
        pytest.raises(GaveUp, match=r"no space left on device\. There is no room for it") as caught,
    ):
        await verified(url, registry.name(Fault.GOOD))
    assert caught.value.reason == "ModelCacheFull"
