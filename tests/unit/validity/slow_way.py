"""A way to the engine that spoils the times: what it does to the bytes of answers, the engine does not see."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

READ_BYTES = 65536


@contextmanager
def slow_way(url: str, *, delay: float = 0.0, gather: float = 0.0) -> Iterator[str]:
    """The URL of a proxy: bytes of answers come `delay` seconds later, or are held back and come together, once
    nothing more has come for `gather` seconds."""
    loop, there = asyncio.new_event_loop(), urlsplit(url)
    tasks: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        engine_reader, engine_writer = await asyncio.open_connection(there.hostname, there.port)
        writers.update((writer, engine_writer))

        async def forth() -> None:
            while data := await reader.read(READ_BYTES):
                engine_writer.write(data)
            engine_writer.close()

        async def back() -> None:
            while data := await _gathered(engine_reader, gather):
                loop.call_later(delay, writer.write, data)
            await asyncio.sleep(delay + 0.01)  # what was written last goes first
            writer.close()

        for way in (forth(), back()):
            task = loop.create_task(way)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    server = loop.run_until_complete(asyncio.start_server(carry, "127.0.0.1", 0, backlog=512))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in tuple(tasks):
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks))
        for writer in writers:
            writer.transport.abort()
        loop.run_until_complete(asyncio.sleep(0.01))  # they are closed by then
        loop.close()


async def _gathered(reader: asyncio.StreamReader, seconds: float) -> bytes:
    data = await reader.read(READ_BYTES)
    while data and seconds:
        try:
            async with asyncio.timeout(seconds):
                more = await reader.read(READ_BYTES)
        except TimeoutError:
            break
        if not more:
            break
        data += more
    return data
