"""`enginebench guidellm-agent FILE`: puts the agent where GuideLLM's container finds it."""

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

from enginebench.loadgen.guidellm import agent


def main(argv: Sequence[str]) -> int:
    """0; an OSError tells why it cannot be written."""
    parser = argparse.ArgumentParser(prog="enginebench guidellm-agent", description="Copy what runs GuideLLM.")
    parser.add_argument("file", type=Path)
    shutil.copyfile(agent.__file__, parser.parse_args(list(argv)).file)
    return 0
