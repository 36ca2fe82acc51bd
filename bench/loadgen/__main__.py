"""Load generators side by side against the reference server.

    python -m bench.loadgen [--tools enginebench,guidellm] [--streams 1,16,64,256,512] [--modes "one core,best"]
        [--seconds 20] [--data FILE] [--rows FILE] [--write]

The server has a core of its own at real-time priority, each client the other one, before all other work. Printed
are the tables and how our own generator stands against its bounds, with margins; exit code 1 if it misses one.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import get_args

import msgspec

from bench import machine, reference
from bench.loadgen import page
from bench.loadgen.bare import Bare
from bench.loadgen.ours import Ours
from bench.loadgen.peers.aiperf import AiPerf
from bench.loadgen.peers.environments import tokenizer
from bench.loadgen.peers.genai_bench import GenAiBench
from bench.loadgen.peers.guidellm import GuideLlm
from bench.loadgen.peers.inference_perf import InferencePerf
from bench.loadgen.peers.peer import Peer
from bench.loadgen.rows import Measurement, Mode, Row
from bench.loadgen.runner import measure
from bench.loadgen.table import table
from bench.loadgen.targets import checks
from bench.loadgen.tool import Tool
from devcluster.errors import DevclusterError

STREAMS = (1, 16, 64, 256, 512)
TOOLS: dict[str, type[Tool]] = {tool.name: tool for tool in (Ours, InferencePerf, AiPerf, GenAiBench, GuideLlm, Bare)}


def main() -> int:
    arguments = _arguments()
    try:
        saved = arguments.rows and arguments.rows.read_bytes()
        found = msgspec.json.decode(saved, type=Measurement) if saved else _measure(arguments)
    except DevclusterError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.data:
        arguments.data.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    rows = found.rows
    print(f"\n{found.taken}")
    for mode in arguments.modes:
        print(f"\n## {mode}")
        print("\n".join(table(rows, mode)))
    own = list(checks([row for row in rows if row.tool == Ours.name and row.mode == "one core"]))
    print("\n".join(["", *map(str, own)]))
    if arguments.write:
        settings = {name: tool.settings for name, tool in TOOLS.items()}
        page.write(rows, arguments.modes, found.taken, [str(check) for check in own], settings)
    return 0 if all(check.kept for check in own) else 1


def _measure(arguments: argparse.Namespace) -> Measurement:
    if len(machine.cores()) < 2:  # noqa: PLR2004  # one for the server
        raise DevclusterError("Server and client need a core each: this machine has one only.")
    program, tools = reference.build(), _tools(arguments.tools)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, reference.running(program, prefix=machine.server_prefix()) as server:
        folder = Path(name)
        peers = [tool for tool in tools if isinstance(tool, Peer)]
        words = tokenizer(folder / "tokenizer", peers[0].programs) if peers else folder
        for mode in arguments.modes:
            for streams in arguments.streams:
                for tool in tools:
                    where = folder / f"{tool.name}-{mode.split()[0]}-{streams}"
                    row = measure(tool, server, where, words, streams, arguments.seconds, mode)
                    print(f"{tool.name}, {mode}, {streams}: {row.problem or 'done'}", file=sys.stderr)
                    rows.append(row)
    return Measurement(taken=machine.here_and_now(), rows=tuple(rows))


def _tools(names: list[str]) -> list[Tool]:
    unknown = sorted(set(names) - set(TOOLS))
    if unknown:
        raise DevclusterError(f"No such load generator: {', '.join(unknown)}; known are {', '.join(TOOLS)}.")
    return [TOOLS[name]() for name in names]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", type=lambda text: text.split(","), default=[Ours.name])
    parser.add_argument("--streams", type=lambda text: [int(n) for n in text.split(",")], default=list(STREAMS))
    parser.add_argument("--modes", type=lambda text: text.split(","), default=[get_args(Mode)[0]])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--data", type=Path, help="where the rows go as JSON")
    parser.add_argument("--rows", type=Path, help="show the rows of such a file instead of measuring")
    parser.add_argument("--write", action="store_true", help="into docs/load-generator.md, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
