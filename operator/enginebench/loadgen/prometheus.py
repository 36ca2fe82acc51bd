"""Asks a Prometheus for the metrics of the engine's GPUs: its HTTP API, version 1.

https://prometheus.io/docs/prometheus/latest/querying/api/ (instant queries, range vectors)
"""

import math
import os
from urllib.parse import quote

import msgspec

from enginebench.api.loadplan import LoadPlan
from enginebench.loadgen.access import reached
from enginebench.loadgen.address import Address
from enginebench.loadgen.errors import in_words
from enginebench.loadgen.http import ProtocolError
from enginebench.loadgen.plain import UNREACHABLE, fetch
from enginebench.results.gpu_state import NAMES, GpuSeries

TIMEOUT_SECONDS = 10.0
POD_LABELS = ("exported_pod", "pod")
"""Who uses a GPU, as the exporter says it. Prometheus puts `exported_` before it where the scraped pod's own name takes
the label, unless the scrape honours labels."""
_GPU_LABELS = ("UUID", "GPU_I_ID", "gpu", "Hostname")


class _Result(msgspec.Struct):
    metric: dict[str, str]
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    result: list[_Result] = []


class _Answer(msgspec.Struct):
    status: str
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""


async def gpu_series(plan: LoadPlan, begin: float, end: float) -> list[GpuSeries] | str | None:
    """The samples between two moments, Unix seconds, of the GPUs of the plan's engine pod; or why there are none. None
    where the plan names no Prometheus."""
    if plan.prometheus is None:
        return None
    if not plan.engine_pod:
        return "the engine is not ours: its pod is not known"
    try:
        address = reached(plan.prometheus.url, plan.prometheus.access, os.environ)
    except ValueError as error:
        return f"Prometheus cannot be asked: {error}"
    names = "|".join(name for theirs in NAMES.values() for name in theirs)
    try:
        for label in POD_LABELS:
            selector = f'{{__name__=~"{names}",{label}="{plan.engine_pod}"}}[{max(1, math.ceil(end - begin))}s]'
            if found := await _asked(address, selector, end):
                return found
    except UNREACHABLE as error:
        return f"Prometheus cannot be asked: {in_words(error)}"
    return f"Prometheus has none of DCGM's metrics of pod {plan.engine_pod}"


async def _asked(address: Address, selector: str, at: float) -> list[GpuSeries]:
    path = f"/api/v1/query?query={quote(selector, safe='')}&time={at:.3f}"
    response = await fetch(address, path, timeout=TIMEOUT_SECONDS)
    if not response.ok:
        raise ProtocolError(response.words())
    try:
        answer = msgspec.json.decode(bytes(response.body), type=_Answer)
        return [_series(result) for result in answer.data.result]
    except (msgspec.MsgspecError, ValueError) as error:
        raise ProtocolError(f"not an answer of Prometheus: {bytes(response.body[:80])!r}") from error


def _series(result: _Result) -> GpuSeries:
    samples = [(at, float(value)) for at, value in result.values]
    return GpuSeries(
        name=result.metric.get("__name__", ""),
        gpu=" ".join(result.metric.get(label, "") for label in _GPU_LABELS),
        samples=[(at, value) for at, value in samples if math.isfinite(value)],
    )
