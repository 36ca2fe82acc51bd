"""What NVIDIA's DCGM exporter says of the engine's GPUs in a window: raw samples to a summary and a series.

The bits of the throttle reasons are NVML's (nvmlClocksEventReasons), which DCGM hands on.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from enginebench.results.engine_metrics import EngineSeries
from enginebench.results.packed import finest
from enginebench.results.point_report import GpuState

NAMES: dict[str, tuple[str, ...]] = {
    "smClock": ("DCGM_FI_DEV_SM_CLOCK",),
    "power": ("DCGM_FI_DEV_POWER_USAGE",),
    "temperature": ("DCGM_FI_DEV_GPU_TEMP",),
    "utilization": ("DCGM_FI_DEV_GPU_UTIL",),
    "memoryUsed": ("DCGM_FI_DEV_FB_USED",),
    "throttleReasons": ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"),
    "thermalViolation": ("DCGM_FI_DEV_THERMAL_VIOLATION",),
}
"""Ours → the exporter's, the newest first: MHz, W, °C, %, MiB, a bit mask, ns that only grow."""
THERMAL = 0x20 | 0x40
"""Software's and hardware's thermal slowdown."""
POWER = 0x04 | 0x80
"""The power limit in software, and the brake of the power supply."""
GAUGES = ("smClock", "power", "temperature", "utilization", "memoryUsed")


@dataclass(frozen=True, slots=True)
class GpuSeries:
    """One metric of one GPU."""

    name: str
    """The exporter's."""
    gpu: str
    """Tells one from another."""
    samples: Sequence[tuple[float, float]]
    """(Unix seconds, value), in order."""


def by_name(found: Sequence[GpuSeries]) -> dict[str, list[GpuSeries]]:
    """Our names → the series of every GPU."""
    names = {series.name for series in found}
    taken = {ours: next((name for name in theirs if name in names), None) for ours, theirs in NAMES.items()}
    return {ours: [s for s in found if s.name == name] for ours, name in taken.items() if name is not None}


def summary(found: Sequence[GpuSeries]) -> GpuState:
    """Over all GPUs and samples."""
    known = by_name(found)
    values = {ours: [value for s in series for _, value in s.samples] for ours, series in known.items()}
    values = {ours: some for ours, some in values.items() if some}
    if not values:
        return GpuState(unobserved="Prometheus has no samples of DCGM's metrics of the engine's GPUs in the window")
    masks = [int(mask) for mask in values.get("throttleReasons", ())]
    return GpuState(
        gpus=len({series.gpu for series in found}),
        samples=max(len(s.samples) for s in found),
        sm_clock_mean=_mean(values, "smClock"),
        sm_clock_min=min(values.get("smClock", ()), default=None),
        power_mean=_mean(values, "power"),
        power_max=max(values.get("power", ()), default=None),
        temperature_mean=_mean(values, "temperature"),
        temperature_max=max(values.get("temperature", ()), default=None),
        utilization_mean=_mean(values, "utilization"),
        memory_used_max=max(values.get("memoryUsed", ()), default=None),
        thermal_throttling=_share(masks, THERMAL),
        power_throttling=_share(masks, POWER),
        thermal_violation_seconds=_grown(known.get("thermalViolation", ())),
    )


def _mean(values: Mapping[str, Sequence[float]], name: str) -> float | None:
    some = values.get(name, ())
    return sum(some) / len(some) if some else None


def _share(masks: Sequence[int], bits: int) -> float | None:
    return sum(bool(mask & bits) for mask in masks) / len(masks) if masks else None


def _grown(series: Sequence[GpuSeries]) -> float | None:
    """The most of any GPU, seconds."""
    grown = [s.samples[-1][1] - s.samples[0][1] for s in series if s.samples]
    return max(0.0, *grown) / 1e9 if grown else None


def fit(found: Sequence[GpuSeries], begin: float, end: float, fits: Callable[[bytes], bool]) -> bytes:
    """Means over the GPUs in steps of 1, 2, 4 … seconds, the finest that `fits`; empty where not even one entry does."""
    known = {ours: series for ours, series in by_name(found).items() if ours in GAUGES}
    if not known:
        return b""
    return finest(lambda step: _series(known, begin, end, step), math.ceil(end - begin), fits)


def _series(known: Mapping[str, Sequence[GpuSeries]], begin: float, end: float, step: int) -> EngineSeries:
    count = max(1, -int(-(end - begin) // step))
    columns: dict[str, list[float | None]] = {}
    for name, series in known.items():
        cells: list[list[float]] = [[] for _ in range(count)]
        for at, value in (sample for s in series for sample in s.samples):
            cells[min(count - 1, max(0, int((at - begin) // step)))].append(value)
        columns[name] = [float(f"{sum(cell) / len(cell):.5g}") if cell else None for cell in cells]
    ends = [min(end - begin, float(step * n)) for n in range(1, count + 1)]
    return EngineSeries(step_seconds=step, seconds=[round(one, 3) for one in ends], columns=columns)
