"""Half an hour under load: does our load generator hold its memory and its figures?

    python -m bench.loadgen.soak [--minutes 30] [--streams 256] [--one-point]

One process, one load point a minute against the reference server; after each its memory and its figures beside the
truth. With `--one-point` a single point lasts all the time: what is kept of each request then adds up, and must stay
within its bound. Exit code 1, and words, if something drifts.
"""

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import machine, reference
from bench.loadgen.ours import environment, plan, reported, start_command
from bench.loadgen.rows import Reported, ideal
from bench.loadgen.tree import Tree
from bench.reference import MODEL, Reference, Truth
from devcluster.errors import DevclusterError
from enginebench.results.frames import Decoder
from enginebench.results.messages import End, Failure, Progress
from enginebench.results.point_report import PointReport

MINUTE = 60
GROWTH = 0.03
"""Of the memory, medians of a third of the minutes: one look finds a megabyte or three more or less."""
SETTLED = 2
"""Minutes until caches and pools are full."""
BYTES_PER_REQUEST = 512
"""That may be kept of each request for as long as its point lasts."""
TPS_DRIFT = 0.005
LATENCY_DRIFT_MILLISECONDS = 1.0
"""In the distance from the truth, medians of the first and the last third."""


@dataclass(frozen=True, slots=True)
class Minute:
    memory: int
    reported: Reported
    truth: Truth

    def lag(self, name: str) -> float:
        """How far a figure is from the truth, milliseconds."""
        said: float | None = getattr(self.reported, name)
        figure, _, quantile = name.partition("_")
        true: float = getattr(getattr(self.truth, figure), quantile)
        return math.inf if said is None else said - true


def drifts(minutes: Sequence[Minute], streams: int) -> Iterator[str]:
    """What is not as it was, in words."""
    if len(minutes) <= SETTLED + 1:
        return
    third = max(1, len(minutes) // 3)
    first, settled, last = minutes[:third], minutes[SETTLED : SETTLED + third], minutes[-third:]
    early, late = (statistics.median(minute.memory for minute in part) for part in (settled, last))
    if late > early * (1 + GROWTH):
        yield f"memory grew from {early / 1e6:.1f} MB in minutes {SETTLED + 1} to {SETTLED + third} to {late / 1e6:.1f} MB"
    for name in ("ttft_p50", "ttft_p99", "itl_p50", "itl_p99", "gap_p50", "gap_p99"):
        was, became = (statistics.median(minute.lag(name) for minute in part) for part in (first, last))
        if not abs(became - was) <= LATENCY_DRIFT_MILLISECONDS:
            yield f"{name} was {was:+.2f} ms from the truth and became {became:+.2f} ms"
    rates = [[minute.reported.tokens_per_second or 0.0 for minute in part] for part in (first, last)]
    change = (statistics.median(rates[1]) - statistics.median(rates[0])) / ideal(streams)
    if abs(change) > TPS_DRIFT:
        yield f"the token rate changed by {100 * change:+.2f} % of the ideal"
    errors = sum(minute.reported.errors for minute in minutes)
    if errors:
        yield f"{errors} requests failed"


def growth(memories: Sequence[int], minutes: Sequence[Minute]) -> Iterator[str]:
    """The same of a single point."""
    requests = minutes[0].reported.requests if minutes else 0
    if len(memories) <= SETTLED + 1 or not requests:
        yield "the point was too short to tell"
        return
    share = (len(memories) - 1 - SETTLED) / len(memories)
    each = (memories[-1] - memories[SETTLED]) / (requests * share)
    print(f"{each:.0f} bytes kept of each of {requests} requests; bound {BYTES_PER_REQUEST}")
    if each > BYTES_PER_REQUEST:
        yield f"{each:.0f} bytes are kept of each request"


def line(number: int, minute: Minute, streams: int) -> str:
    said = minute.reported
    share = 100 * (said.tokens_per_second or 0.0) / ideal(streams)
    lags = "  ".join(f"{name} {minute.lag(name):+.2f}" for name in ("ttft_p50", "ttft_p99", "itl_p99", "gap_p99"))
    return (
        f"minute {number:3}  memory {minute.memory / 1e6:6.1f} MB  TPS {share:6.2f} % of ideal  "
        f"from the truth, ms: {lags}  server's lateness P99 {minute.truth.lateness.p99:.2f} ms"
    )


def soak(server: Reference, folder: Path, streams: int, minutes: int, *, one_point: bool) -> list[str]:
    """What drifted."""
    levels, seconds = ([streams], minutes * MINUTE) if one_point else ([streams] * minutes, MINUTE)
    command = start_command(folder, plan(server.url, MODEL, levels, seconds))
    found: list[Minute] = []
    memories: list[int] = []
    ended, decoder, failure = threading.Event(), Decoder(), ""

    def look(tree: Tree) -> None:
        while not ended.wait(MINUTE):
            memories.append(tree.memory_bytes())
            print(f"minute {len(memories):3}  memory {memories[-1] / 1e6:6.1f} MB", flush=True)

    with subprocess.Popen(
        [*machine.client_prefix([machine.CLIENT_CORE]), *command],
        stdout=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    ) as process:
        machine.favour(process.pid)
        tree, measured = Tree(process.pid), -1
        watcher = threading.Thread(target=look, args=(tree,))
        if one_point:
            watcher.start()
        assert process.stdout is not None
        try:
            for text in process.stdout:
                spoken = decoder.feed(text)
                match spoken.message if spoken else None:
                    case Progress(stage="Loading", point=int(point)) if point != measured:
                        measured = point
                        server.reset()
                    case PointReport() as point:
                        found.append(Minute(tree.memory_bytes(), reported(point), server.truth()))
                        print(line(len(found), found[-1], streams), flush=True)
                    case Failure() as said:
                        failure = said.message
                    case End():
                        process.terminate()
        finally:
            ended.set()
            process.kill()
    if failure or len(found) < len(levels):
        return [f"it ended after {len(found)} of {len(levels)} points: {failure or 'without a word'}"]
    return list(growth(memories, found) if one_point else drifts(found, streams))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--one-point", action="store_true")
    arguments = parser.parse_args()
    print(machine.here_and_now())
    try:
        program = reference.build()
        with (
            tempfile.TemporaryDirectory() as folder,
            reference.running(program, prefix=machine.server_prefix()) as server,
        ):
            found = soak(server, Path(folder), arguments.streams, arguments.minutes, one_point=arguments.one_point)
    except DevclusterError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(f"DRIFT: {words}" for words in found) or "Nothing drifted.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
