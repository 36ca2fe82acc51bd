"""`python -m enginebench simulate`: runs one simulated engine until it is told to stop."""

import asyncio
import gc
import signal
import sys
from collections.abc import Sequence

import uvloop

from enginebench.simulator.server import serve
from enginebench.simulator.settings import Settings, parse


def main(argv: Sequence[str]) -> int:
    """Run until SIGTERM or SIGINT; 0, or 1 where the port cannot be had."""
    settings = parse(argv)
    try:
        uvloop.run(_run(settings))
    except OSError as error:
        certificate = " or another certificate with --ssl-certfile" if settings.ssl_certfile else ""
        sys.stderr.write(f"cannot listen on port {settings.port}: {error}; choose another with --port{certificate}\n")
        return 1
    return 0


async def _run(settings: Settings) -> None:
    server = await serve(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    gc.freeze()  # what is there now stays: a collection need not look at it again
    sys.stderr.write(
        f"SIMULATED {settings.api} engine: model {settings.model}, {settings.slots} slots, port {server.port}\n"
    )
    await stop.wait()
    server.close()
