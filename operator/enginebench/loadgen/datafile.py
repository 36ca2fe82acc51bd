"""A file of the data set: opened, unpacked where it is gzip, and taken apart into rows one after another.

Nothing here holds a whole file: what it takes is one line or one conversation at a time.
"""

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec

from enginebench.api.loadplan import Message, Row
from enginebench.loadgen.errors import BrokenFile
from enginebench.loadgen.jsonarray import members

MOST_BYTES = 1024**3
"""Of a file, unpacked."""
MOST_LINE_BYTES = 16 * 1024**2
"""Of a line or a conversation."""
BUFFER_BYTES = 1024**2
GZIP = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"

TEXT_NAMES = ("instruction", "question", "input", "context", "content", "text")
"""What GuideLLM, too, takes for the prompt where there is none of that name."""


_T = TypeVar("_T")


class Found(NamedTuple):
    """A line or a conversation: where it stands, and its row, or what is wrong with it, or None for a conversation
    without a question."""

    place: str
    what: Row | str | None


class _Counts(msgspec.Struct, frozen=True):
    """Token counts under the names of GuideLLM: those of every version, those of 0.2, and those of 0.8."""

    prompt_tokens_count: int | None = None
    prompt_tokens: int | None = None
    input_tokens_count: int | None = None
    output_tokens_count: int | None = None
    output_tokens: int | None = None
    completion_tokens_count: int | None = None

    def of_prompt(self) -> int | None:
        return _first(self.prompt_tokens_count, self.prompt_tokens, self.input_tokens_count)

    def of_answer(self) -> int | None:
        return _first(self.output_tokens_count, self.output_tokens, self.completion_tokens_count)


class _Line(_Counts, frozen=True):
    """A line of a JSONL file; other members (an answer, an id) are skipped."""

    prompt: str | None = None
    messages: tuple[Message, ...] | None = None
    # Of any type: beside a prompt they are other members like any.
    instruction: Any = None
    question: Any = None
    input: Any = None
    context: Any = None
    content: Any = None
    text: Any = None
    conversations: msgspec.Raw = msgspec.Raw()


class _Turn(msgspec.Struct, frozen=True, rename={"speaker": "from"}):
    speaker: str
    value: str


class _Conversation(_Counts, frozen=True, kw_only=True):
    """A member of a ShareGPT file; other members (an id, a source) are skipped."""

    conversations: tuple[_Turn, ...]


class _Bounded(io.RawIOBase):
    """Reads on until it is too much: what a few bytes of gzip unpack to has no end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        read = self._file.readinto(into)  # type: ignore[attr-defined]  # every binary file but the most abstract has it
        self._left -= read
        if self._left < 0:
            raise BrokenFile(f"is larger than {MOST_BYTES // 1024**3} GiB, unpacked; take a part of it")
        return int(read)

    def close(self) -> None:
        self._file.close()
        super().close()


def opened(file: BinaryIO) -> BinaryIO:
    """The file's text as bytes, unpacked where its first bytes are those of gzip, whatever it is called."""
    packed = file.read(len(GZIP)) == GZIP
    file.seek(0)
    if packed:
        file = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]  # a binary file for all that is done with it
    return io.BufferedReader(_Bounded(file), BUFFER_BYTES)


def rows_of(file: BinaryIO, form: str) -> Iterator[Found]:
    """Everything in it. BrokenFile where it ends in the middle, is no gzip after all, or is too large."""
    try:
        text = opened(file)
        yield from _sharegpt(text) if form == "ShareGPT" else _jsonl(text)
    except EOFError as error:  # gzip's word
        raise BrokenFile("ends in the middle of its gzip: it is not whole") from error
    except OSError as error:
        raise BrokenFile(f"cannot be read: {error.strerror or error}") from error
    except zlib.error as error:
        raise BrokenFile(f"is not whole gzip: {error}") from error


# JSONL


def _jsonl(file: BinaryIO) -> Iterator[Found]:
    for number, line in _lines(file):
        place = f"line {number}"
        if line is None:
            yield Found(place, f"is longer than {MOST_LINE_BYTES // 1024**2} MiB")
        elif line.startswith(b"[") and number == 1:
            raise BrokenFile("line 1: begins an array where there should be an object a line; is it format ShareGPT?")
        else:
            said = _decoded(line, _LINE)
            yield Found(place, said if isinstance(said, str) else _prompt(said))


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Lines that are not blank, with their numbers; None for one that is too long."""
    number = 0
    while line := file.readline(MOST_LINE_BYTES):
        number += 1
        if number == 1:
            line = line.removeprefix(BYTE_ORDER_MARK)
        if len(line) == MOST_LINE_BYTES and not line.endswith(b"\n"):
            while (more := file.readline(MOST_LINE_BYTES)) and not more.endswith(b"\n"):
                pass
            yield number, None
        elif line and not line.isspace():
            yield number, line


def _decoded(line: bytes, decoder: msgspec.json.Decoder[_T]) -> _T | str:
    """What the line says, or why it says nothing."""
    try:
        return decoder.decode(line)
    except msgspec.MsgspecError as error:
        return str(error)
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error.reason}"
    except RecursionError:
        return "objects or arrays within each other without end"


def _prompt(said: _Line) -> Row | str:
    prompt = said.prompt
    if prompt is None and said.messages is None:
        named = [name for name in TEXT_NAMES if getattr(said, name) not in (None, "")]
        if len(named) > 1:
            return f"has {' and '.join(named)}; call the one that is to be sent prompt"
        if named and not isinstance(found := getattr(said, named[0]), str):
            return f"its {named[0]} is no text"
        prompt = found if named else None
        if prompt is None and bytes(said.conversations):
            return "has conversations: set spec.workload.dataset.format to ShareGPT"
    return Row(prompt=prompt, messages=said.messages, prompt_tokens=said.of_prompt(), output_tokens=said.of_answer())


_LINE = msgspec.json.Decoder(_Line)


# ShareGPT


def _sharegpt(file: BinaryIO) -> Iterator[Found]:
    """An array of conversations, or a conversation a line."""
    head = file.peek(64)[:64].removeprefix(BYTE_ORDER_MARK)  # type: ignore[attr-defined]  # a BufferedReader
    if head.lstrip()[:1] != b"[":
        for number, line in _lines(file):
            place = f"line {number}"
            if line is None:
                yield Found(place, f"is longer than {MOST_LINE_BYTES // 1024**2} MiB")
                continue
            said = _decoded(line, _CONVERSATION)
            yield Found(place, said if isinstance(said, str) else _question(said))
        return
    for number, (line_number, member) in enumerate(members(file, MOST_LINE_BYTES), 1):
        place = f"line {line_number} (conversation {number})"
        try:
            yield Found(place, _question(msgspec.convert(member, _Conversation)))
        except msgspec.MsgspecError as error:
            yield Found(place, str(error))


def _question(said: _Conversation) -> Row | None:
    """The first thing that a person says; the answer's length is not known unless the file counts it."""
    for turn in said.conversations:
        if turn.speaker in ("human", "user") and turn.value.strip():
            return Row(prompt=turn.value, prompt_tokens=said.of_prompt(), output_tokens=said.of_answer())
    return None


_CONVERSATION = msgspec.json.Decoder(_Conversation)


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)
