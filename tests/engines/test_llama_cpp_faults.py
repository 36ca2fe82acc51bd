"""What goes wrong with llama.cpp's server is told. Nothing is timed."""

import yaml

from tests.engines.test_llama_cpp import EXAMPLE
from tests.support.cluster import Namespace, condition, outcome

BUILT = ("ollama", "llama-cpp")


def test_a_context_beyond_what_the_model_was_trained_for_is_not_in_force(place: Namespace) -> None:
    run = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    del run["spec"]["targets"][1]
    run["metadata"]["name"] = "too-much-context"
    run["spec"]["targets"][0]["llamaCpp"] |= {"parallel": 2, "contextLength": 40_960}  # it was trained for 32,768
    run["spec"]["workload"] |= {"load": {"concurrency": {"levels": [1]}}, "durationSeconds": 3}
    place.apply(run)
    status = place.wait_finished("too-much-context", within=300)
    (one,) = status["targets"]
    said = condition(one, "SettingsInForce")
    assert (said["status"], said["reason"]) == ("False", "SettingsNotInForce")
    assert "contextLength: 40960 asked for, 32768 in force" in said["message"]
    assert [(p["validity"], p["reasons"][0]) for p in status["points"]] == [("Invalid", "SettingsNotInForce")]
    assert outcome(status)["Succeeded"] == "False"


def test_a_model_that_is_not_there_is_told_in_the_engine_s_words(place: Namespace) -> None:
    run = yaml.safe_load(EXAMPLE.read_text("utf-8"))
    del run["spec"]["targets"][1]
    run["metadata"]["name"] = "no-such-file"
    run["spec"]["targets"][0]["llamaCpp"]["model"] = "/models/llama-cpp/large.gguf"
    place.apply(run)
    status = place.wait_finished("no-such-file", within=300)
    (one,) = status["targets"]
    assert one["message"].startswith("EngineExited: "), one["message"]
    assert "/models/llama-cpp/large.gguf" in one["message"]
    assert place.pods("engine") == []
