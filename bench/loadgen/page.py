"""The measured part of docs/load-generator.md, and its drawing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.loadgen.plot import draw
from bench.loadgen.rows import Mode, Row
from bench.loadgen.table import table

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "load-generator.md"
DRAWING = DOCS / "load-generator.svg"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"


def write(
    rows: Sequence[Row], modes: Sequence[Mode], taken: str, verdicts: Sequence[str], settings: Mapping[str, str]
) -> None:
    """Replaces what stands between the page's two marks; `settings` tells each tool's best ones in words, `taken` where
    and when."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [f"Measured on {taken}.", ""]
    for mode in modes:
        lines += [f"### {TITLES[mode]}", ""]
        if mode == "best":
            measured = {row.tool for row in rows if row.mode == mode}
            lines += [f"- {tool}: {words}" for tool, words in settings.items() if words and tool in measured]
        lines += [*table(rows, mode), ""]
    lines += ["### Its bounds", "", "On one core:", "", "```text", *verdicts, "```", ""]
    PAGE.write_text(before + BEGIN + "\n".join(lines) + END + after, "utf-8")
    DRAWING.write_text(draw(rows, modes[0]), "utf-8")


TITLES: dict[Mode, str] = {
    "one core": "On one core",
    "best": "With each one's best settings, on all cores",
}
