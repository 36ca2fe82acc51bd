"""Pulling a model: bytes over all layers, and every way in which it can fail, in the engine's words."""

import asyncio
from typing import Any

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


async def pulled(server: Server, **changes: Any) -> tuple[float, list[Told]]:
    told: list[Told] = []
    settings = plan(server.url, api="OllamaChat", **changes)
    took = await pull(parse(server.url), settings, lambda *args: told.append(args))
    return took, told


async def test_progress_is_the_sum_over_the_layers() -> None:
    lines = [
        MANIFEST,
        layer("a", 100, 0),
        layer("a", 100, 60),
        layer("b", 30, 10),
        layer("a", 100, 100),
        layer("b", 30, 20),
        line('{"status":"verifying sha256 digest"}'),
        SUCCESS,
    ]
    async with serving(saying(*lines)) as server:
        took, told = await pulled(server)
    assert 0 < took < 5
    assert [(done, total) for done, total, _ in told] == [
        (0, None), (0, 100), (60, 100), (70, 130), (110, 130), (120, 130), (130, 130), (130, 130),
    ]  # fmt: skip
    assert [server.asked[0].method, server.asked[0].path] == ["POST", "/api/pull"]
    assert server.asked[0].json == {"model": "tiny", "stream": True}


async def test_a_registry_without_tls_is_asked_for_in_so_many_words() -> None:
    async with serving(saying(MANIFEST, SUCCESS)) as server:
        await pulled(server, pull_without_tls=True)
    assert server.asked[0].json == {"model": "tiny", "stream": True, "insecure": True}


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


def dripping(*texts: bytes, every: float = 0.1) -> Handler:
    """A line at a time, the last one again and again."""

    async def handler(asked: Asked, client: Client) -> None:
        await client.begin()
        for text in texts:
            await client.chunk(text)
            await asyncio.sleep(every)
        while True:
            await client.chunk(texts[-1])
            await asyncio.sleep(every)

    return handler


async def test_a_pull_that_takes_too_long_ends_with_the_setting_that_ended_it() -> None:
    async with serving(dripping(*(layer("a", 100, done) for done in range(100)))) as server:
        words = r"not there after 1 s \(spec\.timeouts\.modelDownloadSeconds\); \d+ of 100 bytes had come"
        with pytest.raises(PullFailed, match=words) as caught:
            await pulled(server, model_download_seconds=1)
    assert caught.value.fault.reason == "ModelPullTimeout"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([MANIFEST], "not one byte had come"),
        ([layer("a", 1000, 500)], "500 of 1,000 bytes had come"),
        # What a broken connection brought is counted back: the same bytes once more are no progress.
        ([layer("a", 1000, 500), *(layer("a", 1000, done) for done in (100, 200, 400, 500))], "500 of 1,000 bytes"),
    ],
)
async def test_a_pull_of_which_no_more_byte_comes_is_given_up_however_much_the_engine_says(
    lines: list[bytes], words: str
) -> None:
    async with serving(dripping(*lines)) as server:
        told = rf"no more byte has come for 1 s \(spec\.timeouts\.modelDownloadStallSeconds\); {words}"
        with pytest.raises(PullFailed, match=told) as caught:
            await pulled(server, model_download_stall_seconds=1)
    assert caught.value.fault.reason == "ModelPullStalled"


async def test_only_bytes_are_waited_for_so_briefly_and_not_the_digest_of_a_large_file() -> None:
    async def handler(asked: Asked, client: Client) -> None:
        await client.begin()
        for text in (layer("a", 100, 90), line('{"status":"verifying sha256 digest"}')):
            await client.chunk(text)
        await asyncio.sleep(1.5)
        await client.chunk(SUCCESS)
        await client.chunk(b"")

    async with serving(handler) as server:
        _, told = await pulled(server, model_download_stall_seconds=1)
    assert told[-1] == (100, 100, "success")


async def test_a_pull_that_is_broken_off_says_so() -> None:
    async def breaking(asked: Asked, client: Client) -> None:
        await client.begin()
        await client.chunk(layer("a", 100, 99))
        raise Gone

    async with serving(breaking) as server:
        with pytest.raises(PullFailed, match="the engine broke off"):
            await pulled(server)
