"""Something goes wrong at every single call of one run: before it is carried out, and after."""

from dataclasses import replace

import pytest

from tests.simulation.faults.calls import AtCall, NoAnswer, OperatorCrash, SomebodyWrites
from tests.simulation.scenario import DATASET, Obj, Scenario, calm_scenario
from tests.simulation.simulate import play
from tests.simulation.test_runs import hold


def scenario(repeats: Obj | None = None) -> Scenario:
    """Two targets, two points, a data set to check first: every kind of call there is."""
    return calm_scenario(
        targets=[
            {"name": "first-sim", "simulated": {"api": "Ollama", "model": "tiny"}},
            {"name": "second", "ollama": {"model": "tiny"}},
        ],
        dataset={"configMap": {"name": DATASET, "key": "prompts.jsonl"}},
        levels=[1, 4],
        repeats=repeats,
    )


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("fault", "stride"), [(OperatorCrash, 1), (NoAnswer, 3), (SomebodyWrites, 3)])
def test_a_fault_at_every_call(fault: type[AtCall], stride: int, carried_out: bool) -> None:
    quiet = play(scenario())
    hold(quiet)
    for call in range(1, quiet.world.cluster.api.calls + 1, stride):
        result = play(scenario().with_faults(fault(call=call, carried_out=carried_out)))
        hold(result)
        run = result.world.ended
        assert run is not None, f"{fault.__name__} at call {call}"
        assert run["status"]["phase"] == "Completed", f"{fault.__name__} at call {call}"
        assert all(len(target["attempts"]) == 1 for target in run["status"]["targets"]), f"at call {call}"


@pytest.mark.parametrize(("fault", "stride"), [(OperatorCrash, 3), (NoAnswer, 7), (SomebodyWrites, 7)])
def test_a_fault_at_every_call_of_a_repeated_run(fault: type[AtCall], stride: int) -> None:
    repeated = scenario({"count": 2, "unit": "Engine"})
    quiet = play(repeated)
    hold(quiet)
    for call in range(1, quiet.world.cluster.api.calls + 1, stride):
        result = play(repeated.with_faults(fault(call=call, carried_out=call % 3 > 0)))
        hold(result)
        run = result.world.ended
        assert run is not None, f"{fault.__name__} at call {call}"
        assert run["status"]["phase"] == "Completed", f"{fault.__name__} at call {call}"
        numbers = [[a["number"] for a in target["attempts"]] for target in run["status"]["targets"]]
        assert numbers == [[1, 2], [1, 2]], f"at call {call}"


def test_a_replayed_run_is_the_same_run() -> None:
    noisy = replace(scenario(), seed=7).with_faults(OperatorCrash(call=40, carried_out=True))
    once, again = play(noisy), play(noisy)
    assert once.world.transcript.lines() == again.world.transcript.lines()
