"""Loads other than users, on a simulated engine: a request rate that it can and one that it cannot take, all that it
takes, and a sweep."""

from itertools import pairwise

import pytest
import yaml

from tests.cluster.test_runs import EXAMPLES
from tests.support.cluster import SUCCESS, Namespace, outcome
from tests.support.runs import benchmark, simulated


def test_request_rates(namespace: Namespace) -> None:
    """About 40 requests a second are the most that this engine answers: 4 slots of 0.1 s each."""
    load = {"requestRate": {"rates": ["10", "80"], "arrival": "Constant"}}
    engine = simulated(slots=4, decodeStepMicroseconds=6000, decodeStepMicrosecondsPerSequence=0, maxQueue=10000)
    status = namespace.measure(benchmark("rates", engine, seconds=10, workload={"load": load}), within=180)
    assert outcome(status) == SUCCESS
    calm, flooded = status["points"]
    assert (calm["load"], flooded["load"]) == ({"requestRate": 10}, {"requestRate": 80})
    assert calm["requestsPerSecond"] == pytest.approx(10, rel=0.1)
    assert "Overloaded" not in calm.get("reasons", [])
    assert flooded["requestsPerSecond"] < 60
    assert "Overloaded" in flooded["reasons"], flooded
    assert flooded["ttftMilliseconds"]["p50"] > 10 * calm["ttftMilliseconds"]["p50"]
    assert "at 80 requests/s" in status["summary"]["text"]


def test_as_much_as_an_engine_takes(namespace: Namespace) -> None:
    """About 40 requests a second: 4 slots of 0.1 s each."""
    load = {"throughput": {"maxConcurrency": 16}}
    engine = simulated(
        slots=4, prefillMicrosecondsPerToken=100, decodeStepMicroseconds=6000, decodeStepMicrosecondsPerSequence=0
    )
    status = namespace.measure(benchmark("all", engine, seconds=5, workload={"load": load}))
    assert outcome(status) == SUCCESS
    [point] = status["points"]
    assert point["load"] == {"concurrency": 16, "throughput": True}
    assert 25 < point["requestsPerSecond"] < 45
    assert point["ttftMilliseconds"]["p50"] > 2 * 1000 * 16 * 0.006, "three wait for each slot"


def test_a_sweep_closes_in_on_the_slots_of_an_engine(namespace: Namespace) -> None:
    run = yaml.safe_load((EXAMPLES / "sweep.yaml").read_text())
    run["spec"]["workload"] |= {"rampSeconds": 0, "durationSeconds": 6}  # an answer takes 0.3 s
    status = namespace.measure(run, within=360)
    assert outcome(status) == SUCCESS
    levels = [point["load"]["concurrency"] for point in status["points"]]
    assert levels[:3] == [1, 256, 16]
    assert len(set(levels)) == 8
    slots = run["spec"]["targets"][0]["simulated"]["slots"]
    nearest = min(high / low for low, high in pairwise(sorted(levels)) if low <= slots <= high)
    assert nearest < 2.1
    assert status["targets"][0]["peak"]["concurrency"] in range(slots // 2, 3 * slots)
    output = {point["load"]["concurrency"]: point["outputTokensPerSecond"] for point in status["points"]}
    peak = output[status["targets"][0]["peak"]["concurrency"]]
    full, half = min(n for n in levels if n >= slots), max(n for n in levels if n <= slots // 2)
    assert output[full] > 0.85 * peak, "more users than slots bring next to nothing"
    assert output[half] < 0.75 * peak, "fewer leave slots empty"


def test_loads_above_saturation_are_skipped(namespace: Namespace) -> None:
    """4 slots: from 8 users on the output stays the same, and only the wait for a slot grows."""
    load = {"concurrency": {"levels": [4, 8, 16, 64, 128]}}
    engine = simulated(slots=4, prefillMicrosecondsPerToken=100, decodeStepMicrosecondsPerSequence=0)
    workload = {"load": load, "stopWhen": {"saturated": True, "errorRatePercent": 50}}
    status = namespace.measure(benchmark("stops", engine, seconds=10, workload=workload), within=240)
    assert outcome(status) == SUCCESS
    assert [point["load"]["concurrency"] for point in status["points"]] == load["concurrency"]["levels"]
    skipped = [point for point in status["points"] if point["validity"] == "Skipped"]
    assert [point["load"]["concurrency"] for point in skipped] in ([64, 128], [128]), status["points"]
    assert all(point["reasons"] == ["StoppedSaturated"] and "requests" not in point for point in skipped)
    assert "skipped" in status["targets"][0]["message"]
    assert status["progress"]["percent"] == 100
