"""The command line. Every role is one subcommand of one program, so that one image serves them all.

A subcommand's module is imported only when it is asked for: the load generator and the simulated engine must
start in a fraction of a second, and the Kubernetes client and kopf alone take longer than that.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from enginebench import __version__

COMMANDS = {
    "operator": ("enginebench.controller.main", "run the operator"),
    "loadgen": ("enginebench.loadgen.main", "load one engine as a plan says (runs in the load pod)"),
    "guidellm-agent": ("enginebench.loadgen.guidellm.bring", "copy what runs GuideLLM in its container to a file"),
    "simulate": ("enginebench.simulator.main", "run a simulated engine"),
    "export": ("enginebench.export.main", "write a run's results as a file"),
    "selftest": ("enginebench.loadgen.selftest", "measure how much the load generator carries on this machine"),
    "crd": ("enginebench.api.crd", "print or check the generated CustomResourceDefinition"),
}
"""Name → (module with `main(argv) -> exit code`, what it does)."""


def parser() -> argparse.ArgumentParser:
    """Knows the subcommands' names only; each parses its own arguments."""
    top = argparse.ArgumentParser(prog="enginebench", description="Benchmarks inference engines on Kubernetes.")
    top.add_argument("--version", action="version", version=f"enginebench {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (_, does) in COMMANDS.items():
        commands.add_parser(name, help=does, add_help=False)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand with the arguments after its name; its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = parser().parse_args(arguments[:1]).command
    module = importlib.import_module(COMMANDS[command][0])
    code: int = module.main(arguments[1:])
    return code


if __name__ == "__main__":
    sys.exit(main())
