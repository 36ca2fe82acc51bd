"""llama.cpp's server beside Ollama, on the same weights: the engine that docs/adding-an-engine.md adds.

`make llama-cpp ollama` has built both and put them and the tiny model on the worker.
"""

import pytest
import yaml

from images.llama_cpp.build import IMAGE
from tests.cluster.conftest import ROOT
from tests.engines.conftest import show
from tests.support.cluster import SUCCESS, Namespace, condition, outcome

BUILT = ("ollama", "llama-cpp")
EXAMPLE = ROOT / "examples" / "llama-cpp-vs-ollama-cpu.yaml"
LEVELS = (1, 4, 16)
SLOTS, CONTEXT = 8, 512
SECONDS = 6
"""A load point: llama.cpp's own metrics are looked at every 5 s, so once beside its two ends."""


def test_llama_cpp_against_ollama_on_the_cpu(place: Namespace, request: pytest.FixtureRequest) -> None:
    run = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    run["spec"]["workload"]["durationSeconds"] = SECONDS
    status = place.measure(run, wait=lambda name: place.wait_finished(name, within=600))
    show(request.config, "llama.cpp and Ollama on the CPU, a tiny model", status)
    assert outcome(status) == SUCCESS, status["message"]
    assert condition(status, "Comparable")["status"] == "True", condition(status, "Comparable")
    points = {(p["target"], p["load"]["concurrency"]): p for p in status["points"]}
    assert set(points) == {(target, users) for target in ("llama-cpp", "ollama-8") for users in LEVELS}
    for point in points.values():
        assert point["validity"] in ("Valid", "Limited"), point
        assert point["requests"]["errored"] == 0
        assert point["ttftMilliseconds"]["p50"] > 0
        assert point["itlMilliseconds"]["p50"] > 0
    one, _ = status["targets"]
    engine = one["engine"]
    assert engine["imageID"].startswith(f"{IMAGE.rpartition(':')[0]}@sha256:")
    assert engine["servedModel"] == "/models/llama-cpp/tiny-deep.gguf"
    assert (engine["effective"]["numParallel"], engine["effective"]["contextLength"]) == (SLOTS, CONTEXT)
    assert engine["effective"]["quantization"] == "F16"
    assert engine["effective"]["modelBytes"] >= 2 * engine["effective"]["modelParameters"] > 20_000_000
    assert condition(one, "SettingsInForce")["status"] == "True", one["conditions"]
    told = points["llama-cpp", 16]["engine"]
    assert told["runningMax"] == pytest.approx(SLOTS, abs=0.5), told


def test_users_beyond_its_slots_wait_by_its_own_counts(place: Namespace) -> None:
    """Looked at nine times: where a slot has just become free, its user's next request is on its way, and does not wait."""
    run = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    run["metadata"]["name"] = "beyond-its-slots"
    run["spec"]["targets"] = run["spec"]["targets"][:1]
    run["spec"]["workload"] |= {"load": {"concurrency": {"levels": [16]}}, "durationSeconds": 40}
    status = place.measure(run, within=300)
    assert outcome(status) == SUCCESS, status["message"]
    [point] = status["points"]
    told = point["engine"]
    assert told["runningMax"] == pytest.approx(SLOTS, abs=0.5), told
    assert told["waitingMax"] == pytest.approx(16 - SLOTS, abs=0.5), told
