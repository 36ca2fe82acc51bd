"""The data set of a plan: read, checked line by line, and named by a digest."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, overload

import msgspec

from enginebench.api.loadplan import DatasetPlan, Row, SyntheticRows
from enginebench.loadgen.errors import BrokenFile, GaveUp
from enginebench.loadgen.words import words
from enginebench.results.messages import DatasetReport

MOST_ERRORS = 20
"""Named in a report; more would help nobody."""
MOST_ERROR_CHARACTERS = 300
MOST_ROWS = 500_000
MOST_ROW_BYTES = 256 * 1024**2
"""They are all held in memory."""
ROLES = ("system", "user", "assistant")


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


def read(
    plan: DatasetPlan, *, chat: bool, say: Callable[[str], None] = lambda _: None
) -> tuple[Sequence[Row], DatasetReport]:
    """The rows, and what is to be said of them. Where the report has errors the rows are not to be used.

    `chat`: the route takes messages; a route that takes a prompt cannot ask a conversation. `say` is told how a
    download goes. GaveUp where there is no file, or not the right one. May take minutes, where there is one.
    """
    if plan.synthetic is not None:
        digest = hashlib.sha256(_line(plan.synthetic)).hexdigest()
        return SyntheticDataset(plan.synthetic), DatasetReport(rows=plan.synthetic.rows, digest=f"sha256:{digest}")
    taken = _Taken(chat)
    try:
        if plan.rows is not None:
            for number, row in enumerate(plan.rows, 1):
                taken.take(f"row {number}", row)
        else:
            _take_file(plan, taken, say)
    except BrokenFile as error:
        taken.refuse(str(error))
    return taken.rows, taken.report()


def _take_file(plan: DatasetPlan, taken: "_Taken", say: Callable[[str], None]) -> None:
    from enginebench.loadgen import datafile  # what only files need is not loaded for others

    if plan.download is None:
        assert plan.file is not None  # exactly one source is set
        path = Path(plan.file)
        try:
            file: BinaryIO = path.open("rb")
        except OSError as error:
            raise GaveUp(
                "DatasetNotFound",
                f"spec.workload.dataset: {plan.source or path.name} cannot be read: {error.strerror}. Put it there, "
                "readable for everyone, and run again.",
            ) from error
    else:
        from enginebench.loadgen.download import download

        file = download(plan.download, most=datafile.MOST_BYTES, say=say)
    with file:
        for place, what in datafile.rows_of(file, plan.format):
            taken.take(place, what)


class _Taken:
    """The rows so far, and what was wrong with others."""

    def __init__(self, chat: bool) -> None:
        self.rows: list[Row] = []
        self._chat = chat
        self._digest = hashlib.sha256()
        self._bytes = 0
        self._errors: list[str] = []
        self._bad = 0
        self._skipped = 0

    def take(self, place: str, what: Row | str | None) -> None:
        """A row, what is wrong with it, or None for a conversation without a question."""
        if what is None:
            self._skipped += 1
            return
        wrong = what if isinstance(what, str) else _wrong(what, chat=self._chat)
        if not wrong and isinstance(what, Row):
            wrong = self._keep(what)
        if wrong:
            self.refuse(f"{place}: {wrong}")

    def refuse(self, wrong: str) -> None:
        self._bad += 1
        if self._bad <= MOST_ERRORS:
            self._errors.append(wrong[:MOST_ERROR_CHARACTERS])

    def report(self) -> DatasetReport:
        if not self.rows and not self._bad:
            self.refuse("there is no row in it" + (f", only {self._skipped} without a question" * bool(self._skipped)))
        more = (f"and {self._bad - MOST_ERRORS} more",) if self._bad > MOST_ERRORS else ()
        return DatasetReport(
            rows=len(self.rows),
            digest=f"sha256:{self._digest.hexdigest()}",
            errors=(*self._errors, *more),
            skipped=self._skipped,
        )

    def _keep(self, row: Row) -> str:
        try:
            line = _line(row)
        except UnicodeEncodeError:
            return "has half of a surrogate pair, which is no character"
        self._digest.update(line)
        self._bytes += len(line)
        if len(self.rows) >= MOST_ROWS:
            raise BrokenFile(f"has more than {MOST_ROWS} rows; take a part of it")
        if self._bytes > MOST_ROW_BYTES:
            raise BrokenFile(
                f"its rows are more than {MOST_ROW_BYTES // 1024**2} MiB from row {len(self.rows) + 1} on; take a part "
                "of it"
            )
        self.rows.append(row)
        return ""


def _wrong(row: Row, *, chat: bool) -> str:
    """What keeps a row from being asked; empty if nothing does."""
    if row.prompt is not None and row.messages is not None:
        return "has both a prompt and messages; give one"
    if row.messages is not None and not chat:
        return "has messages, but the route takes a prompt; use ChatCompletions or OllamaChat, or give a prompt"
    if not row.prompt and not row.messages:
        return "has neither a prompt nor messages, or it is empty"
    for number, message in enumerate(row.messages or (), 1):
        if message.role not in ROLES:
            return f"its message {number} is of {message.role!r}; the role must be one of {', '.join(ROLES)}"
    if row.messages and row.messages[-1].role == "assistant":
        return "its messages end with the assistant; leave out the answer, which the engine is to give"
    for name, count in (("prompt", row.prompt_tokens), ("output", row.output_tokens)):
        if count is not None and count < 1:
            return f"its {name} token count is {count}; it must be 1 or more"
    return ""


def _line(part: msgspec.Struct) -> bytes:
    """What the digest is over: the canonical JSON of a row, a line each; of a synthetic set what it is made from."""
    return msgspec.json.encode(part) + b"\n"
