"""The members of a JSON array in a file, one after another: the array may be larger than the memory."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from enginebench.loadgen.errors import BrokenFile

CHUNK_BYTES = 1024**2
TORN_CHARACTERS = 16
"""So near to the window's end an error may be of the cut: a word or an escape is shorter."""
_BLANK = re.compile(r"[ \t\r\n]*")
_object_at = json.JSONDecoder().raw_decode


def members(file: BinaryIO, most: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each object of the array with the line that it begins on. BrokenFile where there is no array of objects, or one
    of them is longer than `most` bytes."""
    text = _Text(file, most)
    if text.next() != "[":
        raise BrokenFile(f"line {text.line}: there is no array")
    text.at += 1
    begun = False
    while (mark := text.next()) != "]":
        if begun:
            if mark != ",":
                raise BrokenFile(f"line {text.line}: expected a comma or the array's end{text.instead(mark)}")
            text.at += 1
            mark = text.next()
        if mark != "{":
            raise BrokenFile(f"line {text.line}: expected an object{text.instead(mark)}")
        yield text.line, text.object()
        begun = True
    text.at += 1
    if mark := text.next():
        raise BrokenFile(f"line {text.line}: the array is over{text.instead(mark)}")


class _Text:
    """A window that slides over the file. `line` is the line of the place `at`."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._window = ""
        self.at = 0
        self.line = 1

    def next(self) -> str:
        """The next character that is not blank, which is then `at`; empty: the file is over."""
        while True:
            match = _BLANK.match(self._window, self.at)
            assert match is not None  # it matches nothing, too
            self.line += match[0].count("\n")
            self.at = match.end()
            if self.at < len(self._window):
                return self._window[self.at]
            if not self._grow():
                return ""

    def object(self) -> dict[str, Any]:
        """The object that begins here. What is cut off by the window's end looks like bad JSON: only with more of
        the file can the two be told apart."""
        while True:
            try:
                found, end = _object_at(self._window, self.at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos > len(self._window) - TORN_CHARACTERS
                if cut and self._grow():
                    continue
                if cut and len(self._window) - self.at > self._most:
                    raise BrokenFile(f"line {self.line}: longer than {self._most // 1024**2} MiB") from error
                line = self.line + self._window.count("\n", self.at, error.pos)
                raise BrokenFile(f"line {line}: {error.msg}") from error
            except (ValueError, RecursionError) as error:  # a number of thousands of digits, objects without end
                raise BrokenFile(f"line {self.line}: {error}") from error
            self.line += self._window.count("\n", self.at, end)
            self.at = end
            return dict(found)

    def instead(self, mark: str) -> str:
        return f", found {mark!r}" if mark else ", and the file ends"

    def _grow(self) -> bool:
        """Read on, twice as much each time that the same object needs more."""
        held = len(self._window) - self.at
        if held > self._most:
            return False
        data = self._file.read(max(CHUNK_BYTES, held))
        try:
            more = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise BrokenFile(f"after line {self.line + self._window.count(chr(10), self.at)}: not UTF-8") from error
        self._window = self._window[self.at :] + more
        self.at = 0
        return bool(data)
