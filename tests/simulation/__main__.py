"""Replay a seed, or look for a seed that fails: `python -m tests.simulation SEED [--verbose] [--shrink] [--until N]`."""

import argparse
import sys

from tests.simulation.scenario import draw
from tests.simulation.simulate import play, shrink


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, help="the seed to play")
    parser.add_argument(
        "--until", type=int, metavar="N", help="play all seeds up to N, and stop at the first that fails"
    )
    parser.add_argument("--faults", type=int, metavar="N", help="draw so many faults")
    parser.add_argument("--verbose", action="store_true", help="print all that happened")
    parser.add_argument("--reads", action="store_true", help="print the reading calls, too")
    parser.add_argument("--shrink", action="store_true", help="drop the faults that the failure does not need")
    arguments = parser.parse_args()
    for seed in range(arguments.seed, (arguments.until or arguments.seed) + 1):
        scenario = draw(seed, faults=arguments.faults)
        result = play(scenario)
        if result.violations and arguments.shrink:
            result = play(shrink(scenario))
        if result.violations or arguments.until is None:
            if arguments.verbose:
                sys.stdout.write("\n".join(result.world.transcript.lines(reads=arguments.reads)) + "\n\n")
            sys.stdout.write(result.report() + "\n")
        if result.violations:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
