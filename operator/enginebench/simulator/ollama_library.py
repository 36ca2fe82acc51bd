"""The one model of a simulated Ollama: there, still to be pulled, or being pulled; loaded or not."""

import asyncio
import hashlib
import sys
import time
from collections.abc import Iterator

import msgspec

from enginebench.simulator.http import JSON, LAST_CHUNK, Connection, chunk
from enginebench.simulator.ollama_answers import Document, stamp
from enginebench.simulator.settings import Settings

_TICK_SECONDS = 0.06
"""Between two progress lines of a pull, as the real one."""

_KEEP_ALIVE_NANOSECONDS = 300 * 1_000_000_000
_BATCH_SIZE = 512


def full_name(name: str) -> str:
    """A name with its tag, as Ollama compares it: in lower case, `latest` where it has none."""
    name = name.lower()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


class Library:
    """What /api/tags, /api/ps, /api/show and /api/pull speak of."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._name = full_name(settings.model)
        self._digest = hashlib.sha256(f"simulated {self._name}".encode()).hexdigest()
        self._size = settings.pull_bytes or 1 << 30
        self._modified = time.time_ns()
        self._present = not settings.pull_bytes
        self._pull_began: float | None = None
        self._loaded = False

    def has(self, name: str) -> bool:
        """Whether a model of this name is there."""
        return self._present and full_name(name) == self._name

    def load(self) -> None:
        """Start the runner unless it runs, and say so as Ollama does: the slots in force stand in this line only."""
        if self._loaded:
            return
        self._loaded = True
        settings = self._settings
        sys.stderr.write(
            f'time={stamp(time.time_ns())} level=INFO source=server.go:431 msg="starting llama server" '
            f'cmd="/usr/bin/ollama runner --model /models/blobs/sha256-{self._digest} '
            f"--ctx-size {settings.slots * settings.context_length} --batch-size {_BATCH_SIZE} --n-gpu-layers 33 "
            f'--parallel {settings.slots} --port 0" simulated=true\n'
        )

    def unload(self) -> None:
        """Stop the runner."""
        self._loaded = False

    def tags(self) -> Document:
        """ListResponse."""
        if not self._present:
            return {"models": []}
        return {"models": [{**self._names(), "modified_at": stamp(self._modified), **self._weights()}]}

    def running(self) -> Document:
        """ProcessResponse."""
        if not self._loaded:
            return {"models": []}
        expires = stamp(time.time_ns() + _KEEP_ALIVE_NANOSECONDS)
        return {"models": [{**self._names(), **self._weights(), "expires_at": expires, "size_vram": self._size}]}

    def show(self) -> Document:
        """ShowResponse."""
        return {
            "modelfile": f"# SIMULATED\nFROM {self._name}\n",
            "template": "{{ .Prompt }}",
            "details": _DETAILS,
            "model_info": {"general.architecture": "simulated", "simulated.context_length": 1 << 20},
            "capabilities": ["completion"],
            "modified_at": stamp(self._modified),
        }

    def models(self) -> Document:
        """/v1/models; `data` is null while there is none, as the real one has it."""
        card = {"id": self._name, "object": "model", "created": self._modified // 10**9, "owned_by": "library"}
        return {"object": "list", "data": [card] if self._present else None}

    def pull(self, connection: Connection, name: str, *, stream: bool) -> None:
        """Answer a pull: progress a line each, an error in a line under 200 too."""
        steps = self._pull_steps(name)
        if stream:
            connection.send(connection.head(b"application/x-ndjson"))
        timer: asyncio.TimerHandle | None = None
        loop = asyncio.get_running_loop()

        def go_on() -> None:
            nonlocal timer
            for step in steps:
                if step is None:
                    timer = loop.call_later(_TICK_SECONDS, go_on)
                    return
                if stream:
                    connection.send(chunk(msgspec.json.encode(step) + b"\n"))
                last = step
            if stream:
                connection.send(LAST_CHUNK)
                connection.done()
            else:
                connection.reply(500 if "error" in last else 200, JSON, msgspec.json.encode(last))

        def lost() -> None:
            if timer:
                timer.cancel()

        connection.on_lost = lost
        go_on()

    def _pull_steps(self, name: str) -> Iterator[Document | None]:
        """The lines of a pull; None: wait a tick. What was fetched stays, whoever asked for it."""
        yield {"status": "pulling manifest"}
        if full_name(name) != self._name:
            yield {"error": "pull model manifest: file does not exist"}
            return
        layer = {"status": f"pulling {self._digest[:12]}", "digest": f"sha256:{self._digest}", "total": self._size}
        while not self._present:
            now = time.monotonic()
            began = self._pull_began = now if self._pull_began is None else self._pull_began
            seconds = self._settings.pull_seconds
            share = min(1.0, (now - began) / seconds) if seconds else 1.0
            yield {**layer, "completed": int(share * self._size)}
            if share >= 1:
                break
            yield None
        if self._present:
            yield {**layer, "completed": self._size}
        yield {"status": "verifying sha256 digest"}
        yield {"status": "writing manifest"}
        self._present = True
        yield {"status": "success"}

    def _names(self) -> Document:
        return {"name": self._name, "model": self._name}

    def _weights(self) -> Document:
        return {"size": self._size, "digest": self._digest, "details": _DETAILS}


_DETAILS: Document = {
    "parent_model": "",
    "format": "simulated",
    "family": "simulated",
    "families": ["simulated"],
    "parameter_size": "SIMULATED",
    "quantization_level": "none",
}
