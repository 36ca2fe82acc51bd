"""The usual read: one chunk with one event that differs from the one before in its text only.

Nearly all that a load generator reads is like this. What an engine writes around the text is learned from an event
that was read in full; a read that has the same around its text means the same, which three comparisons tell. Whatever
is not exactly so is read in full: this saves time and never decides anything.
"""

_MOST_LENGTHS = 64
"""Lengths of a text that are remembered; they differ by a few characters."""
_MOST_DIGITS = 7
"""Of a chunk size, excluded: no read has 16 MiB."""
_END = b"\n\n\r\n"
"""Of a chunk that is one server-sent event with one line: the line's, the event's and the chunk's."""


class Usual(dict[int, bytes | None]):
    """By the length of a read: its beginning, up to the text, if it is a usual one. None: it cannot be.

    Built when they are asked for; with an empty `opening` there are none.
    """

    __slots__ = ("_opening", "before", "ending")

    def __init__(self, opening: bytes = b"", ending: bytes = b"") -> None:
        super().__init__()
        self._opening = opening
        self.ending = ending
        """What stands behind the text, to the chunk's end."""
        self.before = len(ending) - len(_END)
        """Bytes of it before its first line end."""

    def __missing__(self, length: int) -> bytes | None:
        if not self._opening or len(self) >= _MOST_LENGTHS:
            return None
        self[length] = head = self._head(length)
        return head

    def _head(self, length: int) -> bytes | None:
        """With the chunk size that a read of this length would have; None where no text would be left."""
        for digits in range(1, _MOST_DIGITS):
            line = b"%x\r\n" % max(0, length - digits - 4)  # the size is that without itself and two line ends
            if len(line) == digits + 2:
                head = line + self._opening
                return head if length > len(head) + len(self.ending) else None
        return None


NOTHING = Usual()
"""No read is usual."""


def learned(data: bytes, content: bytes, unfinished: bytes) -> Usual | None:
    """From a read that was one chunk with one content event: what is usual from now on; None where nothing can be.

    `content` and `unfinished` are those of the route. The text ends, for this, with its first quote: one that has
    quotes itself only makes a form that is of no use.
    """
    start = data.find(b"\r\n") + 2
    text = data.find(content, start) + len(content)
    opening, ending = data[start:text], data[data.find(b'"', text) :]
    if (
        data[:start] == b"%x\r\n" % (len(data) - start - 2)
        and opening[:6] == b"data: "
        and b"\n" not in opening
        and ending.find(b"\n") == len(ending) - len(_END)
        and ending.endswith(_END)
        and (unfinished in opening or unfinished in ending)
    ):
        return Usual(opening, ending)
    return None
