"""Ollama downloads a model: asked over its API, followed line by line, told in bytes."""

from collections.abc import Callable
from time import monotonic

import msgspec

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.address import Address
from enginebench.loadgen.errors import in_words
from enginebench.loadgen.events import NdjsonSplitter
from enginebench.loadgen.plain import UNREACHABLE, fetch
from enginebench.loadgen.routes import error_text

OnBytes = Callable[[int, int | None, str], None]
"""(bytes done, bytes in all where known, what is being done)"""


class PullFailed(Exception):  # noqa: N818  # named for what happened
    """The model did not come; the text says why, in the engine's words."""


class _Line(msgspec.Struct, frozen=True):
    status: str = ""
    digest: str = ""
    total: int = 0
    completed: int = 0
    error: object = None


class _Layers:
    """The bytes of all layers together; each line tells of one. An error may come under HTTP 200."""

    def __init__(self, on_bytes: OnBytes) -> None:
        self.error = ""
        self.succeeded = False
        self._on_bytes = on_bytes
        self._layers: dict[str, tuple[int, int]] = {}

    def hear(self, text: bytes) -> None:
        try:
            line = msgspec.json.decode(text, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.error = self.error or f"a line is not understood: {text[:80]!r}"
            return
        if line.error is not None:
            self.error = error_text(line.error)
        if line.digest and line.total:
            self._layers[line.digest] = (line.completed, line.total)
        self.succeeded = self.succeeded or line.status == "success"
        done, total = (sum(each) for each in zip((0, 0), *self._layers.values(), strict=True))
        self._on_bytes(done, total or None, line.status)


async def pull(address: Address, plan: LoadPlan, on_bytes: OnBytes) -> float:
    """Seconds that it took; PullFailed, or one of UNREACHABLE if the engine went away."""
    began, layers = monotonic(), _Layers(on_bytes)
    splitter = NdjsonSplitter(layers.hear)
    try:
        response = await fetch(
            address,
            "/api/pull",
            post={"model": plan.model, "stream": True},
            timeout=plan.model_download_seconds,
            stream=splitter.feed,
        )
    except TimeoutError:
        raise PullFailed(
            f"it was not there after {plan.model_download_seconds} s (spec.timeouts.modelDownloadSeconds)"
        ) from None
    except UNREACHABLE as error:
        raise PullFailed(f"the engine broke off: {in_words(error)}") from error
    splitter.finish()
    if not response.ok:
        raise PullFailed(response.words())
    if layers.error or not layers.succeeded:
        raise PullFailed(layers.error or "the engine ended without a word of success")
    return monotonic() - began
