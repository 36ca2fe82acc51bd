"""What the user sees while a run is under way, and at its end.

On a terminal the state stands below, and finished load points scroll up above it; elsewhere both are lines.
"""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from demo.figures import HEADINGS, Row, row
from demo.outcome import Moment, simulated
from enginebench.api.v1alpha1 import BenchmarkRunStatus, PointStatus, TargetStatus

PLAIN_WIDTH = 140
"""Columns where there is no terminal that has a width."""
LIVE_COLUMNS = (0, 1, 2, 4, 6)
"""Load, RPS, TPS, TTFT P99 and ITL P99: what fits a narrow terminal."""
LIVE_WIDTHS = (5, 8, 8, 18, 18)
NARROW = 8
"""Columns wider than this may be broken where the terminal is narrow."""
STYLES = {"Valid": "green", "Limited": "yellow", "Invalid": "red"}


def console() -> Console:
    """Standard output, without rich's guesses at what numbers and names mean."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


class LiveScreen:
    """Shows a run that is under way; a context manager, since it takes over the bottom of the terminal."""

    def __init__(self, output: Console) -> None:
        self._console = output
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("load points"),
            TimeElapsedColumn(),
            console=output,
        )
        self._task = self._progress.add_task("Pending", total=None)
        self._live = Live(console=output, refresh_per_second=4, transient=True) if output.is_terminal else None
        self._said = ""
        self._target = ""

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def moment(self, now: Moment) -> None:
        """The run stands here now."""
        if self._live is None:
            said = f"{now.phase}: {now.message}"
            if said != self._said:
                self._console.print(said, markup=False)
                self._said = said
            return
        self._progress.update(
            self._task, description=now.phase, completed=now.points_done, total=now.points_total or None
        )
        lines = [Text(line, overflow="ellipsis", no_wrap=True) for line in ("", *now.targets, now.message)]
        self._live.update(Group(*lines, self._progress))

    def hint(self, text: str) -> None:
        """Something that the user may want to know meanwhile."""
        self._console.print(text, style="yellow", markup=False)

    def point(self, point: PointStatus, target: TargetStatus | None) -> None:
        """A load point was measured."""
        made = row(point)
        if point.target != self._target:
            self._target = point.target
            note = simulated(target) if target else ""
            self._console.print(f"\n{point.target} {note}".rstrip(), style="bold", markup=False)
            self._console.print(_columns(HEADINGS) + "  Validity", style="dim", markup=False)
        line = Text(_columns(made.cells) + "  ")
        line.append(made.validity, STYLES.get(made.validity, ""))
        self._console.print(line, soft_wrap=True)


def _columns(cells: Iterable[str]) -> str:
    texts = list(cells)
    return " ".join(f"{texts[at]:>{width}}" for at, width in zip(LIVE_COLUMNS, LIVE_WIDTHS, strict=True))


def comparison(status: BenchmarkRunStatus, title: str) -> Group:
    """All load points, target by target, in columns of the same widths."""
    rows = [row(point) for point in status.points or ()]
    texts = [HEADINGS, *(made.cells for made in rows)]
    widths = [max(len(cells[at]) for cells in texts) for at in range(len(HEADINGS) - 1)]
    parts: list[RenderableType] = [Text(title, "bold")]
    for target in status.targets or ():
        parts.append(Text(""))
        parts.append(Text.assemble((target.name, "bold"), f"  {simulated(target)}", f"  {target.phase or ''}"))
        if target.phase != "Succeeded" and target.message:
            parts.append(Text(target.message, "red"))
        mine = [made for made in rows if made.target == target.name]
        if mine:
            parts.append(_table(mine, widths))
    return Group(*parts, Text(f"\n{CAPTION}", "dim"))


CAPTION = (
    "RPS, TPS: requests and output tokens a second. TTFT, ITL: milliseconds. ≥: the true value is at least this. "
    "max of n, of n, *: too few requests for this percentile."
)


def _table(rows: Sequence[Row], widths: Sequence[int]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading, width in zip(HEADINGS, widths, strict=False):
        table.add_column(heading, justify="right", min_width=min(width, NARROW), max_width=width)
    table.add_column(HEADINGS[-1])
    for made in rows:
        table.add_row(*made.cells[:-1], Text(made.cells[-1], STYLES.get(made.validity, "")))
    return table
