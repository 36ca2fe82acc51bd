"""Samples of GPUs: what they come to, and their course within a budget of bytes."""

import pytest

from enginebench.results import gpu_state
from enginebench.results.engine_metrics import decode
from enginebench.results.gpu_state import GpuSeries
from enginebench.results.point_report import GpuState


def series(name: str, *values: float, gpu: str = "GPU-1", begin: float = 100.0) -> GpuSeries:
    return GpuSeries(f"DCGM_FI_DEV_{name}", gpu, [(begin + n, value) for n, value in enumerate(values)])


def test_a_summary_is_over_all_gpus_and_samples() -> None:
    found = gpu_state.summary(
        [
            series("SM_CLOCK", 1410, 1410, 900, 1410), series("SM_CLOCK", 1410, 1410, 1410, 1410, gpu="GPU-2"),
            series("POWER_USAGE", 250.5, 300.5), series("GPU_TEMP", 60, 86), series("GPU_UTIL", 100, 50),
            series("FB_USED", 30000, 31000), series("CLOCKS_EVENT_REASONS", 0, 4, 0x24, 1),
            series("CLOCK_THROTTLE_REASONS", 0x40, 0x40), series("THERMAL_VIOLATION", 5e9, 5.5e9),
        ]
    )  # fmt: skip
    assert found == GpuState(
        gpus=2, samples=4, sm_clock_mean=1346.25, sm_clock_min=900, power_mean=275.5, power_max=300.5,
        temperature_mean=73, temperature_max=86, utilization_mean=75, memory_used_max=31000, thermal_throttling=0.25,
        power_throttling=0.5, thermal_violation_seconds=0.5,
    )  # fmt: skip


def test_the_older_name_of_the_throttle_reasons_is_known() -> None:
    found = gpu_state.summary([series("CLOCK_THROTTLE_REASONS", 0, 0x40)])
    assert (found.thermal_throttling, found.power_throttling, found.sm_clock_mean) == (0.5, 0.0, None)


@pytest.mark.parametrize("found", [[], [series("SM_CLOCK")], [series("XID_ERRORS", 0)]])
def test_nothing_is_said(found: list[GpuSeries]) -> None:
    assert "has no samples" in gpu_state.summary(found).unobserved


def test_the_course_grows_coarser_until_it_fits() -> None:
    found = [series("SM_CLOCK", *range(1000, 1010)), series("SM_CLOCK", *range(1000, 1010), gpu="GPU-2")]
    fine = decode(gpu_state.fit(found, 100, 110, lambda _: True))
    assert (fine.step_seconds, fine.columns) == (1, {"smClock": list(range(1000, 1010))})
    coarse = decode(gpu_state.fit(found, 100, 110, lambda data: len(decode(data).seconds) < 5))
    assert coarse.step_seconds == 4
    assert coarse.seconds == [4, 8, 10]
    assert coarse.columns == {"smClock": [1001.5, 1005.5, 1008.5]}
    assert gpu_state.fit(found, 100, 110, lambda _: False) == b""
    assert decode(gpu_state.fit([series("GPU_UTIL", 1.0)], 100, 103, lambda _: True)).columns == {
        "utilization": [1.0, None, None]
    }
