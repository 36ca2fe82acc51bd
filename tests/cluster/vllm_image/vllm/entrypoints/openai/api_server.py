"""Stands where vLLM's server does, takes the options the operator gives it, and fails as it is told.

--exit-with=TEXT: print TEXT and end with code 1.  --hang: never listen.  --eat-memory: allocate until killed.
"""

import argparse
import sys
import time

from enginebench.simulator.main import main


def serve() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--served-model-name", required=True)
    parser.add_argument("--generation-config", choices=["vllm"])
    parser.add_argument("--exit-with")
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--eat-memory", action="store_true")
    options = parser.parse_args()
    # One stream for both lines: the runtime does not keep the order between two.
    print(f"INFO stand-in for vLLM, model {options.model}", file=sys.stderr)
    if options.exit_with:
        print(options.exit_with, file=sys.stderr)
        return 1
    if options.hang:
        time.sleep(3600)
    eaten = []
    while options.eat_memory:
        eaten.append(bytearray(8 * 1024 * 1024))
    return main(["--api", "vLLM", "--model", options.served_model_name, "--port", options.port, "--slots", "32"])


if __name__ == "__main__":
    sys.exit(serve())
