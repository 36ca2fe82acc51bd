"""Look for an answer of a server on which the load generator's parser fails or counts wrongly.

    PYTHONPATH=operator python -m tests.fuzz [--seconds 600] [input …]

Random bytes and mutated streams, in random cuts. Guided by coverage where atheris is installed (Linux on x86-64, up
to Python 3.13), otherwise blind. An input that breaks the property is kept in `.fuzz/`; given as an argument it is
tried again, and once mended it belongs into `tests/fuzz/mended/`, which the unit tests go through.
"""

import argparse
import hashlib
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.inputs import MOST_BYTES, WORDS, mutations, seeds

FOUND = Path(".fuzz")


def blind(seconds: float) -> None:
    """Mutations without guidance, for so long."""
    from tests.fuzz.property import check

    until = time.monotonic() + seconds
    for tried, data in enumerate(mutations(Random()), 1):  # noqa: S311  # no secret
        try:
            check(data)
        except BaseException:
            FOUND.mkdir(exist_ok=True)
            kept = FOUND / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
            kept.write_bytes(data)
            print(f"{tried} inputs; this one breaks it: {kept}")
            raise
        if time.monotonic() > until:
            print(f"{tried} inputs in {seconds:.0f} s, none breaks it")
            return


def guided(seconds: float) -> None:
    """The same by libFuzzer, which keeps what reaches new code. Ends the process."""
    atheris: Any = import_module("atheris")  # it has no types, and not every machine has it

    with atheris.instrument_imports(include=["enginebench.loadgen"]):
        from tests.fuzz.property import check
    FOUND.mkdir(exist_ok=True)
    corpus = FOUND / "corpus"
    corpus.mkdir(exist_ok=True)
    for data in seeds():
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    words = FOUND / "words"
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in WORDS))
    options = (f"-max_total_time={seconds:.0f}", f"-max_len={MOST_BYTES}", f"-dict={words}", "-print_final_stats=1")
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={FOUND}/", str(corpus)], check)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--blind", action="store_true", help="without atheris, though it is there")
    parser.add_argument("inputs", nargs="*", type=Path, help="tried once, instead of looking for others")
    arguments = parser.parse_args()
    if arguments.inputs:
        from tests.fuzz.property import check

        for path in arguments.inputs:
            check(path.read_bytes())
            print(f"{path}: holds")
        return
    arguments.blind = arguments.blind or find_spec("atheris") is None
    (blind if arguments.blind else guided)(arguments.seconds)


if __name__ == "__main__":
    main()
