"""A simulated engine that listens."""

import asyncio
import ssl

from enginebench.simulator.engine import Engine
from enginebench.simulator.http import Connection
from enginebench.simulator.ollama import Ollama
from enginebench.simulator.settings import Settings
from enginebench.simulator.vllm import Vllm

_BACKLOG = 4096


class Server:
    """Made by `serve`."""

    def __init__(self, engine: Engine, listening: asyncio.Server) -> None:
        self.engine = engine
        self.port: int = listening.sockets[0].getsockname()[1]
        self._listening = listening

    def close(self) -> None:
        """Take no more connections, and send no more tokens."""
        self._listening.close()
        self.engine.close()


async def serve(settings: Settings) -> Server:
    """Listen on the running loop; OSError where the port is taken or a certificate cannot be read."""
    loop = asyncio.get_running_loop()
    engine = Engine(settings, loop)
    application = (Vllm if settings.api == "vLLM" else Ollama)(settings, engine)
    tls = None
    if settings.ssl_certfile:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile or None)
    listening = await loop.create_server(
        lambda: Connection(application), settings.host, settings.port, backlog=_BACKLOG, ssl=tls
    )
    return Server(engine, listening)
