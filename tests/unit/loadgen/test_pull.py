"""Pulling a model: bytes over all layers, and every way in which it can fail, in the engine's words."""

import asyncio

import pytest

from enginebench.loadgen.address import parse
from enginebench.loadgen.pull import PullFailed, pull
from tests.unit.loadgen.plans import plan
from tests.unit.loadgen.servers import Asked, Client, Gone, Handler, Server, serving

Told = tuple[int, int | None, str]


def line(text: str) -> bytes:
    return text.encode() + b"\n"


MANIFEST = line('{"status":"pulling manifest"}')
SUCCESS = line('{"status":"success"}')


def layer(name: str, total: int, completed: int) -> bytes:
    return line(f'{{"status":"pulling {name}","digest":"sha256:{name}","total":{total},"completed":{completed}}}')


def saying(*lines: bytes, status: int = 200) -> Handler:
    async def handler(asked: Asked, client: Client) -> None:
        if status != 200:
            await client.reply(b"".join(lines), status)
        else:
            await client.stream(*lines)

    return handler


async def pulled(server: Server, seconds: int = 5) -> tuple[float, list[Told]]:
    told: list[Told] = []
    settings = plan(server.url, api="OllamaChat", model_download_seconds=seconds)
    took = await pull(parse(server.url), settings, lambda *args: told.append(args))
    return took, told


async def test_progress_is_the_sum_over_the_layers() -> None:
    lines = [
        MANIFEST,
        layer("a", 100, 0),
        layer("a", 100, 60),
        layer("b", 30, 10),
        layer("a", 100, 100),
        layer("b", 30, 30),
        line('{"status":"verifying sha256 digest"}'),
        SUCCESS,
    ]
    async with serving(saying(*lines)) as server:
        took, told = await pulled(server)
    assert 0 < took < 5
    assert [(done, total) for done, total, _ in told] == [
        (0, None), (0, 100), (60, 100), (70, 130), (110, 130), (130, 130), (130, 130), (130, 130),
    ]  # fmt: skip
    assert [server.asked[0].method, server.asked[0].path] == ["POST", "/api/pull"]
    assert server.asked[0].json == {"model": "tiny", "stream": True}


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (saying(MANIFEST, line('{"error":"pull model manifest: file does not exist"}')), "file does not exist"),
        (saying(MANIFEST, line('{"error":"max retries exceeded"}'), SUCCESS), "max retries exceeded"),
        (saying(MANIFEST, layer("a", 10, 5)), "the engine ended without a word of success"),
        (saying(), "the engine ended without a word of success"),
        (saying(b"<html>not Ollama</html>\n"), "a line is not understood"),
        (saying(b'{"status":"\xff"}\n'), "a line is not understood"),
        (saying(b'{"error":"invalid model name"}', status=400), "HTTP 400: invalid model name"),
        (saying(b"no such page", status=404), "HTTP 404: no such page"),
    ],
)
async def test_a_failed_pull_is_told_in_the_engine_s_words(handler: Handler, words: str) -> None:
    async with serving(handler) as server:
        with pytest.raises(PullFailed, match=words):
            await pulled(server)


async def test_a_success_without_its_line_end_counts() -> None:
    async with serving(saying(MANIFEST, SUCCESS.strip())) as server:
        _, told = await pulled(server)
    assert told[-1] == (0, None, "success")


async def test_a_pull_that_stalls_ends_with_the_setting_that_ended_it() -> None:
    async def stalling(asked: Asked, client: Client) -> None:
        await client.begin()
        await client.chunk(layer("a", 100, 1))
        await asyncio.sleep(60)

    async with serving(stalling) as server:
        with pytest.raises(PullFailed, match=r"not there after 1 s \(spec\.timeouts\.modelDownloadSeconds\)"):
            await pulled(server, seconds=1)


async def test_a_pull_that_is_broken_off_says_so() -> None:
    async def breaking(asked: Asked, client: Client) -> None:
        await client.begin()
        await client.chunk(layer("a", 100, 99))
        raise Gone

    async with serving(breaking) as server:
        with pytest.raises(PullFailed, match="the engine broke off"):
            await pulled(server)
