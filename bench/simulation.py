"""How many whole runs a minute one core simulates, the operator's own code included.

    python bench/simulation.py [--runs 1000] [--first-seed 0] [--profile]

Counts CPU time, so that a machine with other work tells the same. Each run is a scenario of `tests/simulation` with
its faults and every invariant; a seed that fails is named. Exit code 1 where one does, or where it were fewer than
2,000. With --profile, which slows it down: where the time goes, by file.
"""

import argparse
import cProfile
import pstats
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from bench import machine  # noqa: E402 - after the path is set
from tests.simulation.simulate import play_seed, spare_the_collector  # noqa: E402 - after the path is set

WANTED = 2000
"""Runs a minute on one core."""
SHOWN = 25


def main() -> int:
    """0 where no invariant was broken and the simulation was quick enough."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--profile", action="store_true", help="tell where the time goes")
    options = parser.parse_args()
    play_seed(options.first_seed)  # imports and caches
    spare_the_collector()
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    began, failed, passes, calls, seconds = time.process_time(), [], 0, 0, 0.0
    for seed in range(options.first_seed, options.first_seed + options.runs):
        result = play_seed(seed)
        passes += sum(operator.passes for operator in result.world.operators)
        calls += result.world.cluster.api.calls
        seconds += result.world.timeline.now
        if result.violations:
            failed.append(seed)
    took = time.process_time() - began
    profile.disable()
    runs = options.runs
    speed = runs / took * 60
    print(machine.here_and_now())
    print(f"{speed:,.0f} runs a minute of CPU ({took / runs * 1000:.1f} ms a run; wanted: {WANTED:,})")
    print(
        f"a run: {passes / runs:.0f} passes, {calls / runs:.0f} calls of the API, {seconds / runs:,.0f} virtual seconds"
    )
    print(f"one pass, the cluster around it included: {took / max(1, passes) * 1000:.2f} ms")
    if options.profile:
        _by_file(pstats.Stats(profile))
    for seed in failed:
        print(f"seed {seed} breaks an invariant: python -m tests.simulation {seed} --verbose")
    return 1 if failed or (speed < WANTED and not options.profile) else 0


def _by_file(stats: pstats.Stats) -> None:
    """Own time by file; that of built-in functions goes to the files that call them."""
    share: Counter[str] = Counter()
    for (file, _, _), (_, _, own, _, callers) in stats.stats.items():  # type: ignore[attr-defined]  # not in typeshed
        if file != "~":
            share[file] += own
        else:
            for (caller, _, _), (_, _, spent, _) in callers.items():
                share[caller] += spent
    for file, spent in share.most_common(SHOWN):
        print(f"{100 * spent / share.total():5.1f} %  {file.removeprefix(str(ROOT) + '/')}")


if __name__ == "__main__":
    sys.exit(main())
