"""The time of a pass, which knows until when the pass would come out the same."""

from datetime import datetime


class Moment:
    """Rules ask it whether a time has come. Of those that have not it keeps the first: until then, and as long as
    nothing else is observed, every answer stays as it is, and so does what follows from them."""

    __slots__ = ("at", "next", "stamp")

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.stamp = at.replace(microsecond=0)
        """As the status tells it."""
        self.next: datetime | None = None
        """The first of the times that were asked about and are still to come; None: there is none."""

    def reached(self, due: datetime) -> bool:
        """It is `due`, or later."""
        if due <= self.at:
            return True
        if self.next is None or due < self.next:
            self.next = due
        return False
