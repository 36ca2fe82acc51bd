"""Ollama downloads a model: asked over its API, followed line by line, told in bytes."""

import asyncio
from collections.abc import Callable
from time import monotonic

import msgspec

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.address import Address
from enginebench.loadgen.errors import in_words
from enginebench.loadgen.events import NdjsonSplitter
from enginebench.loadgen.plain import UNREACHABLE, fetch
from enginebench.loadgen.pull_faults import BROKEN_OFF, STALLED, TOO_SLOW, UNCLEAR, Fault, fault_of
from enginebench.loadgen.routes import error_text

OnBytes = Callable[[int, int | None, str], None]
"""(bytes done, bytes in all where known, what is being done)"""

_DOWNLOADING = "pulling "
"""Of the status while bytes, or the manifest, are awaited; what follows (digests are computed) is silent for long."""


class PullFailed(Exception):  # noqa: N818  # named for what happened
    """The model did not come; the text says why, in the engine's words, and the fault what to do."""

    def __init__(self, text: str, fault: Fault | None = None) -> None:
        super().__init__(text)
        self.fault = fault or fault_of(text)


class _Line(msgspec.Struct, frozen=True):
    status: str = ""
    digest: str = ""
    total: int = 0
    completed: int = 0
    error: object = None


class _Layers:
    """The bytes of all layers together; each line tells of one. An error may come under HTTP 200."""

    def __init__(self, on_bytes: OnBytes, on_sign_of_life: Callable[[bool], None]) -> None:
        """`on_sign_of_life(downloading)`: there are more bytes than ever before, or another thing is being done."""
        self.error = ""
        self.succeeded = False
        self.done = 0
        self.total: int | None = None
        self._on_bytes = on_bytes
        self._on_sign_of_life = on_sign_of_life
        self._layers: dict[str, tuple[int, int]] = {}
        self._most = 0
        self._downloading = True

    def hear(self, text: bytes) -> None:
        try:
            line = msgspec.json.decode(text, type=_Line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self.error = self.error or f"a line is not understood: {text[:80]!r}"
            return
        if line.error is not None:
            self.error = error_text(line.error)
        downloading = line.status.startswith(_DOWNLOADING)
        if line.digest and line.total:
            self._layers[line.digest] = (line.completed, line.total)
        elif line.status and not downloading:  # the last bytes of a layer are not always told
            self._layers = {digest: (total, total) for digest, (_, total) in self._layers.items()}
        self.succeeded = self.succeeded or line.status == "success"
        self.done, total = (sum(each) for each in zip((0, 0), *self._layers.values(), strict=True))
        self.total = total or None
        if self.done > self._most or downloading != self._downloading:  # what a broken connection lost is counted back
            self._most, self._downloading = max(self._most, self.done), downloading
            self._on_sign_of_life(downloading)
        self._on_bytes(self.done, self.total, line.status)

    @property
    def so_far(self) -> str:
        """`12 of 345 bytes`, for people."""
        return f"{self.done:,} of {self.total:,} bytes had come" if self.total else "not one byte had come"


async def pull(address: Address, plan: LoadPlan, on_bytes: OnBytes) -> float:
    """Seconds that it took; PullFailed, or one of UNREACHABLE if the engine went away."""
    began, clock = monotonic(), asyncio.get_running_loop().time
    patience = plan.model_download_stall_seconds
    body: dict[str, object] = {"model": plan.model, "stream": True}
    if plan.pull_without_tls:
        body["insecure"] = True
    try:
        async with asyncio.timeout(patience) as stall:
            layers = _Layers(
                on_bytes, lambda downloading: stall.reschedule(clock() + patience if downloading else None)
            )
            splitter = NdjsonSplitter(layers.hear)
            response = await fetch(
                address, "/api/pull", post=body, timeout=plan.model_download_seconds, stream=splitter.feed
            )
            splitter.finish()
    except TimeoutError:
        if stall.expired():
            raise PullFailed(
                f"no more byte has come for {patience} s (spec.timeouts.modelDownloadStallSeconds); {layers.so_far}",
                STALLED,
            ) from None
        raise PullFailed(
            f"it was not there after {plan.model_download_seconds} s (spec.timeouts.modelDownloadSeconds); "
            f"{layers.so_far}",
            TOO_SLOW,
        ) from None
    except UNREACHABLE as error:
        raise PullFailed(f"the engine broke off: {in_words(error)}", BROKEN_OFF) from error
    if not response.ok:
        raise PullFailed(response.words())
    if layers.error:
        raise PullFailed(layers.error)
    if not layers.succeeded:
        raise PullFailed("the engine ended without a word of success", UNCLEAR)
    return monotonic() - began
