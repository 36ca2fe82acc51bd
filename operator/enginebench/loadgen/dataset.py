"""The data set of a plan: read, checked line by line, and named by a digest."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import msgspec

from enginebench.api.loadplan import DatasetPlan, Message, Row, SyntheticRows
from enginebench.loadgen.words import words
from enginebench.results.messages import DatasetReport

MOST_ERRORS = 20
"""Named in a report; more would help nobody."""


class _Line(msgspec.Struct, frozen=True):
    """A line of a file, by GuideLLM's names; other members (an answer, an id) are skipped."""

    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    prompt_tokens_count: int | None = None
    output_tokens_count: int | None = None


class SyntheticDataset(Sequence[Row]):
    """Rows made when they are asked for: a large set need not fit into memory."""

    def __init__(self, plan: SyntheticRows) -> None:
        self._plan = plan

    def __len__(self) -> int:
        return self._plan.rows

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        row = range(len(self))[index]
        return Row(
            prompt=words(self._plan.seed, row, self._plan.prompt_tokens),
            prompt_tokens=self._plan.prompt_tokens,
            output_tokens=self._plan.output_tokens,
        )


def read(plan: DatasetPlan, *, chat: bool) -> tuple[Sequence[Row], DatasetReport]:
    """The rows, and what is to be said of them. Where the report has errors the rows are not to be used.

    `chat`: the route takes messages; a route that takes a prompt cannot ask a conversation.
    """
    if plan.synthetic is not None:
        return SyntheticDataset(plan.synthetic), DatasetReport(
            rows=plan.synthetic.rows, digest=_digest([plan.synthetic])
        )
    errors: list[tuple[int, str]] = []
    rows = list(plan.rows or ()) if plan.file is None else _file(Path(plan.file), errors)
    place = "row" if plan.file is None else "line"
    for number, row in enumerate(rows, 1):
        if row is not None and (wrong := _wrong(row, chat=chat)):
            errors.append((number, f"{place} {number}: {wrong}"))
    good = [row for row in rows if row is not None]
    if not good and not errors:
        errors.append((0, "there is no row in it"))
    words_of_errors = tuple(text for _, text in sorted(errors)[:MOST_ERRORS])
    return good, DatasetReport(rows=len(good), digest=_digest(good), errors=words_of_errors)


def _file(path: Path, errors: list[tuple[int, str]]) -> list[Row | None]:
    """A row for each line, None for an empty or a bad one."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        errors.append((0, f"{path.name} cannot be read: {error.strerror}"))
        return []
    rows: list[Row | None] = []
    for number, line in enumerate(lines, 1):
        rows.append(None)
        if not line.strip():
            continue
        try:
            rows[-1] = _row(msgspec.json.decode(line, type=_Line))
        except msgspec.MsgspecError as error:
            errors.append((number, f"line {number}: {error}"))
        except UnicodeDecodeError as error:
            errors.append((number, f"line {number}: not UTF-8: {error.reason}"))
    return rows


def _row(line: _Line) -> Row:
    return Row(
        prompt=line.prompt,
        messages=line.messages,
        prompt_tokens=line.prompt_tokens_count,
        output_tokens=line.output_tokens_count,
    )


def _wrong(row: Row, *, chat: bool) -> str:
    """What keeps a row from being asked; empty if nothing does."""
    if row.prompt is not None and row.messages is not None:
        return "has both a prompt and messages; give one"
    if row.messages is not None and not chat:
        return "has messages, but the route takes a prompt; use ChatCompletions or OllamaChat, or give a prompt"
    if not row.prompt and not row.messages:
        return "has neither a prompt nor messages, or it is empty"
    for name, count in (("prompt", row.prompt_tokens), ("output", row.output_tokens)):
        if count is not None and count < 1:
            return f"its {name} token count is {count}; it must be 1 or more"
    return ""


def _digest(parts: Iterable[msgspec.Struct]) -> str:
    """SHA-256 over the canonical JSON of each, a line each; of a synthetic set over what it is made from."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(msgspec.json.encode(part) + b"\n")
    return f"sha256:{digest.hexdigest()}"
