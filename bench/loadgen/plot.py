"""The rows as a drawing: plain SVG, so that no plotting library is needed."""

import math
from collections.abc import Callable, Sequence
from html import escape

from bench.loadgen.rows import Mode, Row, ideal

WIDTH, HEIGHT = 330, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 40, 40
COLOURS = ("#0b6e4f", "#d1495b", "#edae49", "#00798c", "#7b5ea7", "#888888")
Value = Callable[[Row], float | None]


def ttft_error(row: Row) -> float | None:
    """By how many ms the reported TTFT P99 is off the truth; 0.1 at least, for the logarithm."""
    if row.reported is None or row.truth is None or row.reported.ttft_p99 is None:
        return None
    return max(0.1, abs(row.reported.ttft_p99 - row.truth.ttft.p99))


def taken_share(row: Row) -> float | None:
    taken = row.load.tokens_per_second
    return None if taken is None else 100 * taken / ideal(row.streams)


def cpu(row: Row) -> float | None:
    return row.load.cpu_per_1000_tokens


PANELS: tuple[tuple[str, Value, bool, tuple[float, float]], ...] = (
    ("Load taken off the server, % of ideal", taken_share, False, (0, 105)),
    ("TTFT P99: reported - true, ms", ttft_error, True, (0.1, 10_000)),
    ("CPU seconds per 1,000 tokens", cpu, True, (0.005, 1)),
)


def draw(rows: Sequence[Row], mode: Mode) -> str:
    """Three panels over the number of streams, a line for each tool."""
    mine = [row for row in rows if row.mode == mode]
    tools = list(dict.fromkeys(row.tool for row in mine))
    streams = sorted({row.streams for row in mine})
    width, height = WIDTH * len(PANELS), HEIGHT + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, (title, value, logarithmic, bounds) in enumerate(PANELS):
        parts.append(f'<g transform="translate({number * WIDTH},0)">')
        parts += _axes(title, streams, bounds, logarithmic=logarithmic)
        for tool, colour in zip(tools, COLOURS, strict=False):
            points = [
                (_x(row.streams, streams), _y(found, bounds, logarithmic=logarithmic))
                for row in mine
                if row.tool == tool and (found := value(row)) is not None
            ]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
        parts.append("</g>")
    for number, (tool, colour) in enumerate(zip(tools, COLOURS, strict=False)):
        x = LEFT + number * 150
        parts.append(f'<rect x="{x}" y="{HEIGHT + 4}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 17}" y="{HEIGHT + 14}">{escape(tool)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axes(title: str, streams: list[int], bounds: tuple[float, float], *, logarithmic: bool) -> list[str]:
    low, high = bounds
    ticks = (
        [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
        if logarithmic
        else [20.0 * n for n in range(int(high // 20) + 1)]
    )
    parts = [f'<text x="{LEFT}" y="22" font-weight="bold">{escape(title)}</text>']
    for tick in ticks:
        y = _y(tick, bounds, logarithmic=logarithmic)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts += [
        f'<text x="{_x(count, streams):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{count}</text>'
        for count in streams
    ]
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">streams</text>')
    return parts


def _x(streams: int, all_streams: list[int]) -> float:
    """Equal steps: the levels are powers of two and four."""
    place = all_streams.index(streams) / max(1, len(all_streams) - 1)
    return LEFT + 10 + place * (WIDTH - LEFT - RIGHT - 20)


def _y(value: float, bounds: tuple[float, float], *, logarithmic: bool) -> float:
    low, high = (math.log10(bound) for bound in bounds) if logarithmic else bounds
    place = (min(max(math.log10(value) if logarithmic else value, low), high) - low) / (high - low)
    return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)
