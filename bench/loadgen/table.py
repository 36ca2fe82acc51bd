"""Rows as text: a Markdown table for the terminal and for docs/."""

from collections.abc import Iterator, Sequence

from bench.loadgen.rows import Mode, Row, ideal

HEAD = (
    "| Tool | TPS taken, of ideal | TPS reported | TTFT P50 / P99, ms | truth | ITL P99, ms | truth | gap P99, ms | truth "
    "| CPU-s per 1k tokens | memory, MB | start-up, s |"
)


def table(rows: Sequence[Row], mode: Mode) -> Iterator[str]:
    """One for each number of streams, the ideal first."""
    for streams in sorted({row.streams for row in rows if row.mode == mode}):
        yield f"\n**{streams} stream{'s' if streams > 1 else ''}**\n"
        yield HEAD
        yield "|---" * HEAD.count(" | ") + "|---|"
        yield f"| ideal | {ideal(streams):,.0f}, 100 % | {ideal(streams):,.0f} | 50 / 50 | | 10 | | 10 | | | | |"
        for row in rows:
            if row.mode == mode and row.streams == streams:
                yield _line(row)


def _line(row: Row) -> str:
    said, truth, load = row.reported, row.truth, row.load
    tool = f"{row.tool} {row.version}"
    if said is None or truth is None:
        return f"| {tool} | {'no report: ' + row.problem.replace('|', '/')} |" + " |" * 10
    taken = load.tokens_per_second
    cells = [
        tool,
        f"{taken:,.0f}, {100 * taken / ideal(row.streams):.1f} %"
        if taken is not None
        else f"not known: {load.unknown}",
        _number(said.tokens_per_second, 0),
        f"{_number(said.ttft_p50)} / {_number(said.ttft_p99)}" if said.ttft_p99 is not None else "",
        f"{truth.ttft.p50:.1f} / {truth.ttft.p99:.1f}",
        _number(said.itl_p99),
        _number(truth.itl.p99 if said.itl_p99 is not None else None),
        _number(said.gap_p99),
        _number(truth.gap.p99 if said.gap_p99 is not None else None),
        _number(load.cpu_per_1000_tokens, 4) or "not known",
        f"{load.memory_bytes / 1e6:.0f}",
        _number(load.start_up_seconds, 2),
    ]
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
