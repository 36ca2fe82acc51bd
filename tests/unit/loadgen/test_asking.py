"""Verification against the simulated engines, and against servers that answer in odd ways."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen import dataset, verify
from enginebench.loadgen.address import parse
from enginebench.loadgen.asking import ProcessStart
from enginebench.loadgen.errors import GaveUp
from enginebench.loadgen.fetch import fetch
from enginebench.loadgen.routes import ROUTES
from enginebench.loadgen.verify import resolved
from enginebench.results.messages import EngineReport, Progress
from enginebench.simulator.server import serve
from enginebench.simulator.settings import Settings
from tests.unit.loadgen.listener import Log
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.servers import API, Asked, Client, Gone, Handler, one_token, serving


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "log")
    yield log
    log.close()


@asynccontextmanager
async def simulated(dialect: str, **knobs: Any) -> AsyncIterator[str]:
    """URL of a simulated engine of the model `tiny`."""
    quick = {"decode_step": 1_000_000, "decode_step_per_sequence": 0, "prefill_per_token": 0}
    api: Any = "Ollama" if dialect == "ollama" else "vLLM"
    server = await serve(Settings(**{"model": "tiny", "api": api, "host": "127.0.0.1", **quick, **knobs}))
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.close()


async def verified(settings: LoadPlan, log: Log) -> EngineReport:
    rows, _ = dataset.read(settings.dataset, chat=ROUTES[settings.request.api].chat)
    return await verify.verify(settings, parse(settings.url), rows, log.speaker)


async def refused(settings: LoadPlan, log: Log) -> tuple[str, str]:
    """Reason and message of the failure."""
    with pytest.raises(GaveUp) as failure:
        await verified(settings, log)
    return failure.value.reason, str(failure.value)


# Against the simulated engines


@pytest.mark.parametrize("api", ["ChatCompletions", "Completions"])
async def test_vllm_serves_the_model(api: str, log: Log) -> None:
    async with simulated("vllm") as url:
        report = await verified(plan(url, api=api), log)
    assert report.served_model == "tiny"
    assert report.version == "0.0.0-simulated"
    assert report.effective == {
        "maxModelLen": 8192,
        "kvCacheBlocks": 32 * 512,
        "kvCacheTokens": 32 * 8192,
        "blockSize": 16,
        "kvCacheDtype": "auto",
        "prefixCaching": False,
        "gpuMemoryUtilization": 0.9,
    }
    assert report.model_download_seconds is None
    assert [m.stage for m in log.heard() if isinstance(m, Progress)] == ["Waiting", "Verifying"]


@pytest.mark.parametrize(
    ("path", "digest"),
    [
        (f"/models/models--org--tiny/snapshots/{'e' * 40}/tiny.gguf", f"commit:{'e' * 40}"),
        ("/models/tiny.gguf", ""),
    ],
)
async def test_llama_cpp_tells_its_slots_their_context_and_its_model(path: str, digest: str, log: Log) -> None:
    """As b11549 answers, shortened; the wheel that we build with was compiled without its number."""

    async def llama_cpp(asked: Asked, client: Client) -> None:
        meta = {"n_vocab": 1024, "n_params": 16_000_000, "size": 32_000_000}
        if asked.path == "/props":
            props = {"default_generation_settings": {"params": {"top_k": 40}, "n_ctx": 512}, "total_slots": 4}
            props |= {"model_path": path}
            await client.reply(msgspec.json.encode({**props, "model_ftype": "F16", "build_info": "b0-unknown"}))
        elif asked.path == "/v1/models":
            await client.reply(
                msgspec.json.encode({"models": [{"name": "tiny"}], "data": [{"id": "tiny", "meta": meta}]})
            )
        else:
            await completing(asked, client)

    async with serving(llama_cpp) as server:
        report = await verified(plan(server.url, api=API, dialect="llamacpp"), log)
    assert (report.version, report.served_model, report.model_digest) == ("b0-unknown", "tiny", digest)
    assert report.effective == {
        "numParallel": 4,
        "contextLength": 512,
        "quantization": "F16",
        "modelParameters": 16_000_000,
        "modelBytes": 32_000_000,
    }


@pytest.mark.parametrize("api", list(ROUTES))
async def test_ollama_serves_the_model_by_its_full_name(api: str, log: Log) -> None:
    async with simulated("ollama", slots=4) as url:
        report = await verified(plan(url, api=api, dialect="ollama", slots=4), log)
    assert report.served_model == "tiny:latest"
    assert len(report.model_digest) == 64
    assert report.effective["sizeBytes"] == report.effective["sizeVramBytes"] == 1 << 30
    assert report.effective["requestsAtOnce"] == 4
    assert report.effective["requestsProbed"] == 5


async def test_ollama_pulls_what_is_not_there_and_tells_how_long_it_took(log: Log) -> None:
    async with simulated("ollama", pull_bytes=5_000_000, pull_seconds=0.2) as url:
        report = await verified(plan(url, api="OllamaChat", pull_model=True), log)
        again = await verified(plan(url, api="OllamaChat", pull_model=True), log)
    assert report.model_download_seconds is not None
    assert 0.1 < report.model_download_seconds < 5
    assert "DownloadingModel" in [m.stage for m in log.heard() if isinstance(m, Progress)]
    assert again.model_download_seconds is None


async def test_a_fetch_by_ollama_tells_what_came(log: Log) -> None:
    async with simulated("ollama", pull_bytes=5_000_000, pull_seconds=0.2) as url:
        settings = plan(url, api="OllamaChat", pull_model=True)
        came, again = [await fetch(settings, parse(url), log.speaker) for _ in range(2)]
    assert (came.bytes, again.bytes, again.seconds) == (5_000_000, None, 0.0)
    assert len(came.digest) == 64
    assert came.digest == again.digest


@pytest.mark.parametrize(
    ("dialect", "api", "model", "reason", "listed"),
    [
        ("vllm", "Completions", "other", "WrongModel", "it serves tiny."),
        ("vllm", "Completions", "tin", "WrongModel", "it serves tiny."),
        ("openai", "Completions", "tin", "WrongModel", "it serves tiny."),
        ("ollama", "OllamaChat", "other", "ModelNotFound", "it serves tiny:latest."),
        ("ollama", "OllamaChat", "tiny:1b", "ModelNotFound", "it serves tiny:latest."),
    ],
)
async def test_another_model_is_refused_with_what_is_served(
    dialect: str, api: str, model: str, reason: str, listed: str, log: Log
) -> None:
    async with simulated(dialect) as url:
        said = await refused(plan(url, api=api, dialect=dialect, model=model), log)
    assert said[0] == reason
    assert f"does not serve {model}; {listed}" in said[1]


async def test_process_start_is_told_where_there_are_metrics() -> None:
    async with simulated("vllm") as url:
        started = ProcessStart(parse(url))
        first = await started()
        assert first is not None
        assert first > 1e9
        assert await started() == first
    assert await started() is None  # nobody answers
    async with simulated("ollama") as url:
        assert await ProcessStart(parse(url))() is None


# Against servers that fail


def engine(completion: Handler, **pages: bytes) -> Handler:
    """Lists `tiny`; a completion is what the test says."""
    answers = {"/v1/models": b'{"data":[{"id":"tiny"}]}', "/version": b'{"version":"1"}'}
    answers |= {f"/{name}": page for name, page in pages.items()}

    async def handler(asked: Asked, client: Client) -> None:
        if asked.path in answers:
            await client.reply(answers[asked.path])
        else:
            await completion(asked, client)

    return handler


async def completing(asked: Asked, client: Client) -> None:
    await client.stream(one_token().replace(b'"m"', b'"tiny"'))


@pytest.mark.parametrize("status", [401, 403])
async def test_an_engine_that_wants_a_token_is_given_up_at_once(status: int, log: Log) -> None:
    async def closed(asked: Asked, client: Client) -> None:
        await client.reply(b'{"error":"Unauthorized"}', status)

    async with serving(closed) as server:
        reason, message = await refused(plan(server.url, startup_seconds=60), log)
    assert reason == "Unauthorized"
    assert (
        f"refuses us: GET /v1/models: HTTP {status}: Unauthorized. If it wants a bearer token, name the Secret"
        in message
    )


async def test_an_engine_that_comes_late_is_waited_for(log: Log) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    loading = 3

    async def slow(asked: Asked, client: Client) -> None:
        nonlocal loading
        loading -= 1
        if loading >= 0:
            await client.reply(b'{"error":"loading the model"}', 503)
        else:
            await engine(completing)(asked, client)

    waiting = asyncio.create_task(verified(plan(f"http://127.0.0.1:{port}", api=API), log))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    async with serving(slow, port):
        report = await waiting
    assert report.served_model == "tiny"


async def test_what_never_lists_models_is_not_ready(log: Log) -> None:
    async with serving(engine(completing, **{"v1/models": b'{"data":"\xff"}'})) as server:
        reason, message = await refused(plan(server.url, api=API, startup_seconds=1), log)
    assert reason == "EngineNotReady"
    assert "did not list its models within 1 s: not JSON" in message


@pytest.mark.parametrize("page", [b'{"data":null}', b'{"data":[]}', b"{}", b'{"data":[{"name":"x"},7]}'])
async def test_an_engine_without_a_model_serves_none(page: bytes, log: Log) -> None:
    async with serving(engine(completing, **{"v1/models": page})) as server:
        reason, message = await refused(plan(server.url, api=API), log)
    assert reason == "WrongModel"
    assert "it serves no model at all" in message


async def test_an_engine_that_dies_after_its_completion_is_not_verified(log: Log) -> None:
    async def last(asked: Asked, client: Client) -> None:
        if asked.path == "/version":
            raise Gone
        await engine(completing)(asked, client)

    async with serving(last) as server:
        reason, message = await refused(plan(server.url, api=API), log)
    assert reason == "VerificationFailed"
    assert "The engine answered, and then did not any more" in message


@pytest.mark.parametrize("page", [b"<html>a page for everything</html>", b"[]", b"{}"])
async def test_a_version_is_not_necessary(page: bytes, log: Log) -> None:
    async with serving(engine(completing, version=page)) as server:
        report = await verified(plan(server.url, api=API), log)
    assert report.version == ""


async def test_verification_asks_for_few_tokens_and_says_nothing_of_the_load_s_prompts(log: Log) -> None:
    async with serving(engine(completing)) as server:
        await verified(plan(server.url, api=API), log)
    [asked] = [asked for asked in server.asked if asked.method == "POST"]
    assert asked.json["max_tokens"] == 8
    assert asked.json["stream"] is True
    assert msgspec.json.decode(asked.body)["model"] == "tiny"


# Where it is


async def test_of_a_name_s_addresses_the_one_that_answers_is_taken() -> None:
    async with serving(completing) as server:
        family, where, _, _ = await resolved(parse(f"http://localhost:{server.port}"))
        assert family == socket.AF_INET
        assert where[:2] == ("127.0.0.1", server.port)


async def test_a_name_that_nobody_answers_for_has_its_first_address() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        _, where, _, _ = await resolved(parse(f"http://localhost:{reserved.getsockname()[1]}"))
    assert where[0] in ("127.0.0.1", "::1")
