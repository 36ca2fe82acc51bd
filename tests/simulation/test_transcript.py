"""The golden transcript: what the operator creates and deletes in a calm run of two targets, in this order."""

from enginebench.cluster import labels
from tests.simulation.apiserver import Call
from tests.simulation.scenario import DATASET, calm_scenario
from tests.simulation.simulate import play

GOLDEN = """
create plan of the run
create load of the run
delete load of the run
delete plan of the run
create service of one-sim
create plan of one-sim
create engine of one-sim
create load of one-sim
create data of one-sim: point 0
create data of one-sim: point 1
delete load of one-sim
delete engine of one-sim
delete service of one-sim
delete plan of one-sim
create service of two
create plan of two
create engine of two
create load of two
create data of two: point 0
create data of two: point 1
delete load of two
delete engine of two
delete service of two
delete plan of two
"""

EVENTS = """
EngineStarting
EngineVerified
EngineStarting
TargetSucceeded
EngineVerified
TargetSucceeded
Finished
"""


def test_a_calm_run() -> None:
    scenario = calm_scenario(
        targets=[
            {"name": "one-sim", "simulated": {"api": "vLLM", "model": "tiny"}},
            {"name": "two", "vllm": {"model": "org/tiny"}},
        ],
        dataset={"configMap": {"name": DATASET, "key": "prompts.jsonl"}},
        levels=[1, 8],
    )
    result = play(scenario)
    assert result.violations == []
    calls = [call for call in result.world.transcript.calls if call.verb in ("create", "delete")]
    children = {call.name: told for call in calls if call.kind != "Event" and (told := _child(call))}
    assert [f"{c.verb} {children[c.name]}" for c in calls if c.name in children] == GOLDEN.strip().splitlines()
    events = [call.body["reason"] for call in calls if call.kind == "Event" and call.body is not None]
    assert sorted(events) == sorted(EVENTS.split())
    assert events[-1] == "Finished"


def _child(call: Call) -> str:
    marks = (call.body or {}).get("metadata", {}).get("labels")
    if not marks:
        return ""
    point = f": point {marks[labels.POINT]}" if labels.POINT in marks else ""
    return f"{marks[labels.ROLE]} of {marks[labels.TARGET] or 'the run'}{point}"
