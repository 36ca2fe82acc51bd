"""The time of a pass, and when the next one is due."""

from datetime import timedelta

from msgspec.structs import replace

from enginebench.workflow.decide import LOOK_AGAIN, LOOK_RARELY, LOOK_SOON, decide
from tests.unit.workflow.build import at, deleted, heard, moment, observed, received, spec, step


def test_it_keeps_the_first_of_the_times_to_come() -> None:
    now = moment(10)
    assert now.next is None
    assert [now.reached(at(seconds)) for seconds in (30, 9, 20, 10, 25)] == [False, True, False, True, False]
    assert now.next == at(20)


def test_after_what_was_done_it_is_looked_at_again_and_sooner_after_deletes() -> None:
    seen, plan = step(observed(), 0)
    assert plan.actions
    assert plan.wake_after == LOOK_AGAIN
    both = heard(received(0), received(1), ended=True)
    seen, plan = step(seen, 1)
    load = next(pod for pod in seen.pods if pod.leads)
    plan = decide(replace(seen, heard={load.uid: both}), at(60))
    assert deleted(plan)
    assert plan.wake_after == LOOK_SOON


def test_a_run_of_which_nothing_is_due_waits_for_what_happens_and_for_its_deadline() -> None:
    seen, _ = step(observed(spec=spec(activeDeadlineSeconds=1000)), 0)
    for second in (1, 2, 3):
        seen, plan = step(seen, second)
    assert plan.idle
    assert plan.wake_after is not None
    assert plan.stands_until is not None
    assert plan.wake_after <= LOOK_RARELY
    for left in (10.0, 0.5):
        assert decide(seen, at(1000 - left)).wake_after == timedelta(seconds=left)
