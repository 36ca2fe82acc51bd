"""Plays a scenario to its end and judges it."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.simulation import invariants
from tests.simulation.faults.users import UNREADABLE
from tests.simulation.operator import Operator
from tests.simulation.scenario import Scenario, draw
from tests.simulation.store import Item
from tests.simulation.world import World, is_true

LONGEST = 50_000.0
"""Virtual seconds within which every run must end."""
MOST_PASSES = 6000
"""A run that takes more does not get on."""
SETTLE = 320.0
"""Seconds after the end in which everything must be cleared, though the API may be down for 200 of them."""
LATEST_FAULT = 480.0
"""All that a scenario plans is over by then."""
SETTLE_AGAIN = 150.0


@dataclass(frozen=True, slots=True)
class Result:
    """A run and what was wrong with it."""

    world: World

    @property
    def scenario(self) -> Scenario:
        return self.world.scenario

    @property
    def violations(self) -> list[str]:
        return self.world.violations

    def report(self, *, verbose: bool = False) -> str:
        """What was broken, the faults, how to replay it, and with `verbose` all that happened."""
        seed = self.world.scenario.seed
        lines = [f"seed {seed}: {sentence}" for sentence in self.violations] or [f"seed {seed}: nothing is broken"]
        lines += [f"  fault: {fault!r}" for fault in self.world.scenario.faults]
        if verbose:
            lines += ["", *self.world.transcript.lines(reads=False), ""]
        lines.append(f"replay: python -m tests.simulation {seed} --verbose")
        return "\n".join(lines)


def spare_the_collector() -> None:
    """Have the garbage collector look seldom, and never at what is there by now: that suits thousands of runs in one
    process."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def play(scenario: Scenario) -> Result:
    """The whole run."""
    world = World(scenario)
    invariants.watch(world)
    world.setup()
    _advance(world, LONGEST, stop=world.over)
    _advance(world, LATEST_FAULT)
    _advance(world, LONGEST, stop=world.over)  # a run that was added since
    _settle(world, SETTLE)
    if _there(world) and world.finished and _touch(world, scenario.after_the_end):
        _settle(world, SETTLE_AGAIN)
    return Result(world)


def play_seed(seed: int, *, faults: int | None = None) -> Result:
    """The scenario of the seed."""
    return play(draw(seed, faults=faults))


def shrink(scenario: Scenario) -> Scenario:
    """The scenario without the faults that its violation does not need."""
    for fault in scenario.faults:
        fewer = scenario.without(fault)
        if play(fewer).violations:
            return shrink(fewer)
    return scenario


def _there(world: World) -> bool:
    return world.run is not None and world.alive(world.run)


def _settle(world: World, seconds: float) -> None:
    """What is to come comes; then it is judged, and again when the run has gone by itself."""
    _advance(world, world.timeline.now + seconds)
    invariants.judge(world)
    if _await_ttl(world):
        invariants.judge(world)


def _await_ttl(world: World) -> bool:
    """Where runs are to go by themselves, see them go."""
    waiting = []
    for run in world.runs:
        ttl = run.obj["spec"].get("ttlSecondsAfterFinished")
        if world.alive(run) and ttl is not None and UNREADABLE not in run.obj["spec"] and is_true(run, "Finished"):
            waiting.append((run, ttl))
    for run, ttl in waiting:
        _advance(world, world.timeline.now + ttl + SETTLE_AGAIN, stop=partial(_gone, world, run))
        if world.alive(run):
            world.violated(f"the_ttl_is_kept: {run} is still there {ttl} s after its end")
    if waiting:
        _advance(world, world.timeline.now + SETTLE_AGAIN)
    return bool(waiting)


def _gone(world: World, run: Item) -> bool:
    return not world.alive(run)


def _touch(world: World, how: str) -> bool:
    """What the user does to a finished run."""
    run = world.run
    assert run is not None  # the caller looked
    match how:
        case "ttl":
            world.cluster.edit(run, lambda spec: spec.update(ttlSecondsAfterFinished=1000))
        case "suspend":
            world.cluster.edit(run, lambda spec: spec.update(suspend=not spec.get("suspend", False)))
        case "delete":
            world.store.delete(run)
        case _:
            return False
    world.transcript.note("user", how)
    return True


def _advance(world: World, until: float, *, stop: Callable[[], bool] = lambda: False) -> None:
    """Let the cluster and the operators act until `until`, or until `stop` says so."""
    timeline = world.timeline
    while not stop():
        operator = world.operators[0] if len(world.operators) == 1 else min(world.operators, key=Operator.next_due)
        due, at = operator.next_due(), timeline.next_time()
        if min(due, at) >= until:
            timeline.now = max(timeline.now, until)
            return
        if due > at:
            timeline.step()
            continue
        timeline.now = max(timeline.now, due)
        operator.run_pass()
        if operator.passes > MOST_PASSES:
            world.violated(f"every_run_ends: {operator.passes} passes and no end")
            return
